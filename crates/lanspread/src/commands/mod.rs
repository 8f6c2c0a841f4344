//! Commands that talk to the running peer: sends one request and shows its reply as text for people or as a JSON
//! line.

mod confirm;
mod follow;
mod peers;
mod room;

use std::path::{Path, PathBuf};

use lanspread_api::page::Invitation;
use lanspread_api::reply::{
    Availability, GameInfo, Limits, OperationKind, PlayReply, Status, Support, Swarm, SwarmSource,
};
use lanspread_api::request::Priority;
use lanspread_api::{ErrorBody, ErrorCode, Line, ReplyData, Request};

use lanspread_types::Organiser;

use crate::address::resolve;
use crate::cli::{Command, PackArgs, RoomArgs};
use crate::client::Client;
use crate::pack;
use crate::settings::Kept;
use crate::show::table::Align::{Left, Right};
use crate::show::{Screen, Table, human};

pub use follow::Goal;

/// Runs one command against the running peer of this state folder.
pub fn run(command: Command, state_dir: &Path, json: bool) -> Result<(), ErrorBody> {
    let client = Client::find(state_dir)?;
    let screen = if json { Screen::quiet() } else { Screen::default() };
    let asked = Asked { client, screen, json };
    match command {
        Command::List => asked.show(&Request::ListGames),
        Command::Peers => asked.show(&Request::ListPeers),
        Command::Status => asked.show(&Request::Status),
        Command::Connect(args) => {
            asked.show(&Request::Connect { addr: resolve(&args.address)? })?;
            args.catalog_key
                .map_or(Ok(()), |key| asked.show(&Request::TrustCatalog { key: Organiser::Key(key) }))
        }
        Command::Invite(args) => asked.invite(!args.close),
        Command::Cancel(args) => asked.show(&Request::CancelDownload { game_id: args.game }),
        Command::Limit(args) => {
            asked.show(&Request::SetLimits { upload: args.upload, download: args.download })
        }
        Command::Priority(args) => {
            asked.show(&Request::SetPriority { game_id: args.game, priority: args.priority })
        }
        Command::Share(args) => asked.show(&Request::SetSharing { game_id: args.game, shared: !args.off }),
        Command::Room(RoomArgs { want: Some(game_id) }) => {
            known(&asked.client.games()?, game_id.as_str())?;
            asked.show(&Request::WantGame { game_id })
        }
        Command::Room(RoomArgs { want: None }) => asked.show(&Request::Room),
        Command::Stop => asked.show(&Request::Shutdown),
        Command::Get(args) => {
            let (request, yes) = confirm::get(&args);
            let goal = Goal::get(!args.no_install);
            let send = |request: &Request| {
                if args.detach { asked.show(request) } else { asked.follow(request, goal) }
            };
            asked.with_word(request, yes, send).map_err(confirm::with_hint)
        }
        Command::Install(args) if args.stream => {
            let (game_id, max_unpacked_bytes) = (args.game, args.max_unpacked);
            asked.follow(&Request::StreamInstall { game_id, max_unpacked_bytes }, Goal::StreamInstall)
        }
        Command::Install(args) => {
            let (game_id, max_unpacked_bytes) = (args.game, args.max_unpacked);
            asked.follow(&Request::Install { game_id, max_unpacked_bytes }, Goal::Install)
        }
        Command::Uninstall(args) => asked.follow(&Request::Uninstall { game_id: args.game }, Goal::Uninstall),
        Command::Discard(args) => asked.show(&Request::DiscardDownload { game_id: args.game }),
        Command::Remove(args) => asked.follow(&Request::RemoveDownload { game_id: args.game }, Goal::Remove),
        Command::Verify(args) => {
            let goal = if args.check { Goal::Check } else { Goal::Verify };
            asked.follow(&Request::Verify { game_id: args.game, repair: !args.check }, goal)
        }
        Command::Play(args) => asked
            .with_word(confirm::play(args), false, |request| asked.show(request))
            .map_err(confirm::with_hint),
        Command::Demo(_)
        | Command::Run(_)
        | Command::Pack(_)
        | Command::Catalog(_)
        | Command::Completions(_)
        | Command::InstallApp(_)
        | Command::UninstallApp
        | Command::Man
        | Command::Doctor(_) => {
            Err(ErrorBody::new(ErrorCode::Internal, "that is no command for a running peer"))
        }
    }
}

/// Packs a folder as a game of the library. Needs no running peer; a running one notices the new game by itself.
pub fn pack(args: PackArgs, state_dir: &Path, json: bool) -> Result<(), ErrorBody> {
    let unreadable =
        |e| ErrorBody::new(ErrorCode::StateDirUnusable, format!("the settings cannot be read: {e}"));
    let chosen = Kept::read(state_dir).map_err(unreadable)?.chosen.games_dir.map(PathBuf::from);
    let games_dir = args.games_dir.or(chosen).ok_or_else(|| {
        let mut error = ErrorBody::new(ErrorCode::NotSetUp, "no games folder has been chosen yet");
        error.hint = Some("choose one: --games-dir DIR".to_owned());
        error
    })?;
    let order = pack::Order {
        folder: args.folder,
        game: args.id,
        version: args.version,
        cover: args.cover,
        title: args.title,
        start: args.start,
        args: args.start_arg,
    };
    let screen = if json { Screen::quiet() } else { Screen::default() };
    let mut meter = None;
    let packed = pack::pack(&order, &games_dir, |(done, total)| {
        let label = format!("Packing {}", order.game);
        meter.get_or_insert_with(|| screen.meter(label, total)).update(done, "");
    });
    drop(meter);
    let packed = packed.map_err(|e| e.to_body())?;
    if json {
        let text = serde_json::to_string(&packed);
        screen.say(text.map_err(|e| ErrorBody::new(ErrorCode::Internal, e.to_string()))?);
    } else {
        let (files, bytes) = (human::count(packed.files, "file"), human::bytes(packed.bytes));
        screen.say(format!(
            "{}: {files}, {bytes}, in {}.",
            packed.game_id,
            games_dir.join(&packed.game_id).display()
        ));
    }
    Ok(())
}

/// Refuses a game that nobody in the room has: without a catalogue the peer takes every id for a game.
fn known(games: &[GameInfo], game: &str) -> Result<(), ErrorBody> {
    if games.iter().any(|known| known.game_id == game) {
        return Ok(());
    }
    let message = format!("nobody in the room has a game {game}");
    let mut error = ErrorBody::new(ErrorCode::UnknownGame, message);
    error.game_id = Some(game.to_owned());
    error.hint = Some("`lanspread list` shows the games of the room".to_owned());
    Err(error)
}

/// Where a command goes and where its answer is shown.
struct Asked {
    client: Client,
    screen: Screen,
    json: bool,
}

impl Asked {
    /// Starts or stops handing the program out to guests, and shows the address and the hashes they need.
    fn invite(&self, open: bool) -> Result<(), ErrorBody> {
        let invitation = self.client.invite(open)?;
        if self.json {
            let text = serde_json::to_string(&invitation);
            self.screen.say(text.map_err(|e| ErrorBody::new(ErrorCode::Internal, e.to_string()))?);
            return Ok(());
        }
        invited(&invitation).into_iter().for_each(|line| self.screen.say(line));
        Ok(())
    }

    /// Sends a request and shows its reply.
    fn show(&self, request: &Request) -> Result<(), ErrorBody> {
        match self.client.line(request)? {
            Line::Error(line) => Err(line.error),
            line if self.json => {
                self.screen.say(line.to_json());
                Ok(())
            }
            Line::Result(result) => {
                for line in described(&result.reply, self.screen.columns()) {
                    self.screen.say(line);
                }
                Ok(())
            }
            Line::Event(_) => {
                Err(ErrorBody::new(ErrorCode::Internal, "the running peer answered with an event"))
            }
        }
    }
}

/// The address for guests, and the hashes to compare.
fn invited(invitation: &Invitation) -> Vec<String> {
    let (Some(address), Some(program)) = (&invitation.address, &invitation.program) else {
        return vec!["Guests can no longer download the program.".to_owned()];
    };
    let mut lines = vec![
        format!("Guests can download this program ({}) at {address}", invitation.system),
        "Before starting it, they should run `b3sum` or `sha256sum` on it. The result must match:".to_owned(),
        format!("  BLAKE3   {}", program.blake3),
        format!("  SHA-256  {}", program.sha256),
    ];
    if let Some(organiser) = &invitation.organiser {
        lines.push(format!("The program asks each guest once whether to trust your organiser: {organiser}"));
    }
    lines.push("Stop inviting with: lanspread invite --close".to_owned());
    lines
}

/// A reply as lines for people, tables within the columns of a terminal.
fn described(reply: &ReplyData, columns: Option<usize>) -> Vec<String> {
    match reply {
        ReplyData::ListGames(list) if list.games.is_empty() => {
            vec!["No games here, and nobody shares any.".to_owned()]
        }
        ReplyData::ListGames(list) => games(&list.games).lines_within(columns),
        ReplyData::ListPeers(list) => peers::described(list, columns),
        ReplyData::Doctor(diagnosis) => crate::doctor::described(diagnosis),
        ReplyData::Status(s) => status(s),
        ReplyData::Connect(peer) => vec![format!("Connected to {} ({}).", peer.name, peer.addr)],
        ReplyData::Download(d) if d.already_there => vec![format!("{} is already downloaded.", d.game_id)],
        ReplyData::Download(d) | ReplyData::StreamInstall(d) => {
            let size = d.total_bytes.map(human::bytes).unwrap_or_default();
            vec![format!("{}: started, {size}. `lanspread status` shows its progress.", d.game_id)]
        }
        ReplyData::CancelDownload(g) => {
            vec![format!("{}: cancelled; download progress is kept.", g.game_id)]
        }
        ReplyData::Play(p) => played(p),
        ReplyData::Install(g)
        | ReplyData::Uninstall(g)
        | ReplyData::RemoveDownload(g)
        | ReplyData::DiscardDownload(g)
        | ReplyData::Verify(g) => {
            vec![format!("{}: started.", g.game_id)]
        }
        ReplyData::SetLimits(limits) => vec![format!("Limits: {}.", limits_in_words(limits))],
        ReplyData::Room(seen) => room::described(seen, columns),
        ReplyData::WantGame(w) => {
            let asked = human::count(w.asked, "peer");
            vec![format!("Asked {asked} to download {}; `lanspread room` shows who does.", w.game_id)]
        }
        ReplyData::TrustCatalog(o) => {
            vec![format!(
                "You trust the organiser {}. The catalogue is used as soon as it arrives.",
                o.fingerprint
            )]
        }
        ReplyData::DeclineCatalog(o) => vec![format!("You will not be asked about {} again.", o.fingerprint)],
        ReplyData::SetSharing(s) if s.shared => vec![format!("{}: shared.", s.game_id)],
        ReplyData::SetSharing(s) => {
            vec![format!("{}: kept out of sharing; the room hears nothing of it.", s.game_id)]
        }
        ReplyData::SetPriority(g) => vec![format!("{}: priority set.", g.game_id)],
        ReplyData::Shutdown(_) => vec!["The peer has stopped.".to_owned()],
        ReplyData::WaitPeers(c) => vec![format!("{} connected.", human::count(c.peer_count, "peer"))],
        ReplyData::SetGameDir(dir) => vec![format!("The library is now {}.", dir.games_dir)],
    }
}

/// What `play` wrote and started.
fn played(p: &PlayReply) -> Vec<String> {
    let mut lines = Vec::new();
    if !p.already_applied && p.wrote.is_empty() {
        lines.push(format!("{}: no name or language file found.", p.game_id));
    } else if !p.already_applied {
        lines.push(format!("{}: set name and language in {}.", p.game_id, p.wrote.join(", ")));
    }
    match &p.program {
        Some(program) if p.launched => lines.push(format!("{}: started {program}.", p.game_id)),
        Some(program) => lines.push(format!("{}: ready to start with {program}.", p.game_id)),
        None => lines
            .push(format!("{}: no start program is set; add start = \"…\" to lanspread.toml.", p.game_id)),
    }
    lines
}

/// Table of the room's games.
pub fn games(games: &[GameInfo]) -> Table {
    let mut table = Table::new(&[
        ("GAME", Left),
        ("TITLE", Left),
        ("VERSION", Left),
        ("SIZE", Right),
        ("HERE", Left),
        ("PEERS", Right),
        ("CONFIRMED", Left),
    ]);
    let titled = games.iter().any(|g| g.title.is_some());
    if !titled {
        table = table.without(1);
    }
    for game in games {
        let mut cells = vec![
            game.game_id.clone(),
            game.title.clone().unwrap_or_default(),
            version(game),
            if game.size > 0 { human::bytes(game.size) } else { "?".to_owned() },
            here(game).to_owned(),
            game.peer_count.to_string(),
            support(game),
        ];
        if !titled {
            cells.remove(1);
        }
        table.row(cells);
    }
    table
}

/// The version to have and, where it differs, the local one.
fn version(game: &GameInfo) -> String {
    match (&game.eti_game_version, &game.local_version) {
        (Some(wanted), Some(local)) if wanted != local => format!("{wanted} (here {local})"),
        (Some(version), _) | (None, Some(version)) => version.clone(),
        (None, None) => "?".to_owned(),
    }
}

/// Which peers or catalogue confirm the version.
fn support(game: &GameInfo) -> String {
    match (game.support, &game.supplier) {
        (Some(Support::Pinned), _) => "by the catalogue".to_owned(),
        (Some(Support::Agreed), _) if game.confirmed_by > 1 => format!("by {}", game.confirmed_by),
        (Some(Support::Agreed), _) => "only this PC".to_owned(),
        (Some(Support::Single), Some(supplier)) => format!("only {} ({})", supplier.name, supplier.key),
        (Some(Support::Single), None) => "by one".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn here(game: &GameInfo) -> &'static str {
    match (game.installed, game.downloaded, game.availability) {
        (true, _, _) => "installed",
        (false, true, Availability::Ready) => "downloaded",
        (false, true, _) => "downloaded, not shared",
        (false, false, _) => "-",
    }
}

fn status(s: &Status) -> Vec<String> {
    let mut table = Table::new(&[("", Left), ("", Left)]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("Name", s.name.clone());
    row("Address", s.addr.to_string());
    row("Id", s.peer_id.clone());
    row("Games", s.games_dir.clone());
    row("State", s.state_dir.clone());
    row("Catalogue", room::catalog_in_words(&s.catalog));
    for offered in &s.catalog_offered {
        row("Offered", room::offered_in_words(offered));
    }
    if s.accepts_wants {
        row("Requests", "games that others request are downloaded automatically".to_owned());
    }
    row("Party", s.party.clone().unwrap_or_else(|| "open to everyone on the network".to_owned()));
    row("Peers", s.peer_count.to_string());
    if let Some(fault) = &s.library_fault {
        row("Library", format!("cannot be read; keeping the last known state: {}", fault.reason));
    }
    if s.library_read_only {
        row(
            "Library",
            "read-only: its games are shared, and nothing can be downloaded or installed there".to_owned(),
        );
    }
    for refused in &s.refused {
        let times = if refused.count > 1 { format!(", {} times", refused.count) } else { String::new() };
        row("Refused", format!("{}: {}{times}", refused.addr, refused.reason));
    }
    for operation in &s.active_operations {
        let verb = match operation.kind {
            OperationKind::Downloading => "Downloading",
            OperationKind::Installing => "Installing",
            OperationKind::Streaming => "Installing from the room",
            OperationKind::Uninstalling => "Uninstalling",
            OperationKind::Removing => "Removing",
            OperationKind::Verifying => "Verifying",
            OperationKind::Starting => "Starting",
        };
        let (done, total) = (operation.progress.done_bytes, operation.progress.total_bytes);
        let far = match total {
            0 => String::new(),
            _ => format!(
                ": {} % ({} of {})",
                human::percent(done, total),
                human::bytes(done),
                human::bytes(total)
            ),
        };
        row(verb, format!("{}{far}", operation.game_id));
    }
    for swarm in &s.swarms {
        for line in swarm_in_words(swarm) {
            row("", line);
        }
    }
    if s.limits != Limits::default() {
        row("Limits", limits_in_words(&s.limits));
    }
    for (game, chunks) in &s.active_outbound_transfers {
        row("Sending", format!("{game}: {}", human::count(*chunks, "chunk")));
    }
    table.lines().split_off(1)
}

/// Rate, time left and sources of one download.
fn swarm_in_words(swarm: &Swarm) -> Vec<String> {
    let left = swarm.seconds_left.map_or("waiting".to_owned(), |s| {
        format!("{}/s, {} left", human::bytes(swarm.bytes_per_second), human::millis(s * 1000))
    });
    let first = match swarm.priority {
        Priority::High => ", high priority",
        Priority::Low => ", low priority",
        Priority::Normal => "",
    };
    let head = format!(
        "{}: {} of {} chunks, {:.1} copies available, {left}{first}",
        swarm.game_id, swarm.chunks_had, swarm.chunks_total, swarm.copies
    );
    let source = |s: &SwarmSource| {
        let (bytes, rate) = (human::bytes(s.bytes), human::bytes(s.bytes_per_second));
        format!("  {}: has {} chunks, sent {bytes} at {rate}/s", s.name, s.chunks_has)
    };
    [head].into_iter().chain(swarm.sources.iter().map(source)).collect()
}

fn limits_in_words(limits: &Limits) -> String {
    let one = |name: &str, rate: Option<u64>| rate.map(|rate| format!("{name} {}/s", human::bytes(rate)));
    let said: Vec<String> =
        [one("upload", limits.upload), one("download", limits.download)].into_iter().flatten().collect();
    if said.is_empty() { "none".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use lanspread_api::error::Supplier;

    use super::*;

    fn game(id: &str, downloaded: bool, installed: bool, availability: Availability) -> GameInfo {
        GameInfo {
            game_id: id.to_owned(),
            title: None,
            downloaded,
            installed,
            availability,
            peer_count: 2,
            size: 128_000_000,
            eti_game_version: Some("20250101".to_owned()),
            local_version: None,
            installed_version: None,
            content_id: None,
            support: None,
            confirmed_by: 0,
            supplier: None,
            offered_content_id: None,
            update_needs_confirmation: false,
            dated_ahead: false,
            private: false,
            about: lanspread_api::reply::About::default(),
        }
    }

    #[test]
    fn wish_for_an_unknown_game_is_refused() {
        let games = [game("ggoo", false, false, Availability::Remote)];
        assert!(known(&games, "ggoo").is_ok());
        let error = known(&games, "nosuch").unwrap_err();
        assert_eq!((error.code, error.exit()), (ErrorCode::UnknownGame, lanspread_api::ExitCode::NotFound));
    }

    #[test]
    fn room_games_as_a_table() {
        let mut list = vec![
            game("ggoo", true, true, Availability::Ready),
            game("css", false, false, Availability::Remote),
            game("bf1942", true, false, Availability::LocalOnly),
        ];
        list[2].local_version = Some("20240101".to_owned());
        let eve = Supplier { peer_id: "4f".repeat(32), name: "Eve".to_owned(), key: "4f4f4f4f".to_owned() };
        list[0].support = Some(Support::Pinned);
        (list[1].support, list[1].supplier) = (Some(Support::Single), Some(eve));
        (list[2].support, list[2].confirmed_by) = (Some(Support::Agreed), 2);
        assert_eq!(
            games(&list).lines(),
            [
                "GAME    VERSION                     SIZE  HERE                    PEERS  CONFIRMED",
                "ggoo    20250101                  128 MB  installed                   2  by the catalogue",
                "css     20250101                  128 MB  -                           2  only Eve (4f4f4f4f)",
                "bf1942  20250101 (here 20240101)  128 MB  downloaded, not shared      2  by 2",
            ]
        );
        list[0].title = Some("Great Game of Old".to_owned());
        assert!(games(&list).lines()[0].starts_with("GAME    TITLE "));
    }

    #[test]
    fn room_games_fit_into_a_narrow_terminal() {
        let mut list = vec![game("a-game-with-a-long-name", true, false, Availability::LocalOnly)];
        list[0].title = Some("Great Game of Old, the Complete Collection".to_owned());
        list[0].local_version = Some("20240101".to_owned());
        for columns in [80, 40] {
            let lines = games(&list).lines_within(Some(columns));
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
            assert!(lines.concat().contains("128 MB"), "{lines:?}");
        }
    }
}
