//! Closed parties: which peers are admitted, and what the other peers get.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lanspread_api::event::RefusalCode;
use lanspread_api::{ErrorCode, Event, Request};
use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent};
use lanspread_types::message::{ChunkRequest, Request as Asked, RequestId};
use lanspread_types::{ChunkIndex, ContentId, GameId, PeerId, PeerName};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::flow::{MIB, await_finished, require_no_trace};
use crate::games::Game;
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, PeerSpec};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S53",
    title: "closed party",
    claim: "A peer without the passphrase sees no library and gets no byte; one with it does",
    setup: "alpha with a game and guest in the party `friday`; wrong with another passphrase, other in `saturday`, open in no party; and a stranger that knows alpha's id and the game's content id, and asks for the manifest and a chunk on a data connection",
    expected: "guest gets the game, byte-equal; `connect` of wrong is refused with `wrong-pass-phrase`, of other and of open with `other-party`, in both directions; over the whole window alpha is connected to guest only, tells of the others by `peer-refused`, and serves guest only; none of them lists a peer or the game; the stranger's requests fail; a restart of wrong with the right passphrase lets it in",
    sabotages: &[
        Sabotage::new("admit-wrong-pass-phrase", &["wrong answered"]),
        Sabotage::new("admit-other-parties", &["alpha answered"]),
        Sabotage::new("serve-strangers", &["the stranger was answered"]),
        Sabotage::new("forget-refusals", &["alpha prints that wrong is refused"]),
    ],
    labs: EVERYWHERE,
    body: Body::Run(closed_party),
}];

pub(super) const PHRASE: &str = "correct horse battery";

/// Prepares a peer that belongs to a party.
pub(super) fn in_party<'lab>(
    lab: &'lab Lab,
    name: &str,
    party: &str,
    phrase: &str,
) -> Outcome<PeerSpec<'lab>> {
    let path = secret(lab, name)?;
    std::fs::write(&path, format!("{phrase}\n"))?;
    let spec = lab.peer(name)?.arg("--party").arg(party).arg("--party-secret-file");
    Ok(spec.arg(&path.display().to_string()))
}

fn secret(lab: &Lab, name: &str) -> Outcome<PathBuf> {
    Ok(lab.folder(name)?.join("pass-phrase"))
}

fn closed_party(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 53, 2 * MIB);
    let alpha = in_party(lab, "alpha", "friday", PHRASE)?.game(&game)?.start()?;
    let guest = in_party(lab, "guest", "friday", PHRASE)?.start()?;
    let wrong = in_party(lab, "wrong", "friday", "correct horse batterx")?.start()?;
    let other = in_party(lab, "other", "saturday", PHRASE)?.start()?;
    let open = lab.peer("open")?.start()?;
    let content = alpha.await_served("ggoo")?.content_id.unwrap_or_default();
    require_eq!(alpha.status()?.party, Some("friday".to_owned()), "the party in alpha's status");
    require_eq!(open.status()?.party, None, "the party in the open peer's status");

    let since = alpha.mark();
    for (outsider, code) in [
        (&wrong, ErrorCode::WrongPassPhrase),
        (&other, ErrorCode::OtherParty),
        (&open, ErrorCode::OtherParty),
    ] {
        outsider.refuses(&Request::Connect { addr: alpha.addr()? }, code)?;
        alpha.refuses(&Request::Connect { addr: outsider.addr()? }, code)?;
    }
    guest.connect(&alpha)?;
    guest.await_peers(&[(&alpha, &["ggoo"])])?;
    let begun = guest.mark();
    guest.download("ggoo", false)?;
    await_finished(&guest, begun, "ggoo")?;
    let ours = Manifest::root_files(&alpha.game_dir("ggoo"))?;
    Manifest::root_files(&guest.game_dir("ggoo"))?.require_equal(&ours, "what guest has")?;
    a_stranger_gets_nothing(&alpha, &content)?;
    eventually("alpha has sent one copy and no more", || {
        let sent = alpha.status()?.traffic.sent_bytes;
        Ok(seen_if(sent == ours.bytes(), || format!("{sent} bytes of {}", ours.bytes())))
    })?;

    for (outsider, code) in [
        (&wrong, RefusalCode::WrongPassPhrase),
        (&other, RefusalCode::OtherParty),
        (&open, RefusalCode::OtherParty),
    ] {
        let told = |event: &Event| match event {
            Event::PeerRefused { peer_id, code: found, .. } => {
                (peer_id.as_deref() == Some(&outsider.id()) && *found == code).then_some(())
            }
            _ => None,
        };
        alpha.await_event(since, &format!("that {} is refused", outsider.name()), told)?;
        require!(outsider.peers()?.is_empty(), "{} sees a peer", outsider.name());
        require!(outsider.games()?.is_empty(), "{} sees a game", outsider.name());
        require_no_trace(outsider, "ggoo")?;
        let met =
            |event: &Event| matches!(event, Event::PeerConnected { .. } | Event::RemoteLibraryChanged { .. });
        outsider.require_none(Mark(0), "a peer or a library", met)?;
    }
    let refused: Vec<RefusalCode> = alpha.status()?.refused.iter().map(|r| r.code).collect();
    require!(
        refused.contains(&RefusalCode::WrongPassPhrase) && refused.contains(&RefusalCode::OtherParty),
        "alpha's status tells of {refused:?}"
    );
    let guest_id = guest.id();
    let others =
        |event: &Event| matches!(event, Event::PeerConnected { peer_id, .. } if *peer_id != guest_id);
    alpha.require_none(since, "anybody else who is connected", others)?;

    std::fs::write(secret(lab, "wrong")?, PHRASE)?;
    wrong.shut_down()?;
    wrong.restart()?;
    // Its tries with the wrong passphrase may count for some time.
    eventually("the right passphrase lets it in", || {
        Ok(match wrong.say(&Request::Connect { addr: alpha.addr()? })? {
            Ok(_) => Ok(()),
            Err(line) => Err(format!("{line:?}")),
        })
    })?;
    wrong.await_offered("ggoo", 1)?;
    Ok(())
}

/// Requests the manifest and a chunk without having been admitted, and requires that both fail.
fn a_stranger_gets_nothing(alpha: &Peer, content: &str) -> Outcome {
    let (peer, addr) = (parsed::<PeerId>(&alpha.id())?, alpha.addr()?);
    let content: ContentId = parsed(content)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (net, mut events) = mpsc::channel(64);
        let (data, mut payloads) = mpsc::channel(4);
        let config = EndpointConfig {
            identity: Identity::generate()?,
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            port_fallback: false,
            name: PeerName::new("stranger")?,
            program: String::new(),
            party: None,
        };
        let endpoint = Endpoint::bind(config, net, data).await?;
        let game = GameId::new("ggoo")?;
        let chunk = ChunkRequest { id: RequestId(2), game: game.clone(), content, chunk: ChunkIndex(0) };
        endpoint.request(peer, addr, Asked::Manifest { id: RequestId(1), game, content });
        endpoint.request(peer, addr, Asked::Chunk(chunk));
        let mut failed = 0;
        while failed < 2 {
            let happened = timeout(Duration::from_secs(20), async {
                tokio::select! {
                    event = events.recv() => Ok(event),
                    payload = payloads.recv() => Err(payload),
                }
            });
            match happened.await {
                Ok(Ok(Some(NetEvent::RequestFailed { .. }))) => failed += 1,
                Ok(other) => fail!("the stranger was answered: {other:?}"),
                Err(_) => fail!("the stranger's requests have no end"),
            }
        }
        endpoint.shutdown().await;
        Ok(())
    })
}

fn parsed<T: std::str::FromStr>(text: &str) -> Outcome<T> {
    text.parse().map_err(|_| Failure(format!("{text:?} is no id")))
}
