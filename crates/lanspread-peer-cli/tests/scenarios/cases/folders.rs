//! Folders that only one process at a time may use.

use std::path::Path;
use std::time::Duration;

use lanspread_api::{ErrorBody, ErrorCode, Line};

use crate::bare::{Bare, Ended, arg};
use crate::games::Game;
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::scenario::{Body, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S76",
    title: "one folder, one process",
    claim: "A state folder and a games folder belong to one process at a time, and `--fixture` touches neither a folder in use nor a file that is there",
    setup: "owner runs with a game; a second process on its state folder with a games folder of its own; a third on its games folder with a state folder of its own and `--fixture extra`; each tried again once owner is killed. Then `--fixture ggoo` where a user's archive `ggoo.eti` stands without a sentinel",
    expected: "the second and third end with exit code 3 and `state-dir-in-use` or `games-dir-in-use`, naming owner's process and since when; the games folder keeps exactly its files and owner offers exactly its game; after the kill both start; the user's archive keeps its bytes and the start is refused with `fixture-in-the-way`",
    sabotages: &[
        Sabotage::new("share-folders", &["the exit code of same-state"]),
        Sabotage::new("overwrite-with-fixture", &["the user's archive after --fixture is another one"]),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(one_process),
}];

/// Longest time for a refusal. It usually comes at once; on Windows the program retries for a second and a half.
const REFUSED_MAX: Duration = Duration::from_secs(20);

fn one_process(lab: &Lab) -> Outcome {
    let owner = lab.peer("owner")?.game(&Game::blob("ggoo", 76, 100_000))?.start()?;
    owner.await_served("ggoo")?;
    let Some(process) = owner.process_id() else { fail!("owner does not run") };
    let (games, id) = (owner.games_dir(), owner.id());
    let state = games.with_file_name("state");
    let before = Manifest::root_files(&owner.game_dir("ggoo"))?;

    let same_state = ["--state-dir", arg(&state)?];
    let same_games = ["--games-dir", arg(&games)?, "--fixture", "extra"];
    for (name, args, code) in [
        ("same-state", &same_state[..], ErrorCode::StateDirInUse),
        ("same-games", &same_games[..], ErrorCode::GamesDirInUse),
    ] {
        let error = refused(lab, name, args, code)?;
        let Some(holder) = &error.held_by else { fail!("{name} is not told who has the folder") };
        require_eq!(holder.pid, process, "the process that {name} is told of");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        require!(
            holder.since_unix_s <= now && holder.since_unix_s + 3600 > now,
            "{name} is told of a strange time: {holder:?} at {now}"
        );
        require!(error.message.contains(&process.to_string()), "{name} does not name the process: {error}");
    }
    let folders = entries(&games)?;
    require_eq!(
        folders,
        [".lanspread", "ggoo"],
        "what stands in the games folder that two processes were started on"
    );
    Manifest::root_files(&owner.game_dir("ggoo"))?.require_equal(&before, "the owner's game")?;
    let offered: Vec<String> = owner.games()?.into_iter().map(|game| game.game_id).collect();
    require_eq!(offered, ["ggoo"], "the games of the owner");

    owner.kill();
    owner.restart()?;
    require_eq!(owner.id(), id, "the identity after a kill");
    owner.shut_down()?;
    let second = lab.folder("heir")?.join("state");
    let heir = Bare::start(
        lab,
        "heir",
        &["--games-dir", arg(&games)?, "--fixture", "extra", "--state-dir", arg(&second)?],
    )?;
    let Ended { status, .. } = ended(heir)?;
    require!(status.success(), "a games folder that nobody has any more is refused: {status}");
    require_eq!(entries(&games)?, [".lanspread", "extra", "ggoo"], "the games folder with a fixture");

    let own = lab.folder("user")?.join("games/ggoo");
    std::fs::create_dir_all(&own)?;
    std::fs::write(own.join("ggoo.eti"), "the user's own archive")?;
    let refusal = refused(lab, "user", &["--fixture", "ggoo"], ErrorCode::FixtureInTheWay);
    let kept = std::fs::read(own.join("ggoo.eti"))?;
    require!(kept == b"the user's own archive", "the user's archive after --fixture is another one");
    require_eq!(entries(&own)?, ["ggoo.eti"], "the user's folder after --fixture");
    refusal.map(drop)
}

/// Starts a process that must be refused. Returns the error.
fn refused(lab: &Lab, name: &str, args: &[&str], code: ErrorCode) -> Outcome<ErrorBody> {
    let Ended { status, lines, .. } = ended(Bare::start(lab, name, args)?)?;
    require_eq!(status.code(), Some(3), "the exit code of {name}");
    let error = lines.into_iter().find_map(|line| match line {
        Line::Error(line) => Some(line.error),
        _ => None,
    });
    let Some(error) = error else { fail!("{name} ended without an error") };
    require_eq!(error.code, code, "the code that refuses {name}");
    require!(error.hint.is_some(), "{name} is refused without a hint");
    Ok(error)
}

/// Closes the input of a process and waits for its end.
fn ended(mut process: Bare<'_>) -> Outcome<Ended> {
    process.close_input();
    process.await_end(REFUSED_MAX, "ends")
}

/// Returns the names in a folder, sorted.
fn entries(folder: &Path) -> Outcome<Vec<String>> {
    let names = std::fs::read_dir(folder)?.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}
