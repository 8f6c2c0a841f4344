//! Resumes unfinished downloads as soon as somebody has the game.

use std::time::Duration;

use lanspread_api::page::{DownloadFault, UnfinishedState};
use lanspread_peer::PeerHandle;
use lanspread_peer::command::{Command, CommandError, Reply};
use lanspread_peer::contract::ToContract;
use tokio::time::{MissedTickBehavior, interval};

use crate::host::Host;
use crate::unfinished::Unfinished;

/// Time between two looks for sources.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// Keeps the list while a peer runs, and resumes what waits as soon as somebody has it. Ends with the peer.
pub async fn follow(host: Host, peer: PeerHandle) {
    host.unfinished(Unfinished::starts_again);
    let mut events = peer.subscribe();
    let mut look = interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { break };
                let event = event.to_contract();
                host.unfinished(|list| list.saw(&event));
            }
            _ = look.tick() => resume(&host, &peer).await,
        }
    }
    host.unfinished(|list| list.keep());
}

async fn resume(host: &Host, peer: &PeerHandle) {
    let waiting = host.unfinished(|list| list.waiting());
    if waiting.is_empty() {
        return;
    }
    let Ok(Reply::Games(games)) = peer.command(Command::ListGames).await else { return };
    let games = games.to_contract().games;
    for (game, install) in waiting {
        let offered = games.iter().any(|row| row.game_id == game.as_str() && row.peer_count > 0);
        if !offered {
            continue;
        }
        host.unfinished(|list| list.asked_for(&game, install));
        let reply = peer.command(Command::Download { game: game.clone(), install, confirm: None }).await;
        match reply {
            Ok(Reply::AlreadyThere { .. }) => host.unfinished(|list| list.forget(&game)),
            Ok(_)
            | Err(
                CommandError::NoSource { .. }
                | CommandError::OperationInProgress { .. }
                | CommandError::ShuttingDown,
            ) => {}
            Err(error) => host.unfinished(|list| {
                let error = error.to_contract();
                let fault = DownloadFault { code: error.code, reason: error.message };
                list.stops(game.as_str(), UnfinishedState::Failed, Some(fault));
                list.keep();
            }),
        }
    }
}
