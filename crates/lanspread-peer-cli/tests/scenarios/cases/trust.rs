//! Trust in an open room: what a stranger can change of an owner's games, and which programs are started.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use lanspread_api::error::{FirstStart, Replacement};
use lanspread_api::event::{Repair, VerifyFinished};
use lanspread_api::reply::Support;
use lanspread_api::{ErrorBody, ErrorCode, Event, ReplyData, Request};
use lanspread_peer::calendar;
use lanspread_peer::trust::CalendarDate;

use super::flow::{KIB, await_finished, await_installed, require_same_game};
use crate::games::{CatalogFile, Content, Game, VERSION};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{
    Body, EVERYWHERE, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq,
};
use crate::stranger::{Stranger, offer};
use crate::transfer::{Transfer, pieces_of};
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S64",
        title: "one stranger cannot replace a game",
        claim: "In an open room, what one peer alone offers takes the place of nothing that is here without the owner's word, by a wish neither; a version dated after tomorrow is not offered at all",
        setup: "willing (`--accept-wants`) has the game installed from honest; stranger offers it dated today, with another program, and then wishes that everybody fetches it; prophet offers it, and a second game, dated 99991231; newcomer (`--accept-wants`) has nothing",
        expected: "`list-games` shows stranger's version as `single`, with its name and key, and never one of prophet's, which `list-peers` does show; the wish is told with `accepted: false` to both, and nothing is fetched; `download` is refused with `unconfirmed-source`, which names both versions and contents and the supplier, with no word and with one for another content; every file stays as it was; with the word for this content it is fetched and installed; a `download` of what only prophet offers is refused with `version-ahead`",
        sabotages: &[
            Sabotage::new("replace-unconfirmed", &["willing replaces its game on no word"]),
            Sabotage::new(
                "replace-on-any-word",
                &["willing replaces its game on a word for another content"],
            ),
            Sabotage::new(
                "grant-unpinned-wish",
                &["willing fulfils a stranger's wish for what no catalogue names"],
            ),
            Sabotage::new("believe-any-date", &["the games and versions that willing lists"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(one_stranger),
    },
    Scenario {
        id: "S65",
        title: "a program from unconfirmed content asks once",
        claim: "The first start of a program that no catalogue names is refused until the owner confirms its content; then it starts without a question, until the content changes",
        setup: "client installs a game with a program from source, later an update of it from editor; pinning installs it by a catalogue that names the content; owner has it from nobody",
        expected: "`play` with `launch` is refused with `unconfirmed-program`, which names program, arguments, content and supplier, with no word and with one for another content, and nothing has run; without `launch` it stamps as ever; with the word it runs; the second time, and after a restart, it runs without one; after the update it asks anew and names editor; pinning is never asked; owner is asked, and nobody is named",
        sabotages: &[
            Sabotage::new("start-unconfirmed", &["client starts an unconfirmed program on no word"]),
            Sabotage::new(
                "take-any-word",
                &["client starts an unconfirmed program on a word for another content"],
            ),
            Sabotage::new("forget-confirmed-start", &["client asks again before the second start"]),
            Sabotage::new("forget-origin", &["the suppliers that the question names"]),
            Sabotage::new("ask-about-pinned", &["pinning asks before the first start"]),
        ],
        // The container has no shell.
        labs: &[LabKind::Local, LabKind::Netns],
        body: Body::Run(asks_once),
    },
    Scenario {
        id: "S66",
        title: "one machine with many keys is one voice",
        claim: "Peers count by their address, not by their key: thirty keys of one machine outvote nobody, and confirm nothing",
        setup: "two honest sources; one machine enters the client's room with 30 keys that offer another content of the same version, and later a newer version; then a second machine offers that one, too",
        expected: "the client fetches the honest content from the honest two; `verify` finds it whole and keeps it; the newer version is `single` with `confirmed_by` 1, and `download` is refused with `unconfirmed-source`; with the second machine it is `agreed` with `confirmed_by` 2",
        sabotages: &[
            Sabotage::new(
                "count-ports-as-voices",
                &["the content that two machines offer and thirty keys of one do not"],
            ),
            Sabotage::new("one-source-only", &["the peers that served chunks"]),
        ],
        labs: &[LabKind::Local],
        body: Body::Run(one_machine),
    },
];

/// Number of keys of one machine.
const KEYS: u8 = 30;
const AHEAD: &str = "99991231";

/// Returns today's date as a version.
fn today() -> Outcome<u32> {
    calendar::today().map(CalendarDate::stamp).ok_or_else(|| Failure("this clock is wrong".to_owned()))
}

/// Returns a game with this program and these arguments.
fn with_program(version: &str, program: &[u8], args: &str) -> Game {
    let payload = vec![
        ("bin/go".to_owned(), program.to_vec()),
        ("data/level.dat".to_owned(), vec![program.len() as u8; 200 << 10]),
    ];
    Game::new("ggoo")
        .version(version)
        .file("ggoo.eti", Content::Packed(payload))
        .file("lanspread.toml", Content::Bytes(format!("start = \"bin/go\"\nargs = [{args}]\n").into_bytes()))
}

fn install_from(client: &Peer, source: &Peer, confirm: Option<String>) -> Outcome {
    let since = client.mark();
    client.ask(&download(confirm)?)?;
    await_finished(client, since, "ggoo")?;
    await_installed(client, since, "ggoo")?;
    require_same_game(client, source, "ggoo")
}

fn download(confirm_content: Option<String>) -> Outcome<Request> {
    Ok(Request::Download { game_id: game_id("ggoo")?, install: true, confirm_content })
}

fn content_of(peer: &Peer) -> Outcome<String> {
    let content = peer.await_served("ggoo")?.content_id;
    content.ok_or_else(|| Failure(format!("{} serves a game without a content id", peer.name())))
}

fn refused(peer: &Peer, request: &Request, code: ErrorCode) -> Outcome<ErrorBody> {
    Ok(peer.refuses(request, code)?.error)
}

/// Requires that a download that would replace the game asks the owner, and returns the question. `word` describes the
/// owner's word.
fn replacement(peer: &Peer, confirm: Option<String>, word: &str) -> Outcome<(Replacement, String)> {
    let Err(line) = peer.say(&download(confirm)?)? else {
        fail!("{} replaces its game on {word}", peer.name())
    };
    let error = line.error;
    require_eq!(error.code, ErrorCode::UnconfirmedSource, "why {} is refused on {word}", peer.name());
    match error.question.map(|question| (question.replacement, question.confirm)) {
        Some((Some(replacement), confirm)) => Ok((replacement, confirm)),
        _ => fail!("the refusal does not say what would be replaced: {:?}", error.message),
    }
}

fn one_stranger(lab: &Lab) -> Outcome {
    let near = today()?.to_string();
    let honest_game = with_program(VERSION, b"#!/bin/sh\n", "");
    let honest = lab.peer("honest")?.game(&honest_game)?.start()?;
    let willing = lab.peer("willing")?.arg("--accept-wants").start()?;
    let newcomer = lab.peer("newcomer")?.arg("--accept-wants").start()?;
    let stranger = lab.peer("stranger")?.game(&with_program(&near, b"#!/bin/sh\nexit 1\n", ""))?.start()?;
    let ahead = with_program(AHEAD, b"#!/bin/sh\nexit 2\n", "");
    let prophet = lab
        .peer("prophet")?
        .game(&ahead)?
        .game(&Game::blob("future", 64, 64 * KIB).version(AHEAD))?
        .start()?;
    let (old, forged) = (content_of(&honest)?, content_of(&stranger)?);
    for peer in [&willing, &newcomer] {
        peer.connect(&honest)?;
        peer.await_offered("ggoo", 1)?;
    }
    install_from(&willing, &honest, None)?;
    let before = Manifest::of(&willing.game_dir("ggoo"))?;
    let since = willing.mark();
    for peer in [&willing, &newcomer] {
        peer.connect(&prophet)?;
        peer.connect(&stranger)?;
        peer.await_peers(&[(&honest, &["ggoo"]), (&prophet, &["ggoo", "future"]), (&stranger, &["ggoo"])])?;
    }

    let advertised = willing.peers()?.into_iter().flat_map(|p| p.games).any(|g| g.eti_version == AHEAD);
    require!(
        advertised,
        "nobody advertises the version of the far future, so nothing is shown by its absence"
    );
    for peer in [&willing, &newcomer] {
        let listed: Vec<_> = peer.games()?.into_iter().map(|g| (g.game_id, g.eti_game_version)).collect();
        require_eq!(
            listed,
            vec![("ggoo".to_owned(), Some(near.clone()))],
            "the games and versions that {} lists",
            peer.name()
        );
    }
    let future = Request::Download { game_id: game_id("future")?, install: false, confirm_content: None };
    refused(&willing, &future, ErrorCode::VersionAhead)?;
    let seen =
        willing.await_game("ggoo", "as the stranger's alone", |g| g.support == Some(Support::Single))?;
    require_eq!(
        seen.supplier.map(|s| (s.peer_id, s.name, s.key)),
        Some((stranger.id(), "stranger".to_owned(), stranger.id()[..8].to_owned())),
        "the supplier of the update"
    );

    wish(&stranger, &[&willing, &newcomer])?;
    let unchanged = |when: &str| -> Outcome {
        willing.await_idle()?;
        Manifest::of(&willing.game_dir("ggoo"))?.require_equal(&before, when)
    };
    unchanged("the game after the stranger's wish")?;

    for word in [None, Some("f".repeat(64))] {
        let what = word.as_ref().map_or("no word", |_| "a word for another content");
        let (question, confirm) = replacement(&willing, word, what)?;
        let versions = (question.eti_version.as_deref(), question.new_eti_version.as_str());
        require_eq!(versions, (Some(VERSION), near.as_str()), "the versions that are named with {what}");
        let contents = (question.content_id.as_ref(), &question.new_content_id);
        require_eq!(contents, (Some(&old), &forged), "the contents that are named with {what}");
        require_eq!(question.supplier.peer_id, stranger.id(), "the supplier that is named with {what}");
        require_eq!(confirm, forged, "what confirms, with {what}");
    }
    require!(seen.update_needs_confirmation, "the update is not shown as one that asks");
    unchanged("the game after the questions")?;
    let touched = |event: &Event| {
        matches!(event, Event::GotGameFiles { .. } | Event::DownloadBegin { .. } | Event::InstallBegin { .. })
    };
    willing.require_none(since, "that it fetches or installs something", touched)?;
    newcomer.require_none(Mark(0), "that it fetches or installs something", touched)?;

    install_from(&willing, &stranger, Some(forged.clone()))?;
    require_eq!(willing.game("ggoo")?.and_then(|g| g.installed_version), Some(near), "what is installed");
    let program = std::fs::read(willing.game_dir("ggoo").join("local/bin/go"))?;
    require_eq!(program, b"#!/bin/sh\nexit 1\n", "the program, after the owner's word");
    let never =
        |event: &Event| matches!(event, Event::GotGameFiles { eti_version, .. } if eti_version == AHEAD);
    willing.require_none(Mark(0), "a download from the far future", never)
}

/// Lets the stranger ask all peers to download its game, and requires that none does.
fn wish(stranger: &Peer, others: &[&Peer]) -> Outcome {
    let marks: Vec<Mark> = others.iter().map(|peer| peer.mark()).collect();
    stranger.ask(&Request::WantGame { game_id: game_id("ggoo")? })?;
    for (peer, since) in others.iter().zip(marks) {
        let heard = |event: &Event| match event {
            Event::DownloadWanted { peer_id, game_id, accepted, .. } => {
                (*peer_id == stranger.id() && game_id == "ggoo").then_some(*accepted)
            }
            _ => None,
        };
        let (_, accepted) = peer.await_event(since, "the stranger's wish", heard)?;
        require!(!accepted, "{} fulfils a stranger's wish for what no catalogue names", peer.name());
    }
    Ok(())
}

fn play(launch: bool, confirm_content: Option<String>) -> Outcome<Request> {
    Ok(Request::Play { game_id: game_id("ggoo")?, user_name: None, language: None, launch, confirm_content })
}

/// Requires that a start asks the owner, and returns the question. `word` describes the owner's word.
fn first_start(peer: &Peer, confirm: Option<String>, word: &str) -> Outcome<(FirstStart, String)> {
    let Err(line) = peer.say(&play(true, confirm)?)? else {
        fail!("{} starts an unconfirmed program on {word}", peer.name())
    };
    let error = line.error;
    require_eq!(error.code, ErrorCode::UnconfirmedProgram, "why {} is refused on {word}", peer.name());
    match error.question.map(|question| (question.first_start, question.confirm)) {
        Some((Some(start), confirm)) => Ok((start, confirm)),
        _ => fail!("the refusal does not say what would be started: {:?}", error.message),
    }
}

/// Starts the game, which must not ask, and waits for its end. `asks` is the failure if it asks.
fn run(peer: &Peer, confirm: Option<String>, asks: &str) -> Outcome {
    let since = peer.mark();
    match peer.say(&play(true, confirm)?)? {
        Ok(ReplyData::Play(played)) => {
            require!(played.launched, "{} did not start it: {played:?}", peer.name());
        }
        Ok(other) => fail!("play answered {other:?}"),
        Err(line) if line.error.code == ErrorCode::UnconfirmedProgram => {
            fail!("{} {asks}", peer.name())
        }
        Err(line) => fail!("{} refused play: {:?}", peer.name(), line.error.code),
    }
    let ended = |event: &Event| matches!(event, Event::PlayEnded { .. }).then_some(());
    peer.await_event(since, "the end of the program", ended).map(drop)
}

/// Returns what the game's program has written, run after run.
fn runs(peer: &Peer) -> String {
    std::fs::read_to_string(peer.game_dir("ggoo").join("local/bin/ran")).unwrap_or_default()
}

/// Requires that the question before a first start names the program, arguments, content and suppliers.
fn require_question(
    found: &(FirstStart, String),
    client: &Peer,
    content: &str,
    supplier: Option<&Peer>,
) -> Outcome {
    let (question, confirm) = found;
    let program = client.game_dir("ggoo").join("local/bin/go");
    require_eq!(Path::new(&question.program), program.as_path(), "the program that the question names");
    require_eq!(question.args, vec!["two words".to_owned()], "its arguments");
    require_eq!(question.content_id, content, "the content that the question names");
    require_eq!(confirm, content, "what confirms");
    let named: Vec<_> = question.suppliers.iter().map(|s| (s.peer_id.clone(), s.name.clone())).collect();
    let expected: Vec<_> = supplier.iter().map(|peer| (peer.id(), peer.name().to_owned())).collect();
    require_eq!(named, expected, "the suppliers that the question names");
    Ok(())
}

fn asks_once(lab: &Lab) -> Outcome {
    let program = |word: &str| format!("#!/bin/sh\necho \"{word} $1\" >> ran\n").into_bytes();
    let first = with_program(VERSION, &program("first"), "\"two words\"");
    let second = with_program("20250202", &program("second"), "\"two words\"");
    let source = lab.peer("source")?.game(&first)?.start()?;
    let content = content_of(&source)?;
    let client = lab.peer("client")?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    install_from(&client, &source, None)?;

    require_question(&first_start(&client, None, "no word")?, &client, &content, Some(&source))?;
    first_start(&client, Some("e".repeat(64)), "a word for another content")?;
    client.await_idle()?;
    require_eq!(runs(&client), "", "what ran before the owner's word");
    match client.ask(&play(false, None)?)? {
        ReplyData::Play(played) => require!(!played.launched, "it was started without `launch`: {played:?}"),
        other => fail!("play answered {other:?}"),
    }
    run(&client, Some(content.clone()), "asks in spite of the word")?;
    run(&client, None, "asks again before the second start")?;
    client.shut_down()?;
    client.restart()?;
    client.await_served("ggoo")?;
    run(&client, None, "asks again after a restart")?;
    require_eq!(runs(&client), "first two words\n".repeat(3), "what ran after the owner's word");

    let editor = lab.peer("editor")?.game(&second)?.start()?;
    let changed = content_of(&editor)?;
    client.connect(&editor)?;
    client.await_game("ggoo", "in its new version", |g| g.eti_game_version.as_deref() == Some("20250202"))?;
    install_from(&client, &editor, Some(changed.clone()))?;
    let question = first_start(&client, None, "no word for the update")?;
    require_question(&question, &client, &changed, Some(&editor))?;
    run(&client, Some(changed), "asks in spite of the word for the update")?;
    require_eq!(
        runs(&client),
        "first two words\n".repeat(3) + "second two words\n",
        "what ran after the update and the word for it"
    );

    let catalog = CatalogFile::default().pinned("ggoo", VERSION, &content);
    let pinning = lab.peer("pinning")?.catalog(&catalog)?.start()?;
    pinning.connect(&source)?;
    let seen = pinning.await_offered("ggoo", 1)?;
    require_eq!(seen.support, Some(Support::Pinned), "the support of a pinned content");
    install_from(&pinning, &source, None)?;
    run(&pinning, None, "asks before the first start")?;
    require_eq!(runs(&pinning), "first two words\n", "what ran where the catalogue names the content");

    let owner = lab.peer("owner")?.game(&first)?.start()?;
    owner.await_served("ggoo")?;
    let since = owner.mark();
    owner.ask(&Request::Install { game_id: game_id("ggoo")?, max_unpacked_bytes: None })?;
    await_installed(&owner, since, "ggoo")?;
    require_question(&first_start(&owner, None, "no word")?, &owner, &content, None)
}

fn one_machine(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 66, 512 * KIB);
    let honest = [lab.peer("honest1")?.game(&game)?.start()?, lab.peer("honest2")?.game(&game)?.start()?];
    let client = lab.peer("client")?.start()?;
    for source in &honest {
        source.await_served("ggoo")?;
        client.connect(source)?;
    }
    client.await_offered("ggoo", 2)?;

    let version: u32 = VERSION.parse()?;
    let machine = |last: u8| IpAddr::V4(Ipv4Addr::new(127, 0, 66, last));
    let (forged, newer) =
        (offer("ggoo", version, [6; 32], 600 * KIB)?, offer("ggoo", today()?, [7; 32], 600 * KIB)?);
    let mut keys = Vec::new();
    for n in 0..KEYS {
        let mut key = Stranger::enter(client.addr()?, machine(1), &format!("key{n}"))?;
        key.announce(std::slice::from_ref(&forged));
        keys.push(key);
    }
    let crowd = usize::from(KEYS);
    await_announced(&client, crowd, &"06".repeat(32))?;
    let since = client.mark();
    let ask = Request::Download { game_id: game_id("ggoo")?, install: false, confirm_content: None };
    let ReplyData::Download(chosen) = client.ask(&ask)? else { fail!("download answered something else") };
    let theirs = honest[0].await_served("ggoo")?.content_id;
    require_eq!(
        chosen.content_id,
        theirs,
        "the content that two machines offer and thirty keys of one do not"
    );
    await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&pieces_of(&Manifest::root_files(&honest[0].game_dir("ggoo"))?))?;
    transfer.require_sources(&[&honest[0], &honest[1]])?;
    require_same_game(&client, &honest[0], "ggoo")?;

    let since = client.mark();
    client.ask(&Request::Verify { game_id: game_id("ggoo")?, repair: true })?;
    let (_, verdict) = client.await_event(since, "the end of the verification", |event| match event {
        Event::VerifyFinished(verdict) => Some(verdict.clone()),
        _ => None,
    })?;
    let VerifyFinished { repair, room_content_id, .. } = verdict;
    require_eq!((repair, room_content_id), (Repair::NotNeeded, None), "the verdict on the honest copy");

    keys.iter_mut().for_each(|key| key.announce(std::slice::from_ref(&newer)));
    await_announced(&client, crowd, &"07".repeat(32))?;
    let seen = client.await_game("ggoo", "in its newer version", |g| g.peer_count == crowd)?;
    require_eq!(
        (seen.support, seen.confirmed_by, seen.update_needs_confirmation),
        (Some(Support::Single), 1, true),
        "what stands behind a version that one machine offers with {KEYS} keys"
    );
    let (question, _) = replacement(&client, None, "no word")?;
    require_eq!(question.new_content_id, "07".repeat(32), "the content that the question names");
    require_same_game(&client, &honest[0], "ggoo")?;

    let mut second = Stranger::enter(client.addr()?, machine(2), "second")?;
    second.announce(std::slice::from_ref(&newer));
    let seen = client.await_game("ggoo", "confirmed by a second machine", |g| g.peer_count == crowd + 1)?;
    require_eq!(
        (seen.support, seen.confirmed_by),
        (Some(Support::Agreed), 2),
        "what two machines make of it"
    );
    while second.next(Duration::ZERO).is_some() {}
    Ok(())
}

/// Waits until exactly `count` peers announce this content.
fn await_announced(client: &Peer, count: usize, content: &str) -> Outcome {
    eventually(&format!("{count} peers announce {content}"), || {
        let peers = client.peers()?;
        let found = peers.iter().filter(|p| p.games.iter().any(|g| g.content_id == content)).count();
        Ok(seen_if(found == count, || format!("{found} of {} peers", peers.len())))
    })
}
