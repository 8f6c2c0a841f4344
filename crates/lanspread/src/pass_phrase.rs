//! Where `lanspread run` gets the pass phrase of a closed party from: a file, the environment, or whoever sits there.
//! Never from an argument, which every program of the machine can read.

use std::io::IsTerminal;
use std::path::Path;

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::pass_phrase;
use lanspread_types::PassPhrase;

/// The environment's way to tell it.
pub const VARIABLE: &str = "LANSPREAD_PARTY_SECRET";

/// The pass phrase of the party.
pub fn obtain(party: &str, file: Option<&Path>) -> Result<PassPhrase, ErrorBody> {
    if let Some(path) = file {
        return pass_phrase::load(path).map_err(|e| ErrorBody::from(&e));
    }
    let (text, from) = match std::env::var(VARIABLE) {
        Ok(text) => (text, VARIABLE),
        Err(std::env::VarError::NotUnicode(_)) => return Err(invalid(format!("{VARIABLE} is not UTF-8"))),
        Err(std::env::VarError::NotPresent) => (ask(party)?, "what was typed"),
    };
    PassPhrase::new(text).map_err(|e| invalid(format!("{from} is no pass phrase: {e}")))
}

fn ask(party: &str) -> Result<String, ErrorBody> {
    if !std::io::stdin().is_terminal() {
        return Err(invalid(format!("nobody is there to be asked for the pass phrase of {party}")));
    }
    rpassword::prompt_password(format!("Pass phrase of {party}: "))
        .map_err(|e| invalid(format!("the pass phrase cannot be read: {e}")))
}

fn invalid(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::PartyInvalid, message)
}
