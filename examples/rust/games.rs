//! Lists the games of the room, as the `lanspread` that runs on a state folder sees them.
//!
//! Usage: `cargo run -p lanspread --example games -- STATE_FOLDER`

#![expect(clippy::print_stdout, reason = "the result of an example")]

use std::error::Error;
use std::path::PathBuf;

use lanspread_api::{Line, ReplyData};
use serde::Deserialize;

/// What a running `lanspread` writes into its state folder, readable by its owner only.
#[derive(Deserialize)]
struct Api {
    address: String,
    token: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let state = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: games STATE_FOLDER")?;
    let api: Api = serde_json::from_slice(&std::fs::read(state.join("api.json"))?)?;
    // A proxy of the environment is not for this machine, and refusals are lines of the contract as well.
    let agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().new_agent();
    let request = agent
        .get(format!("http://{}/api/v1/games", api.address))
        .header("authorization", format!("Bearer {}", api.token));
    match serde_json::from_str(&request.call()?.body_mut().read_to_string()?)? {
        Line::Result(answer) => {
            if let ReplyData::ListGames(list) = answer.reply {
                for game in list.games {
                    println!("{}  {} peers", game.game_id, game.peer_count);
                }
            }
            Ok(())
        }
        Line::Error(error) => Err(error.error.message.into()),
        Line::Event(_) => Err("an event instead of an answer".into()),
    }
}
