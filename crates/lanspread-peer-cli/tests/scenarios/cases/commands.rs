//! Commands that must be refused, because an operation runs or because they are not valid.

use std::collections::BTreeMap;

use lanspread_api::line::Id;
use lanspread_api::reply::OperationKind;
use lanspread_api::{ErrorCode, ErrorLine, Event, Line, Request};
use serde_json::json;

use super::flow::{
    MIB, await_finished, await_installed, await_operation, require_committed_once, require_same_game,
};
use crate::games::Game;
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S26",
        title: "duplicate command",
        claim: "A download that runs is not started a second time",
        setup: "client ← bravo, who sends 32 MB/s, 96 MiB; the first download is shown running as `Downloading` before the second is asked for",
        expected: "the second is refused with `operation-in-progress` naming the download, while the first still runs; the first commits exactly once",
        sabotages: &[
            Sabotage::new("allow-parallel-operations", &["client answered"]),
            Sabotage::new("commit-twice", &["how often ggoo was committed"]),
            Sabotage::new("lie-about-operation-kind", &["what the refusal says is running"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(duplicate_command),
    },
    Scenario {
        id: "S33",
        title: "operations exclude each other",
        claim: "Only one operation runs on a game at a time, and operations on other games run beside it",
        setup: "a game of 96 MiB, sent at 32 MB/s, while it is downloaded and while it is installed; another game beside it",
        expected: "`install`, `uninstall`, `remove-download`, `download` each refused with `operation-in-progress` and the kind that runs, while it runs; the other game is fetched and installed meanwhile",
        sabotages: &[
            Sabotage::new("allow-parallel-operations", &["the code that refuses install"]),
            Sabotage::new("global-operation-lock", &["the other game was held up by the large one"]),
            Sabotage::new("lie-about-operation-kind", &["what the refusal of install says is running"]),
            Sabotage::new("one-download-at-a-time", &["the other game waited for the large one"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(exclusive_operations),
    },
    Scenario {
        id: "S36",
        title: "bad commands",
        claim: "A peer answers any input with one line and keeps running",
        setup: "malformed JSON, no object, unknown command, missing and mistyped fields, ids that are paths, a line of 10 MB, invalid UTF-8",
        expected: "exactly one error line each with its stable code, and the `id` where it could be read; after each line `status` is answered; then it is as before, no event, nothing on the disk",
        sabotages: &[
            Sabotage::new(
                "accept-any-game-id",
                &["the code that refuses {\"cmd\":\"download\",\"game_id\":\"../ggoo\""],
            ),
            Sabotage::new("drop-error-id", &["the id on the answer to {\"cmd\":\"fly\""]),
            Sabotage::new("die-on-bad-line", &["alpha did not live on after"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(bad_commands),
    },
];

fn pair(lab: &Lab, games: &[&Game]) -> Outcome<(Peer, Peer)> {
    // Slow enough that the refusals come while the operation runs.
    let mut spec = lab.peer("bravo")?.upload_limit(32_000_000);
    for game in games {
        spec = spec.game(game)?;
    }
    let bravo = spec.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&bravo)?;
    for game in games {
        client.await_offered(&game.id, 1)?;
    }
    Ok((bravo, client))
}

fn duplicate_command(lab: &Lab) -> Outcome {
    let (bravo, client) = pair(lab, &[&Game::blob("ggoo", 26, 96 * MIB)])?;
    let since = client.mark();
    client.download("ggoo", false)?;
    await_operation(&client, "ggoo", OperationKind::Downloading)?;
    let request = Request::Download { game_id: game_id("ggoo")?, install: false, confirm_content: None };
    let error = client.refuses(&request, ErrorCode::OperationInProgress)?.error;
    let refused = client.mark();
    require_eq!(error.running, Some(OperationKind::Downloading), "what the refusal says is running");
    require_eq!(error.game_id.as_deref(), Some("ggoo"), "the game that the refusal is about");
    let (finished, _) = await_finished(&client, since, "ggoo")?;
    require!(
        refused <= finished,
        "the first download was over when the second was refused, which proves nothing"
    );
    client.await_idle()?;
    require_same_game(&client, &bravo, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

/// Requires that every operation on the game is refused because of the running one.
///
/// If that operation must still begin, its command goes first in the same write, so that it cannot be over before the
/// other commands arrive.
fn require_refused(peer: &Peer, game: &str, running: OperationKind, begin: Option<Request>) -> Outcome<Mark> {
    let game_id = game_id(game)?;
    let refused = [
        Request::Install { game_id: game_id.clone(), max_unpacked_bytes: None },
        Request::Uninstall { game_id: game_id.clone() },
        Request::RemoveDownload { game_id: game_id.clone() },
        Request::Download { game_id: game_id.clone(), install: false, confirm_content: None },
        Request::Download { game_id, install: true, confirm_content: None },
    ];
    let begins = begin.is_some();
    let together: Vec<Request> = begin.into_iter().chain(refused).collect();
    let answers = peer.say_together(&together)?;
    for (at, (request, answer)) in together.iter().zip(answers).enumerate() {
        let name = request.name().as_str();
        match answer {
            Ok(_) if begins && at == 0 => {}
            Err(error) if !(begins && at == 0) => {
                require_eq!(error.error.code, ErrorCode::OperationInProgress, "the code that refuses {name}");
                require_eq!(error.error.running, Some(running), "what the refusal of {name} says is running");
            }
            other => fail!("{} answered {name} with {other:?}", peer.name()),
        }
    }
    Ok(peer.mark())
}

fn exclusive_operations(lab: &Lab) -> Outcome {
    let large = Game::packed("large", &[("data/large.bin", 33, 96 * MIB)]);
    let other = Game::packed("other", &[("other.exe", 34, 100_000)]);
    let (bravo, client) = pair(lab, &[&large, &other])?;

    let since = client.mark();
    client.download("large", false)?;
    await_operation(&client, "large", OperationKind::Downloading)?;
    let refused = require_refused(&client, "large", OperationKind::Downloading, None)?;
    // The other game is not held up: its download begins while the first one runs.
    client
        .download("other", true)
        .map_err(|Failure(why)| Failure(format!("the other game was held up by the large one: {why}")))?;
    let begun = client.mark();
    let (downloaded, _) = await_finished(&client, since, "large")?;
    // A download that ended too soon would also be over before the refusals.
    require_same_game(&client, &bravo, "large")?;
    require!(refused <= downloaded && begun <= downloaded, "the download was over before the refusals were");
    let (fetched, _) = await_finished(&client, since, "other")?;
    let ready = await_installed(&client, since, "other")?;
    require!(fetched < downloaded && ready < downloaded, "the other game waited for the large one");

    // Installed separately, because an install during the download would end too soon.
    let install = Request::Install { game_id: game_id("large")?, max_unpacked_bytes: None };
    let refused = require_refused(&client, "large", OperationKind::Installing, Some(install))?;
    let installed = await_installed(&client, since, "large")?;
    require!(refused <= installed, "the install was over before the refusals were");

    client.await_idle()?;
    for game in ["large", "other"] {
        require_same_game(&client, &bravo, game)?;
        require_committed_once(&client, since, game)?;
        let installs = |e: &Event| matches!(e, Event::InstallFinished { game_id } if game_id == game);
        let installs = client.events_since(since).iter().filter(|e| installs(e)).count();
        require_eq!(installs, 1, "how often {game} was installed");
    }
    Ok(())
}

/// Returns bad lines, each with the code that it must be refused with and whether its id can be read.
fn bad_lines() -> Vec<(Vec<u8>, ErrorCode, bool)> {
    let with_id = |mut command: serde_json::Value, n: usize| {
        command["id"] = json!(format!("bad-{n}"));
        command.to_string().into_bytes()
    };
    let mut lines: Vec<(Vec<u8>, ErrorCode, bool)> = vec![
        (b"{".to_vec(), ErrorCode::MalformedJson, false),
        (b"status".to_vec(), ErrorCode::MalformedJson, false),
        (b"{\"cmd\":\"status\"} {}".to_vec(), ErrorCode::MalformedJson, false),
        (b"[]".to_vec(), ErrorCode::NotAnObject, false),
        (b"\"status\"".to_vec(), ErrorCode::NotAnObject, false),
        (b"null".to_vec(), ErrorCode::NotAnObject, false),
        (b"{\"cmd\":\"status\",\"id\":[1,}".to_vec(), ErrorCode::MalformedJson, false),
        (b"{\"cmd\":\"stat\xff\xfeus\"}".to_vec(), ErrorCode::InvalidUtf8, false),
        (
            [b"{\"cmd\":\"status\",\"x\":\"".as_slice(), &vec![b'x'; 10_000_000], b"\"}"].concat(),
            ErrorCode::LineTooLong,
            false,
        ),
    ];
    let objects = [
        (json!({ "cmd": "fly" }), ErrorCode::UnknownCommand),
        (json!({ "command": "Status" }), ErrorCode::UnknownCommand),
        (json!({}), ErrorCode::MissingField),
        (json!({ "cmd": 7 }), ErrorCode::InvalidField),
        (json!({ "cmd": "connect" }), ErrorCode::MissingField),
        (json!({ "cmd": "connect", "addr": 7 }), ErrorCode::InvalidField),
        (json!({ "cmd": "connect", "addr": "nowhere" }), ErrorCode::InvalidAddress),
        (json!({ "cmd": "wait-peers" }), ErrorCode::MissingField),
        (json!({ "cmd": "wait-peers", "count": -1 }), ErrorCode::InvalidField),
        (json!({ "cmd": "wait-peers", "count": "two" }), ErrorCode::InvalidField),
        (json!({ "cmd": "download" }), ErrorCode::MissingField),
        (json!({ "cmd": "download", "game_id": 7 }), ErrorCode::InvalidField),
        (json!({ "cmd": "download", "game_id": "ggoo", "install": "yes" }), ErrorCode::InvalidField),
        (json!({ "cmd": "download", "game_id": "../ggoo" }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "install", "game_id": "/etc" }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "uninstall", "game_id": "a\\b" }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "remove-download", "game_id": ".." }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "cancel-download", "game_id": "C:" }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "install", "game_id": "" }), ErrorCode::InvalidGameId),
        (json!({ "cmd": "set-game-dir" }), ErrorCode::MissingField),
        (json!({ "cmd": "set-game-dir", "path": [] }), ErrorCode::InvalidField),
    ];
    for (n, (command, code)) in objects.into_iter().enumerate() {
        lines.push((with_id(command, n), code, true));
    }
    lines
}

/// Returns the names in the folder that holds a peer's library. A game id that is a path upwards would create
/// something there.
fn beside(peer: &Peer) -> Outcome<Vec<std::ffi::OsString>> {
    let games = peer.games_dir();
    let mut names: Vec<_> = std::fs::read_dir(games.parent().unwrap_or(&games))?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    Ok(names)
}

fn is_number(id: &Id) -> bool {
    id.as_json().parse::<u64>().is_ok()
}

fn bad_commands(lab: &Lab) -> Outcome {
    let alpha = lab.peer("alpha")?.game(&Game::blob("ggoo", 36, 1000))?.start()?;
    alpha.await_served("ggoo")?;
    let (before, around) = (alpha.status()?, beside(&alpha)?);
    let start = alpha.mark();
    let answers = |since: Mark| {
        alpha.log().pick(since, |line| match line {
            Line::Error(error) => Some(Ok(error.clone())),
            // The harness numbers its own commands.
            Line::Result(result) if result.id.as_ref().is_some_and(is_number) => None,
            Line::Result(result) => Some(Err(format!("{result:?}"))),
            Line::Event(_) => None,
        })
    };
    for (line, code, readable) in bad_lines() {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let since = alpha.mark();
        alpha.say_raw(&[&line[..], b"\n"].concat())?;
        alpha
            .status()
            .map_err(|Failure(why)| Failure(format!("alpha did not live on after {shown}: {why}")))?;
        let error: ErrorLine = eventually(&format!("alpha answers {shown}"), || {
            Ok(match answers(since).into_iter().next() {
                Some((_, Ok(error))) => Ok(error),
                Some((_, Err(result))) => fail!("{shown} was accepted: {result}"),
                None => Err("no answer".to_owned()),
            })
        })?;
        require_eq!(error.error.code, code, "the code that refuses {shown}");
        require!(!error.error.message.trim().is_empty(), "{shown} was refused without a word");
        let id = serde_json::from_slice::<serde_json::Value>(&line).ok().map(|v| Id::from_json(&v["id"]));
        if readable {
            require_eq!(error.id, id, "the id on the answer to {shown}");
        } else {
            require_eq!(error.id, None, "the id on the answer to {shown}, which has none that can be read");
        }
    }
    let errors = answers(start);
    require_eq!(errors.len(), bad_lines().len(), "the answers in all, one for each line");
    let mut by_code: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, error) in &errors {
        if let Ok(error) = error {
            *by_code.entry(error.error.code.as_str()).or_default() += 1;
        }
    }
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    bad_lines().iter().for_each(|(_, code, _)| *expected.entry(code.as_str()).or_default() += 1);
    require_eq!(by_code, expected, "the answers by their codes");
    require_eq!(alpha.status()?, before, "the status after all that");
    require_eq!(alpha.events_since(start), [], "the events of all that");
    require_eq!(beside(&alpha)?, around, "what stands beside the library");
    let folders: Vec<_> = std::fs::read_dir(alpha.games_dir())?.flatten().map(|e| e.file_name()).collect();
    require!(
        folders.iter().all(|f| f == "ggoo" || f == ".lanspread"),
        "the library has new folders: {folders:?}"
    );
    Ok(())
}
