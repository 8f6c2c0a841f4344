//! Groups of this peer and of others, as the catalogue in force and their addresses say.

use super::Node;
use crate::groups::Group;
use crate::roster::RemotePeer;

impl Node {
    pub(super) fn group_of(&self, remote: &RemotePeer) -> Group {
        self.config.catalog.group_of(remote.addr.ip())
    }

    /// Returns the own group as this peer sees it: a machine may have a cable and a wireless link at once.
    pub(super) fn own_group_towards(&self, remote: &RemotePeer) -> Group {
        self.config.catalog.group_of(remote.local_ip.unwrap_or(self.config.addr.ip()))
    }

    /// Goes by the groups of a new catalogue.
    pub(super) fn regroup_lines(&mut self) {
        let (roster, catalog) = (&self.roster, &self.config.catalog);
        self.lines.regroup(|peer| roster.get(peer).map(|remote| catalog.group_of(remote.addr.ip())));
    }
}
