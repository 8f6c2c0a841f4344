//! Tests of commands by the state of the game.

use std::slice::from_ref;
use std::sync::Arc;

use lanspread_types::{ContentId, GameContent, GameId, GameVersion};

use super::party::{Answer, Party, content, game, sources_of};
use super::{SECOND, listed, verdict};
use crate::api::command::{Command, CommandError, Reply};
use crate::api::event::Repair;
use crate::catalog::Catalog;
use crate::io::{DiskError, DiskJob, DiskReport, Input, ScannedGame};

type Ask = fn(GameId) -> Command;

const INSTALL: Ask = |game| Command::Install { game };
const UNINSTALL: Ask = |game| Command::Uninstall { game };
const REMOVE: Ask = |game| Command::RemoveDownload { game };
const VERIFY: Ask = |game| Command::Verify { game, repair: false };
const CANCEL: Ask = |game| Command::CancelDownload { game };

fn ask(party: &mut Party, what: Ask) -> Option<Answer> {
    party.command(0, what(game("ggoo")))
}

const DONE: Option<Answer> = Some(Ok(Reply::Done));

/// Guest 0 has the game on its disk in this state.
fn with_game(shared: &Arc<GameContent>, state: impl Fn(&mut ScannedGame)) -> Party {
    let mut party = Party::new(&[from_ref(shared)]);
    let mut scan = party.guests[0].scan();
    scan.games.iter_mut().for_each(state);
    party.input(0, Input::Disk(DiskReport::Scanned(scan)));
    party.settle();
    party.guests[0].jobs.clear();
    party
}

fn version(number: u32) -> Option<GameVersion> {
    GameVersion::new(number).ok()
}

#[test]
fn outdated_install_is_reinstalled() {
    let shared = content("ggoo", 4, 7);
    for (installed, anew) in [(None, false), (version(20_250_101), false), (version(20_240_101), true)] {
        let installed = || with_game(&shared, |g| (g.installed, g.installed_version) = (true, installed));
        let reinstalls = |party: &Party| {
            let reinstall = |job: &&DiskJob| matches!(job, DiskJob::Reinstall { .. });
            party.guests[0].jobs.iter().filter(reinstall).count()
        };
        let mut party = installed();
        let refused = Some(Err(CommandError::AlreadyInstalled { game: game("ggoo") }));
        assert_eq!(ask(&mut party, INSTALL), if anew { DONE } else { refused });
        assert_eq!(reinstalls(&party), usize::from(anew));

        let mut party = installed();
        let answer = party.command(0, Command::Download { game: game("ggoo"), install: true, confirm: None });
        assert_eq!(answer, Some(Ok(Reply::AlreadyThere { game: game("ggoo") })));
        assert_eq!(reinstalls(&party), usize::from(anew));
    }
}

#[test]
fn commands_on_missing_parts_are_refused() {
    let shared = content("ggoo", 4, 7);
    let refused = |state: fn(&mut ScannedGame), what: Ask, why: CommandError| {
        let mut party = with_game(&shared, state);
        assert_eq!(ask(&mut party, what), Some(Err(why)));
        assert!(party.guests[0].jobs.is_empty() && party.status(0).operations.is_empty());
    };
    let (not_downloaded, not_installed) = (
        CommandError::NotDownloaded { game: game("ggoo") },
        CommandError::NotInstalled { game: game("ggoo") },
    );
    let only_installed: fn(&mut ScannedGame) = |g| (g.version, g.installed) = (None, true);
    refused(only_installed, REMOVE, not_downloaded.clone());
    refused(only_installed, VERIFY, not_downloaded.clone());
    refused(|_| {}, UNINSTALL, not_installed);
    let without_its_archives: fn(&mut ScannedGame) =
        |g| (g.installed, g.installed_version, g.version) = (true, g.version, None);
    refused(without_its_archives, INSTALL, not_downloaded);

    let mut party = with_game(&shared, |g| g.installed = true);
    assert_eq!(ask(&mut party, UNINSTALL), DONE);
    let shown = party.games(0).remove(0);
    assert_eq!((shown.downloaded, shown.installed), (true, false));
}

#[test]
fn deletions_cannot_be_cancelled() {
    for (what, installed, may) in
        [(INSTALL, false, true), (VERIFY, false, true), (REMOVE, false, false), (UNINSTALL, true, false)]
    {
        let mut party = with_game(&content("ggoo", 4, 7), |g| g.installed = installed);
        party.guests[0].hold_jobs = true;
        assert_eq!(ask(&mut party, what), DONE);
        let refused = Some(Err(CommandError::NothingToCancel { game: game("ggoo") }));
        assert_eq!(ask(&mut party, CANCEL), if may { DONE } else { refused });
        let told = matches!(party.guests[0].held.back(), Some(DiskJob::Cancel { .. }));
        assert_eq!(told, may, "{:?}", party.guests[0].held);
    }
}

#[test]
fn library_moves_only_at_rest() {
    let mut party = Party::new(&[&[content("ggoo", 4, 7)], &[]]);
    party.connect(1, 0);
    let change = |party: &mut Party| party.command(0, Command::SetGamesDir { path: "other".into() });
    party.guests[0].hold_jobs = true;
    assert_eq!(ask(&mut party, VERIFY), DONE);
    assert_eq!(change(&mut party), Some(Err(CommandError::Busy)), "a game is being verified");
    party.release_jobs(0);
    assert_eq!(party.games(1).len(), 1);

    party.guests[0].hold_jobs = true;
    assert_eq!(change(&mut party), None);
    assert_eq!(change(&mut party), Some(Err(CommandError::Busy)), "it is moving already");
    party.release_jobs(0);
    assert_eq!(party.guests[0].answers.pop_first().map(|a| a.1), DONE);
    assert_eq!((party.games(0), party.games(1)), (vec![], vec![]), "others are told, too");
    assert_eq!(party.status(0).games_dir.to_str(), Some("other"));
}

#[test]
fn unopenable_folder_changes_nothing() {
    let mut party = Party::new(&[&[content("ggoo", 4, 7)]]);
    party.guests[0].hold_jobs = true;
    party.command(0, Command::SetGamesDir { path: "nowhere".into() });
    let error = DiskError::Other("nowhere".to_owned());
    party.input(0, Input::Disk(DiskReport::GamesDirChanged { result: Err(error.clone()) }));
    party.settle();
    let answer = party.guests[0].answers.pop_first().map(|a| a.1);
    assert_eq!(answer, Some(Err(CommandError::Disk(error))));
    assert_eq!(party.status(0).games_dir.to_str(), Some("games"), "that is where it still is");
    assert_eq!(party.games(0).len(), 1);
}

#[test]
fn stopping_node_accepts_only_shutdown() {
    let mut party = with_game(&content("ggoo", 4, 7), |_| {});
    party.guests[0].hold_jobs = true;
    ask(&mut party, INSTALL);
    assert_eq!(party.command(0, Command::Shutdown), None);
    assert_eq!(party.command(0, Command::Status), Some(Err(CommandError::ShuttingDown)));
    assert_eq!(party.command(0, Command::Shutdown), None);
    party.release_jobs(0);
    let answers: Vec<Answer> = party.guests[0].answers.values().cloned().collect();
    assert_eq!(answers, [Ok(Reply::Done), Ok(Reply::Done)]);
}

/// A room in which most peers have another content than the catalogue names.
fn pinned_room() -> (Party, ContentId) {
    let (right, wrong) = ([content("ggoo", 4, 7)], [content("ggoo", 4, 9)]);
    let pinned = right[0].content_id();
    let mut catalog = listed(&["ggoo"]);
    let Catalog::Listed { games, .. } = &mut catalog else { unreachable!() };
    games.values_mut().for_each(|entry| entry.content = Some(pinned));
    let mut party = Party::with_catalog(&[&[], &right, &wrong, &wrong], &catalog);
    for (a, b) in [(0, 1), (0, 2), (0, 3), (2, 1), (2, 3)] {
        party.connect(a, b);
    }
    (party, pinned)
}

#[test]
fn pinned_content_beats_any_majority() {
    let (mut party, pinned) = pinned_room();
    assert_eq!(party.games(0)[0].peer_count, 1);
    party.download(0, "ggoo");
    assert_eq!(sources_of(&party, 0).into_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(party.games(0)[0].content, Some(pinned));

    let already = Some(Ok(Reply::AlreadyThere { game: game("ggoo") }));
    assert_eq!(party.download(0, "ggoo"), already);
    assert!(matches!(party.download(2, "ggoo"), Some(Ok(Reply::DownloadStarted { .. }))));
    party.pass(SECOND);
    assert_eq!(party.games(2)[0].content, Some(pinned), "another one of the same version is not it");
}

#[test]
fn intact_copy_that_is_not_pinned_is_replaced() {
    let (mut party, pinned) = pinned_room();
    party.command(2, Command::Verify { game: game("ggoo"), repair: true });
    let verdict = verdict(&party, 2);
    assert_eq!((verdict.room_has, verdict.repair), (Some(pinned), Repair::Started));
    party.pass(SECOND);
    assert_eq!(party.games(2)[0].content, Some(pinned));
}
