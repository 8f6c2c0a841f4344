//! Archives that unpack to far more than their own size.

use lanspread_api::{ErrorCode, Event, Request};
use rars::{ArchiveVersion, Builder};

use super::flow::{MIB, await_finished, await_installed};
use crate::figures;
use crate::games::{Content, Game};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S73",
    title: "an archive that unpacks to far more than it is",
    claim: "A game of a few kilobytes that unpacks to more than a gigabyte is not unpacked without its owner's word, neither after the download nor while it is streamed",
    setup: "source with a game of twenty archives, each with one file of 64 MiB of zeros in a few kilobytes; client downloads it with install, streams it, and then installs it with `max_unpacked_bytes` that allows it",
    expected: "the download finishes, its install fails with `unpacks-large` and the size; the streamed install fails with the same code; nothing is under local and no staging is left; with the field it is installed, every file in full size",
    sabotages: &[
        Sabotage::new("unpack-anything", &["a bomb was unpacked without a question after its download"]),
        Sabotage::new("stream-anything", &["a bomb was unpacked without a question while it was streamed"])
            .at("streams"),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(bomb),
}];

const ARCHIVES: u64 = 20;
const EACH: u64 = 64 * MIB;

fn bomb(lab: &Lab) -> Outcome {
    let packed = zeros()?;
    let mut game = Game::new("bomb");
    for at in 0..ARCHIVES {
        let archive = renamed(&packed, &format!("{at:02}.bin"))?;
        game = game.file(&format!("{at:02}.eti"), Content::Bytes(archive));
    }
    let source = lab.peer("source")?.game(&game)?.start()?;
    source.await_served("bomb")?;
    let stated = |failed: (ErrorCode, Option<u64>)| -> Outcome<u64> {
        match failed {
            (ErrorCode::UnpacksLarge, Some(bytes)) => Ok(bytes),
            other => fail!("a bomb failed with {other:?}"),
        }
    };

    let client = lab.peer("client")?.start()?;
    client.connect(&source)?;
    client.await_offered("bomb", 1)?;
    let since = client.mark();
    client.download("bomb", true)?;
    await_finished(&client, since, "bomb")?;
    let told = stated(await_refused(&client, since, "after its download")?)?;
    require_eq!(told, ARCHIVES * EACH, "what it is said to unpack to");
    require_nothing_unpacked(&client)?;

    let streams = lab.peer("streams")?.start()?;
    streams.connect(&source)?;
    streams.await_offered("bomb", 1)?;
    let since = streams.mark();
    streams.ask(&Request::StreamInstall { game_id: game_id("bomb")?, max_unpacked_bytes: None })?;
    let told = stated(await_refused(&streams, since, "while it was streamed")?)?;
    require!(told > 1 << 30, "it was given up at {told} bytes already");
    require_nothing_unpacked(&streams)?;

    let since = client.mark();
    let max_unpacked_bytes = Some(ARCHIVES * EACH);
    client.ask(&Request::Install { game_id: game_id("bomb")?, max_unpacked_bytes })?;
    await_installed(&client, since, "bomb")?;
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(client.game_dir("bomb").join("local"))? {
        sizes.push(entry?.metadata()?.len());
    }
    require_eq!(sizes, vec![EACH; ARCHIVES as usize], "the sizes of what was unpacked with the owner's word");
    let archives: usize = packed.len() * ARCHIVES as usize;
    figures::note(
        "S73",
        format!(
            "{} KiB of archives that unpack to {} MiB are refused",
            archives >> 10,
            (ARCHIVES * EACH) / MIB
        ),
    );
    Ok(())
}

/// Waits for the end of the install, which must be a failure. Returns its code and the size that it names. `how` says
/// which way the game took.
fn await_refused(peer: &Peer, since: Mark, how: &str) -> Outcome<(ErrorCode, Option<u64>)> {
    let (_, end) = peer.await_end(since, "the end of the install", |event| match event {
        Event::InstallFailed(failure) => Some(Ok((failure.code, failure.unpacked_bytes))),
        Event::DownloadFailed { code, unpacked_bytes, .. } => Some(Ok((*code, *unpacked_bytes))),
        Event::InstallFinished { .. } => Some(Err(format!("a bomb was unpacked without a question {how}"))),
        _ => None,
    })?;
    end.map_err(Failure)
}

fn require_nothing_unpacked(peer: &Peer) -> Outcome {
    peer.await_idle()?;
    require!(!peer.game_dir("bomb").join("local").exists(), "a bomb was unpacked under local");
    let staging = Manifest::of(&peer.games_dir().join(".lanspread").join("staging"));
    let left = staging.map_or(0, |left| left.bytes());
    require!(left == 0, "{left} bytes of a bomb are left");
    Ok(())
}

/// Returns a compressed archive of one file of zeros with the name `__.bin`.
fn zeros() -> Outcome<Vec<u8>> {
    let mut builder = Builder::new(ArchiveVersion::Rar50);
    builder.add_bytes(b"__.bin".to_vec(), vec![0; EACH as usize], None, None)?;
    Ok(builder.to_bytes()?)
}

/// Longest header of an archive with one short name, in bytes.
const HEADER_MAX: usize = 256;

/// Returns the archive with another name of the same length for its file.
fn renamed(archive: &[u8], name: &str) -> Outcome<Vec<u8>> {
    let mut archive = archive.to_vec();
    let Some(at) = memchr::memmem::find(&archive, b"__.bin") else { fail!("the archive has no such name") };
    // The name is part of a header. Its bounds are those for which the checksum in front of the header matches.
    let ends = at + name.len()..archive.len().min(at + HEADER_MAX);
    for start in (4..at).rev().take(HEADER_MAX) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&archive[start..ends.start]);
        for end in ends.clone() {
            if crc.clone().finalize().to_le_bytes() == archive[start - 4..start] {
                archive[at..at + name.len()].copy_from_slice(name.as_bytes());
                let crc = crc32fast::hash(&archive[start..end]).to_le_bytes();
                archive[start - 4..start].copy_from_slice(&crc);
                return Ok(archive);
            }
            crc.update(&archive[end..=end]);
        }
    }
    fail!("the name is in no header")
}
