//! The first start of a game.

use lanspread_api::reply::PlayReply;
use lanspread_api::{ErrorCode, Event, ReplyData, Request};

use super::flow::{KIB, await_installed};
use crate::games::{Content, Game};
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Outcome, Sabotage, Scenario, fail, require, require_eq};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S38",
    title: "first-play stamping",
    claim: "The first `play` stamps name and language, keeps line endings and everything else, and says so the second time; another install re-arms it",
    setup: "game with `account_name.txt`, `language.txt` and a CRLF `SmartSteamEmu.ini` below `local/`, each twice; client downloads and installs it",
    expected: "install leaves them; `play` before the install is refused; the first `play` changes exactly the first file of each name, to exactly the bytes expected; the second says `already_applied` and rewrites nothing (hashes and time stamps); after uninstall and install it stamps again",
    sabotages: &[
        Sabotage::new("stamp-last-file", &["what the first play made of"]).at("client"),
        Sabotage::new("stamp-lf", &["what the first play made of account_name.txt"]).at("client"),
        Sabotage::new("forget-played", &["the second play did not say already_applied"]).at("client"),
        Sabotage::new("never-arm", &["the first play said already_applied"]).at("client"),
        Sabotage::new("never-rearm", &["the play after the reinstall stamped nothing"]).at("client"),
    ],
    labs: EVERYWHERE,
    body: Body::Run(first_play),
}];

const INI: &[u8] = b"[SmartSteamEmu]\r\nAppId = 220\r\nPersonaName = Nobody\r\n; PersonaName = comment\r\n";
const INI_STAMPED: &[u8] =
    b"[SmartSteamEmu]\r\nAppId = 220\r\nPersonaName = Ada\r\n; PersonaName = comment\r\n";

fn play(peer: &Peer) -> Outcome<PlayReply> {
    match peer.ask(&request("Ada")?)? {
        ReplyData::Play(played) => Ok(played),
        other => fail!("play answered {other:?}"),
    }
}

fn request(user_name: &str) -> Outcome<Request> {
    Ok(Request::Play {
        game_id: game_id("ggoo")?,
        user_name: Some(user_name.to_owned()),
        language: Some("german".to_owned()),
        launch: false,
        confirm_content: None,
    })
}

fn first_play(lab: &Lab) -> Outcome {
    let file = |path: &str, content: &[u8]| (path.to_owned(), content.to_vec());
    let payload = vec![
        file("bin/game.exe", &[7; 64 << 10]),
        file("bin/steam/SmartSteamEmu.ini", INI),
        file("bin/steam/account_name.txt", b"Nobody\r\n"),
        file("lang/language.txt", b"english"),
        file("zz/deep/er/SmartSteamEmu.ini", INI),
        file("zz/deep/er/account_name.txt", b"Nobody\r\n"),
        file("zz/deep/language.txt", b"english"),
    ];
    let game = Game::new("ggoo").file("ggoo.eti", Content::Packed(payload));
    let source = lab.peer("source")?.game(&game)?.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    client.refuses(&request("Ada")?, ErrorCode::NotInstalled)?;
    let since = client.mark();
    client.download("ggoo", true)?;
    await_installed(&client, since, "ggoo")?;
    let local = client.game_dir("ggoo").join("local");
    let read = |path: &str| std::fs::read(local.join(path));
    require_eq!(read("bin/steam/account_name.txt")?, b"Nobody\r\n", "what the install left");
    let before = Manifest::of(&local)?;

    let played = play(&client)?;
    let wrote = ["bin/steam/SmartSteamEmu.ini", "bin/steam/account_name.txt", "lang/language.txt"];
    require!(!played.already_applied, "the first play said already_applied");
    require!(!played.launched, "play launched the game, although it was told not to");
    require_eq!(
        read("bin/steam/account_name.txt")?,
        b"Ada\r\n",
        "what the first play made of account_name.txt"
    );
    require_eq!(read("lang/language.txt")?, b"german", "what the first play made of language.txt");
    require_eq!(
        read("bin/steam/SmartSteamEmu.ini")?,
        INI_STAMPED,
        "what the first play made of SmartSteamEmu.ini"
    );
    let mut said = played.wrote.clone();
    said.sort();
    require_eq!(said, wrote, "what play says that it wrote");
    let mut others = Manifest::of(&local)?;
    let mut expected = before.clone();
    for path in wrote {
        others.0.remove(path);
        expected.0.remove(path);
    }
    others.require_equal(&expected, "the files that are not stamped")?;

    let stamped = Manifest::of(&local)?;
    let times =
        || wrote.iter().map(|p| std::fs::metadata(local.join(p))?.modified()).collect::<Result<Vec<_>, _>>();
    let written_at = times()?;
    let again = play(&client)?;
    require!(again.already_applied, "the second play did not say already_applied");
    require!(again.wrote.is_empty(), "the second play said that it wrote {} files", again.wrote.len());
    Manifest::of(&local)?.require_equal(&stamped, "after the second play")?;
    require_eq!(times()?, written_at, "the times of the stamped files");

    let since = client.mark();
    client.ask(&Request::Uninstall { game_id: game_id("ggoo")? })?;
    client.await_event(since, "uninstall-finished", |event| match event {
        Event::UninstallFinished { game_id } if game_id == "ggoo" => Some(()),
        _ => None,
    })?;
    client.ask(&Request::Install { game_id: game_id("ggoo")?, max_unpacked_bytes: None })?;
    await_installed(&client, since, "ggoo")?;
    Manifest::of(&local)?.require_equal(&before, "after the reinstall")?;
    let rearmed = play(&client)?;
    require!(!rearmed.already_applied, "the play after the reinstall stamped nothing");
    require_eq!(rearmed.wrote.len(), 3, "the files that play wrote after the reinstall");
    Manifest::of(&local)?.require_equal(&stamped, "after the play that follows it")?;
    require!(std::fs::metadata(local.join("bin/game.exe"))?.len() == 64 * KIB, "the program");
    Ok(())
}
