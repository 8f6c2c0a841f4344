//! `lanspread demo`: the whole product on one machine, in seconds, with nothing set up.
//!
//! Three peers share small libraries, a fourth has none. The fourth connects, lists the room's games, fetches one
//! from the two peers that have it and installs it. Then every byte is compared without using the engine. Any
//! deviation ends the demo with exit code 1.

mod library;
mod proof;
mod room;

use std::path::Path;
use std::time::{Duration, Instant};

use lanspread_api::event::Totals;
use lanspread_api::reply::GameInfo;
use lanspread_api::{ErrorBody, ErrorCode, Event};
use lanspread_peer::command::Command;
use lanspread_peer::contract::ToContract;
use tempfile::TempDir;

use crate::cli::DemoArgs;
use crate::commands::games as games_table;
use crate::show::table::Align::{Left, Right};
use crate::show::{Live, Screen, Table, human};
use crate::signal;
use library::DemoGame;
use room::Room;

/// Longest time without an event before the demo gives a download up.
const SILENCE: Duration = Duration::from_secs(60);

/// Runs the demo until it has ended or Ctrl-C interrupts it.
pub async fn run(args: DemoArgs) -> Result<(), ErrorBody> {
    let screen = Screen::default();
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("lanspread-demo-").tempdir().map_err(internal)?;
    let played = tokio::select! {
        played = play(&screen, folder.path(), args.size << 20) => played,
        () = signal::interrupted() => Err(ErrorBody::new(ErrorCode::Cancelled, "the demo was interrupted")),
    };
    leave(&screen, folder, args.keep);
    played?;
    screen.say(format!("\nThat took {}.", human::millis(begun.elapsed().as_millis() as u64)));
    Ok(())
}

fn leave(screen: &Screen, folder: TempDir, keep: bool) {
    if keep {
        let path = folder.keep();
        screen.say(format!("\nThe folders of the four peers are kept in {}", path.display()));
    } else if let Err(e) = folder.close() {
        screen.note(format!("The demo's folder could not be removed: {e}"));
    }
}

async fn play(screen: &Screen, root: &Path, large_bytes: u64) -> Result<(), ErrorBody> {
    screen.say("Four peers in one process, each with its own folders and port:\n");
    let games = room::games(large_bytes)?;
    let (at, made) = (root.to_owned(), games.clone());
    tokio::task::spawn_blocking(move || room::furnish(&at, &made)).await.map_err(internal)??;
    let mut room = Room::open(root, games).await?;
    let played = act(screen, &mut room).await;
    room.close().await;
    played
}

async fn act(screen: &Screen, room: &mut Room) -> Result<(), ErrorBody> {
    show_members(screen, room);
    room.introduce().await?;
    let seen: Vec<GameInfo> = room.see_games().await?.iter().map(ToContract::to_contract).collect();
    screen.say(format!("\n{} has no games. It connects to the others and sees theirs:\n", room.guest.name));
    say_indented(screen, &games_table(&seen));

    let game = room.games.first().cloned().ok_or_else(|| internal("there is no game"))?;
    screen.say(format!(
        "\n{} downloads {} from everyone who has it, and installs it:\n",
        room.guest.name, game.id
    ));
    let totals = fetch(screen, room, &game).await?;
    show_totals(screen, &totals);
    check_sources(&totals)?;

    let view = room.guests_view(&game.id).await?;
    if !(view.downloaded && view.installed) {
        return Err(internal(format!("{} is not downloaded and installed, but {view:?}", game.id)));
    }
    show_proof(screen, room, &game)
}

fn show_members(screen: &Screen, room: &Room) {
    let mut table = Table::new(&[("PEER", Left), ("ADDRESS", Left), ("GAMES", Left)]);
    for member in room.hosts.iter().chain([&room.guest]) {
        let has = |g: &&DemoGame| member.games_dir.join(g.id.as_str()).is_dir();
        let ids: Vec<&str> = room.games.iter().filter(has).map(|g| g.id.as_str()).collect();
        let games = if ids.is_empty() { "-".to_owned() } else { ids.join(", ") };
        table.row([member.name.to_owned(), member.peer.addr.to_string(), games]);
    }
    say_indented(screen, &table);
}

fn say_indented(screen: &Screen, table: &Table) {
    for line in table.lines() {
        screen.say(format!("  {line}"));
    }
}

/// Downloads and installs with a progress bar, and returns the download's totals.
async fn fetch(screen: &Screen, room: &mut Room, game: &DemoGame) -> Result<Totals, ErrorBody> {
    let command = Command::Download { game: game.id.clone(), install: true, confirm: None };
    room.guest.peer.handle.command(command).await.map_err(internal)?;
    let mut live = Live::new(screen.clone());
    let mut totals = None;
    loop {
        let next = tokio::time::timeout(SILENCE, room.guest.peer.events.next()).await;
        let Some(streamed) = next.map_err(|_| internal("the download is stalled"))? else {
            return Err(internal("the peer has ended"));
        };
        let event = streamed.to_contract();
        live.measure(&event);
        match event {
            Event::DownloadFinished { totals: t, .. } => totals = Some(t),
            Event::InstallFinished { .. } => {
                return totals.ok_or_else(|| internal("installed, but not downloaded"));
            }
            Event::DownloadFailed { reason, .. } => {
                return Err(internal(format!("the download failed: {reason}")));
            }
            Event::InstallFailed(f) => return Err(internal(format!("the install failed: {}", f.reason))),
            Event::SourceRejected { name, reason, .. } => {
                return Err(internal(format!("{name} was rejected as a source: {reason}")));
            }
            Event::EventsLost { count } => return Err(internal(format!("{count} events were lost"))),
            _ => {}
        }
    }
}

fn show_totals(screen: &Screen, totals: &Totals) {
    let per_second = (totals.mib_per_s * 1_048_576.0) as u64;
    screen.say(format!(
        "  downloaded {} in {}: {}, {}",
        human::bytes(totals.bytes),
        human::millis(totals.duration_ms),
        human::rate(per_second),
        human::line_rate(totals.mbit_per_s),
    ));
    screen.say(format!("  verified   {} chunks, each as it arrived", totals.chunks));
    let mut table = Table::new(&[("", Left), ("", Left), ("", Right), ("", Right), ("", Right)]);
    for source in &totals.sources {
        table.row([
            "served by".to_owned(),
            source.name.clone(),
            human::bytes(source.bytes),
            format!("{} chunks", source.chunks),
            human::share(source.bytes, totals.bytes),
        ]);
    }
    for line in table.lines().split_off(1) {
        screen.say(format!("  {line}"));
    }
}

/// Checks that both hosts with the game served it, and no other peer.
fn check_sources(totals: &Totals) -> Result<(), ErrorBody> {
    let served: Vec<&str> = totals.sources.iter().filter(|s| s.bytes > 0).map(|s| s.name.as_str()).collect();
    if served.len() != 2 {
        return Err(internal(format!("two peers have the game, but served was it by {served:?}")));
    }
    let sum: u64 = totals.sources.iter().map(|s| s.bytes).sum();
    if sum != totals.bytes {
        return Err(internal(format!("the sources served {sum} bytes, {} came", totals.bytes)));
    }
    Ok(())
}

fn show_proof(screen: &Screen, room: &Room, game: &DemoGame) -> Result<(), ErrorBody> {
    let source = room.hosts.first().ok_or_else(|| internal("there is no source"))?;
    let (files, bytes) = proof::check_installed(game, &room.guest)?;
    screen.say(format!("  installed  {}, {}", human::count(files, "file"), human::bytes(bytes)));
    let compared = proof::compare(game, source, &room.guest)?;
    screen.say(format!("\nCompared with {}'s copy, by BLAKE3 (as b3sum prints it):\n", source.name));
    let mut table = Table::new(&[("FILE", Left), ("SIZE", Right), ("BLAKE3 AT BOTH", Left)]);
    for file in compared {
        table.row([file.path.to_string(), human::bytes(file.bytes), file.hash.to_hex().to_string()]);
    }
    say_indented(screen, &table);
    screen.say("\nEvery file is the same, and so is every installed one.");
    Ok(())
}

/// Error for anything that must not happen in the demo; exit code 1.
fn internal(what: impl std::fmt::Display) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, format!("the demo failed: {what}"))
}

#[cfg(test)]
mod tests {
    use lanspread_api::event::SourceTotals;

    use super::*;

    fn totals(served: &[u64]) -> Totals {
        let source = |(n, &bytes): (usize, &u64)| SourceTotals {
            peer_id: n.to_string(),
            name: format!("peer{n}"),
            bytes,
            chunks: 1,
        };
        Totals {
            bytes: 10,
            reused_bytes: 0,
            chunks: 2,
            duration_ms: 1,
            mib_per_s: 1.0,
            mbit_per_s: 8.0,
            sources: served.iter().enumerate().map(source).collect(),
            streamed: false,
        }
    }

    #[test]
    fn one_source_is_not_enough() {
        assert!(check_sources(&totals(&[4, 6])).is_ok());
        for bad in [&[][..], &[10], &[10, 0], &[4, 5], &[3, 3, 4]] {
            let error = check_sources(&totals(bad)).unwrap_err();
            assert_eq!(error.exit(), lanspread_api::ExitCode::Internal, "{bad:?}");
        }
    }
}
