//! False introductions of peers that do not exist.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use lanspread_types::PeerId;
use lanspread_types::limits::INTRODUCTIONS_MAX;
use lanspread_types::message::{Introduction, Message};

use crate::figures;
use crate::lab::Lab;
use crate::peer::Peer;
use crate::scenario::{Body, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::stranger::Stranger;
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S74",
    title: "spoofed announcements",
    claim: "Introductions of peers that do not exist neither keep an honest peer out of the address book nor make a peer knock at service ports",
    setup: "victim, host and friend; two strangers connect to victim and introduce 1,600 peers that do not exist, among them one at a port where a scenario's listener waits and one at a port below 1024 of the same machine; then friend, which neither dials nor introduces, connects to host, which introduces it",
    expected: "victim knocks at the listener and never at the port below 1024; it lists at most 1,024 others; victim meets friend",
    sabotages: &[
        Sabotage::new("keep-every-entry", &["victim meets friend beside all those who do not exist"])
            .at("victim"),
        Sabotage::new(
            "dial-any-introduction",
            &["victim knocked at a service port because a stranger named it"],
        )
        .at("victim"),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(spoofed_introductions),
}];

const LIES: usize = 1600;
/// Limit that `docs/discovery.md` states.
const ENTRIES_MAX: usize = 1024;

fn spoofed_introductions(lab: &Lab) -> Outcome {
    let finding =
        |name| Ok::<_, crate::scenario::Failure>(lab.peer(name)?.arg("--find").arg("introductions"));
    let (victim, host) = (finding("victim")?.start()?, finding("host")?.start()?);
    victim.connect(&host)?;

    let (trap, service) = (trap(0)?, service_trap()?);
    let mut strangers = Vec::new();
    for n in 0..2_u8 {
        strangers.push(Stranger::enter(victim.addr()?, Ipv4Addr::new(127, 0, 74, n + 1).into(), "mallory")?);
    }
    let mut lies = vec![lie(0, trap.local_addr()?)];
    if let Some(service) = &service {
        lies.push(lie(1, service.local_addr()?));
    }
    // An address where nobody listens: a free high port, because a port below 1024 would count as a service.
    let nowhere = SocketAddr::new(Ipv4Addr::new(127, 0, 74, 99).into(), 61_874);
    lies.extend((lies.len()..LIES).map(|n| lie(n, nowhere)));
    for (part, stranger) in lies.chunks(LIES / 2).zip(&strangers) {
        for peers in part.chunks(INTRODUCTIONS_MAX) {
            stranger.say(&Message::Introduce { peers: peers.to_vec() });
        }
    }
    eventually("victim has noted down as many of them as it may", || {
        let others = others(&victim)?;
        Ok(if others >= ENTRIES_MAX - 8 { Ok(()) } else { Err(format!("{others} others")) })
    })?;
    eventually("victim knocks at the address where it may", || {
        Ok(if knocked(&trap)? { Ok(()) } else { Err("no connection".to_owned()) })
    })?;

    let friend = lab.peer("friend")?.start()?;
    friend.connect(&host)?;
    let meets = eventually("victim meets friend beside all those who do not exist", || {
        let (id, peers) = (friend.id(), victim.peers()?);
        let met = peers.iter().any(|peer| peer.peer_id == id);
        Ok(if met { Ok(()) } else { Err(format!("{} peers", peers.len())) })
    });
    meets?;
    let others = others(&victim)?;
    require!(others <= ENTRIES_MAX, "victim lists {others} others, {ENTRIES_MAX} at most are allowed");
    if let Some(service) = &service {
        require!(!knocked(service)?, "victim knocked at a service port because a stranger named it");
    } else {
        fail!(
            "this system lets nobody listen at a port below 1024: run as root or with net.ipv4.ip_unprivileged_port_start=0"
        );
    }
    figures::note("S74", format!("{others} others listed after {LIES} lies of two strangers"));
    Ok(())
}

fn others(victim: &Peer) -> Outcome<usize> {
    match victim.ask(&lanspread_api::Request::ListPeers)? {
        lanspread_api::ReplyData::ListPeers(list) => Ok(list.others.len()),
        other => fail!("list-peers answered {other:?}"),
    }
}

fn trap(port: u16) -> Outcome<TcpListener> {
    let ip: IpAddr = Ipv4Addr::new(127, 0, 74, 50).into();
    let listener = TcpListener::bind(SocketAddr::new(ip, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Returns a listener at a port below 1024, or `None` if that is not allowed.
fn service_trap() -> Outcome<Option<TcpListener>> {
    Ok((900..1024).find_map(|port| trap(port).ok()))
}

/// Returns whether a peer has connected.
fn knocked(listener: &TcpListener) -> Outcome<bool> {
    match listener.accept() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn lie(n: usize, addr: SocketAddr) -> Introduction {
    let mut id = [0x74; 32];
    id[..8].copy_from_slice(&(n as u64).to_le_bytes());
    Introduction { peer: PeerId(id), addr }
}
