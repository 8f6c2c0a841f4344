//! Rate limit for reports of misbehaviour, so that a flood of offences does not become a flood of events.
//!
//! Each kind of misbehaviour is reported once per address and [`REPORT_PAUSE`], and [`REPORTS_PER_SECOND`] bounds the
//! reports of all addresses. An IPv6 /64 counts as one address.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use lanspread_types::{Origin, PeerId, RefusalCause, failpoint};
use tokio::sync::mpsc::Sender;
use tokio::time::{Duration, Instant};

use crate::event::NetEvent;
use crate::inbox::lock;
use crate::limits::{ADDRESSES_COUNTED_MAX, REPORT_PAUSE, REPORTS_PER_SECOND};

/// Reports of misbehaviour made so far.
#[derive(Debug, Default)]
pub(crate) struct MisbehaviourReports(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When each kind of misbehaviour of each address was last reported.
    told: HashMap<(Origin, Discriminant<RefusalCause>), Instant>,
    /// Start of the current second, and the number of reports made in it.
    second: Option<(Instant, u32)>,
}

impl MisbehaviourReports {
    /// Returns true if anything was reported.
    #[cfg(feature = "sabotage")]
    pub(crate) fn is_any(&self) -> bool {
        !lock(&self.0).told.is_empty()
    }

    /// Reports a misbehaviour if the limits allow it. A report that finds the channel full is dropped and does not
    /// count.
    pub(crate) fn tell(
        &self,
        events: &Sender<NetEvent>,
        addr: SocketAddr,
        peer: Option<PeerId>,
        how: RefusalCause,
    ) {
        if let Ok(room) = events.try_reserve()
            && self.may_tell(addr.ip(), &how)
            && !failpoint!("forget-misbehaviour")
        {
            room.send(NetEvent::Misbehaved { addr, peer, how });
        }
    }

    /// Returns true, and counts the report, if the limits allow it.
    fn may_tell(&self, ip: IpAddr, how: &RefusalCause) -> bool {
        let (key, now) = ((Origin::of(ip), discriminant(how)), Instant::now());
        let mut state = lock(&self.0);
        let (began, told) =
            state.second.filter(|(began, _)| now - *began < Duration::from_secs(1)).unwrap_or((now, 0));
        let known = state.told.get(&key).is_some_and(|at| now - *at < REPORT_PAUSE);
        if known || told >= REPORTS_PER_SECOND {
            return false;
        }
        state.second = Some((began, told + 1));
        if state.told.len() >= ADDRESSES_COUNTED_MAX {
            state.told.retain(|_, at| now - *at < REPORT_PAUSE);
        }
        state.told.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_makes_few_reports() {
        let complaints = MisbehaviourReports::default();
        let how = RefusalCause::TooManyConnections;
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!((0..1000).filter(|_| complaints.may_tell(one, &how)).count(), 1);
        let many = (0..100_000u32).map(|n| IpAddr::from((0x0b00_0000 + n).to_be_bytes()));
        assert_eq!(many.filter(|ip| complaints.may_tell(*ip, &how)).count(), REPORTS_PER_SECOND as usize - 1);
        tokio::time::advance(REPORT_PAUSE).await;
        assert!(complaints.may_tell(one, &how));
        assert!(complaints.may_tell(one, &RefusalCause::NotAPeer(String::new())), "another kind");
        assert!(lock(&complaints.0).told.len() <= ADDRESSES_COUNTED_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_had_room_for_is_told_later() {
        let complaints = MisbehaviourReports::default();
        let (events, mut told) = mpsc::channel(1);
        let from: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let tell = |how| complaints.tell(&events, from, None, how);
        tell(RefusalCause::TooManyConnections);
        tell(RefusalCause::NotAPeer(String::new()));
        assert!(matches!(
            told.try_recv(),
            Ok(NetEvent::Misbehaved { how: RefusalCause::TooManyConnections, .. })
        ));
        tell(RefusalCause::NotAPeer(String::new()));
        assert!(matches!(told.try_recv(), Ok(NetEvent::Misbehaved { how: RefusalCause::NotAPeer(_), .. })));
        tell(RefusalCause::NotAPeer(String::new()));
        assert!(told.try_recv().is_err(), "once");
    }

    #[tokio::test(start_paused = true)]
    async fn one_ipv6_network_is_reported_as_one_address() {
        let complaints = MisbehaviourReports::default();
        let hosts = (0..1000).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, 1]));
        let how = RefusalCause::TooManyConnections;
        assert_eq!(hosts.filter(|ip| complaints.may_tell(*ip, &how)).count(), 1);
    }
}
