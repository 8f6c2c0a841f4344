//! Obtains the passphrase of a closed party for `lanspread run`: from a file, the environment or a prompt.
//!
//! It is never an argument, because every program on the machine can read those.

use std::io::IsTerminal;
use std::path::Path;

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::contract::ToContract;
use lanspread_peer::pass_phrase;
use lanspread_types::PassPhrase;

/// Environment variable with the passphrase.
pub const VARIABLE: &str = "LANSPREAD_PARTY_SECRET";

/// Returns the party's passphrase: from `file` if given, otherwise from [`VARIABLE`], otherwise from a prompt.
pub fn obtain(party: &str, file: Option<&Path>) -> Result<PassPhrase, ErrorBody> {
    if let Some(path) = file {
        return pass_phrase::load(path).map_err(|e| e.to_contract());
    }
    let (text, from) = match std::env::var(VARIABLE) {
        Ok(text) => (text, VARIABLE),
        Err(std::env::VarError::NotUnicode(_)) => return Err(invalid(format!("{VARIABLE} is not UTF-8"))),
        Err(std::env::VarError::NotPresent) => (ask(party)?, "your input"),
    };
    PassPhrase::new(text).map_err(|e| invalid(format!("{from} is not a valid passphrase: {e}")))
}

fn ask(party: &str) -> Result<String, ErrorBody> {
    if !std::io::stdin().is_terminal() {
        return Err(invalid(format!(
            "there is no terminal to ask for the passphrase of {party}; use --party-secret-file or LANSPREAD_PARTY_SECRET"
        )));
    }
    rpassword::prompt_password(format!("Passphrase of {party}: "))
        .map_err(|e| invalid(format!("the passphrase cannot be read: {e}")))
}

fn invalid(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::PartyInvalid, message)
}
