//! Groups of this peer and of other peers, by their addresses and the catalogue in force.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use lanspread_types::PeerId;

use super::{Node, NodeConfig};
use crate::groups::Group;
use crate::roster::RemotePeer;

impl NodeConfig {
    /// Returns the group of a peer.
    pub(super) fn group_of(&self, remote: &RemotePeer) -> Group {
        self.catalog.group_of(remote.addr.ip())
    }

    /// Returns the group of this peer's own address on the connection with `remote`. A machine may have a cable and a
    /// wireless link at once.
    pub(super) fn own_group_towards(&self, remote: &RemotePeer) -> Group {
        self.catalog.group_of(remote.local_ip.unwrap_or(self.addr.ip()))
    }
}

impl Node {
    /// Returns the group in which most connected peers see this one.
    pub(super) fn own_group(&self) -> Group {
        let mut seen: BTreeMap<Group, usize> = BTreeMap::new();
        for remote in self.roster.iter() {
            *seen.entry(self.config.own_group_towards(remote)).or_default() += 1;
        }
        let most = seen.into_iter().min_by_key(|(_, peers)| Reverse(*peers));
        most.map_or_else(|| self.config.catalog.group_of(self.config.addr.ip()), |(group, _)| group)
    }

    /// Counts bytes of a chunk that came from this peer.
    pub(super) fn count_received(&mut self, from: &PeerId, bytes: u64) {
        self.traffic.received_chunks += 1;
        self.traffic.received_bytes += bytes;
        let crossed = |remote| self.config.group_of(remote) != self.config.own_group_towards(remote);
        if self.roster.get(from).is_some_and(crossed) {
            self.traffic.other_groups_bytes += bytes;
        }
    }

    /// Applies the groups of a new catalogue to the members of the lines.
    pub(super) fn regroup_lines(&mut self) {
        let Self { uploads, roster, config, .. } = self;
        uploads.lines.kept.regroup(|peer| roster.get(peer).map(|remote| config.group_of(remote)));
    }
}
