//! One simulated peer: the real decisions, with the bare necessities of a node around them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanspread_core::io::LinkId;
use lanspread_core::swarm::{Download, Uplink};
use lanspread_core::time::Time;
use lanspread_types::message::{ChunkRequest, Refusal, RequestId};
use lanspread_types::{ChunkHash, ChunkIndex, ChunkSet, GameContent};

/// What one peer says to another. Latency and size are modelled, the encoding is not.
#[derive(Debug, Clone)]
pub enum Message {
    Interested,
    HaveMap(ChunkSet),
    Have(Vec<ChunkIndex>),
    Request(ChunkRequest),
    Cancel(RequestId),
    Refused(RequestId, Refusal),
    /// The head of an answer.
    Started(RequestId, ChunkIndex),
    /// The end of an answer. The hash stands for the bytes.
    Payload(RequestId, ChunkIndex, ChunkHash),
}

impl Message {
    /// Bytes on the wire, payload not counted: frame header, ids, numbers as they are encoded.
    pub fn control_bytes(&self) -> u64 {
        match self {
            Self::Interested => 60,
            Self::HaveMap(has) => 45 + if has.is_full() { 0 } else { u64::from(has.len()).div_ceil(8) },
            Self::Have(chunks) => 42 + 2 * chunks.len() as u64,
            Self::Request(request) => 52 + 2 * request.candidates.len() as u64,
            Self::Cancel(_) | Self::Refused(..) => 12,
            Self::Started(..) => 14,
            Self::Payload(..) => 0,
        }
    }
}

#[derive(Debug)]
pub struct SimPeer {
    pub had: ChunkSet,
    pub download: Option<Download>,
    pub uplink: Uplink,
    /// Who wants to hear of our chunks.
    pub interested: Vec<bool>,
    /// Chunks to announce with the next batch, and whether one is planned.
    pub news: Vec<ChunkIndex>,
    pub batch_planned: bool,
    pub wake_planned: Option<Time>,
    pub alive: bool,
    /// Counts lives: what was sent to or by an earlier one is lost.
    pub life: u32,
    pub disk_free: Time,
    next_id: u64,
    /// The link number of each asking peer, and back.
    links: BTreeMap<usize, LinkId>,
    next_link: u64,
}

impl SimPeer {
    pub fn new(had: ChunkSet, peers: usize) -> Self {
        Self {
            had,
            download: None,
            uplink: Uplink::new(),
            interested: vec![false; peers],
            news: Vec::new(),
            batch_planned: false,
            wake_planned: None,
            alive: true,
            life: 0,
            disk_free: Time::START,
            next_id: 0,
            links: BTreeMap::new(),
            next_link: 0,
        }
    }

    /// The process ends: what is on disk stays.
    pub fn crash(&mut self) {
        let (had, peers, life) = (self.had.clone(), self.interested.len(), self.life);
        *self = Self { alive: false, life: life + 1, ..Self::new(had, peers) };
    }

    pub fn next_request(&mut self, now: Time) -> Option<(lanspread_types::PeerId, ChunkRequest)> {
        let next_id = &mut self.next_id;
        self.download.as_mut()?.next_request(now, &mut || {
            *next_id += 1;
            RequestId(*next_id)
        })
    }

    pub fn next_action(
        &mut self,
        now: Time,
        content: &GameContent,
    ) -> Option<lanspread_core::swarm::UplinkAction> {
        let (had, id) = (&self.had, content.content_id());
        self.uplink.next(now, |asked, chunk| *asked == id && had.contains(chunk))
    }

    /// The data connection on which a peer asks us.
    pub fn link_of(&mut self, peer: usize) -> LinkId {
        let next = &mut self.next_link;
        *self.links.entry(peer).or_insert_with(|| {
            *next += 1;
            LinkId(*next)
        })
    }

    pub fn peer_of(&self, link: LinkId) -> Option<usize> {
        self.links.iter().find(|(_, l)| **l == link).map(|(peer, _)| *peer)
    }

    /// The connections to a peer are gone.
    pub fn forget(&mut self, peer: usize) {
        self.interested[peer] = false;
        if let Some(link) = self.links.remove(&peer) {
            self.uplink.link_closed(link);
        }
    }

    pub fn start_download(
        &mut self,
        content: &Arc<GameContent>,
        seed: u64,
        tuning: &lanspread_core::swarm::Tuning,
    ) {
        self.download = Some(Download::new(Arc::clone(content), self.had.clone(), seed, tuning.clone()));
    }
}
