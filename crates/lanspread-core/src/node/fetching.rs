//! Downloads: from the manifest through the swarm to the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::{CHUNKS_PER_HAVE_MAX, MANIFESTS_PER_SOURCE_MAX};
use lanspread_types::manifest::ChunkPart;
use lanspread_types::message::{GameOffer, Message, PlaceWanted, Refusal, Request, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, GameContent, GameId, PeerId, failpoint};

use super::Node;
use crate::budget::site_of;
use crate::event::{DownloadFailure, Event, RejectReason};
use crate::fetch::{Ending, Fetch, PROGRESS_INTERVAL, Phase, SOURCE_PATIENCE, Transfer};
use crate::io::{ChunkFault, DiskError, DiskJob, ManifestFault, Output, RequestFailure};
use crate::library::LocalGame;
use crate::limits::MANIFEST_LEFTOVER_MAX;
use crate::manifest_search::{Failed, Offerer, Step};
use crate::refusals::RefusalCause;
use crate::roster::RemotePeer;
use crate::swarm::{Download, Failure, LineAction};
use crate::time::Time;

/// A peer that sent bad data for so many games is dropped: one may be its disk, two are not.
const STRIKES_MAX: u32 = 2;

/// In a large room, announcements are collected for longer: by one more interval for each so many listeners. Otherwise
/// two hundred guests would hear ten thousand messages a second, most with a single chunk.
const LISTENERS_PER_INTERVAL: u32 = 50;

/// Shortest interval between two progress messages of a peer in a line.
const PROGRESS_NEWS_INTERVAL: Duration = Duration::from_secs(1);
/// The interval for each listener in a large room: each peer hears fifty progress messages a second, however many there are.
const PROGRESS_NEWS_EACH: Duration = Duration::from_millis(20);

impl Node {
    // ---- the manifest

    /// Asks for the manifest of a download whoever is to be asked now, or fails it when nobody is left.
    pub(super) fn search_manifest(&mut self, now: Time, game: &GameId) {
        loop {
            let offerers = self.offerers(game);
            let Some(fetch) = self.fetches.get_mut(game) else { return };
            let Phase::Manifest(search) = &mut fetch.phase else { return };
            let content = fetch.content;
            match search.step(now, &offerers, &mut self.rng) {
                Step::Ask(peer) => {
                    self.next_request += 1;
                    let id = RequestId(self.next_request);
                    search.asked(peer, id, now);
                    self.requests.insert((peer, id), game.clone());
                    let request = Request::Manifest { id, game: game.clone(), content };
                    self.outbox.push_back(Output::Request { peer, request });
                }
                Step::GiveUp { peer, id } => self.give_up_manifest(now, peer, id),
                Step::Wait => return,
                Step::Exhausted => {
                    let offered = !offerers.is_empty() || !fetch.rejected.is_empty();
                    let failure =
                        if offered { DownloadFailure::NoManifest } else { DownloadFailure::SourcesGone };
                    return self.end_fetch(now, game, Ending::Failed(failure));
                }
            }
        }
    }

    /// Notes that a peer has a manifest. A search that waits for its turn elsewhere may turn to that peer.
    pub(super) fn holder_appeared(&mut self, now: Time, peer: PeerId, game: &GameId, content: ContentId) {
        self.manifest_sends.has_manifest(&peer, &content);
        let Some(fetch) = self.fetches.get_mut(game).filter(|fetch| fetch.content == content) else { return };
        if let Phase::Manifest(search) = &mut fetch.phase
            && let Some((from, id)) = search.holder_appeared(peer, &mut self.rng)
        {
            self.give_up_manifest(now, from, id);
            self.search_manifest(now, game);
        }
    }

    /// The same for all downloads: a source may have become free for another one.
    pub(super) fn search_manifests(&mut self, now: Time) {
        let searching = |fetch: &&Fetch| matches!(fetch.phase, Phase::Manifest(_));
        let games: Vec<GameId> = self.fetches.values().filter(searching).map(|f| f.game.clone()).collect();
        games.iter().for_each(|game| self.search_manifest(now, game));
    }

    /// The peers that could be asked for a download's manifest.
    fn offerers(&self, game: &GameId) -> Vec<Offerer> {
        let Some(fetch) = self.fetches.get(game) else { return Vec::new() };
        let mut open: BTreeMap<PeerId, usize> = BTreeMap::new();
        for fetch in self.fetches.values() {
            if let Phase::Manifest(search) = &fetch.phase {
                search.open().for_each(|(peer, _)| *open.entry(peer).or_default() += 1);
            }
        }
        let counts = |(peer, offer): &(&RemotePeer, &GameOffer)| {
            offer.content == fetch.content && !fetch.rejected.contains(&peer.id)
        };
        let offerer = |peer: &RemotePeer, usual_bytes| Offerer {
            peer: peer.id,
            place: Some(site_of(peer.addr.ip())).filter(|_| !failpoint!("count-identities")),
            usual_bytes,
            saturated: open.get(&peer.id).is_some_and(|&open| open >= MANIFESTS_PER_SOURCE_MAX),
        };
        let offers = self.roster.offers(game).filter(counts);
        let mut offerers: Vec<Offerer> =
            offers.map(|(peer, offer)| offerer(peer, offer.manifest_bytes_usual())).collect();
        // Peers that download the content have its manifest too, so a whole room need not ask one seed.
        if let Some(usual) = offerers.iter().map(|offerer| offerer.usual_bytes).min() {
            let asked: BTreeSet<PeerId> = offerers.iter().map(|offerer| offerer.peer).collect();
            let fellows = self.roster.iter().filter(|peer| {
                peer.is_interested(fetch.content)
                    && !asked.contains(&peer.id)
                    && !fetch.rejected.contains(&peer.id)
            });
            offerers.extend(fellows.map(|peer| offerer(peer, usual)));
        }
        offerers
    }

    /// An answer is no longer waited for: it may end soon, or its connection is closed.
    fn give_up_manifest(&mut self, now: Time, peer: PeerId, id: RequestId) {
        self.requests.remove(&(peer, id));
        self.leftover_manifests.insert((peer, id), now + MANIFEST_LEFTOVER_MAX);
        self.outbox.push_back(Output::Request { peer, request: Request::Cancel { id } });
    }

    /// Nobody's answer is waited for any more.
    fn give_up_manifests(&mut self, now: Time, game: &GameId) {
        let Some(fetch) = self.fetches.get(game) else { return };
        let Phase::Manifest(search) = &fetch.phase else { return };
        let open: Vec<_> = search.open().collect();
        open.into_iter().for_each(|(peer, id)| self.give_up_manifest(now, peer, id));
    }

    pub(super) fn leftovers_wakeup(&self) -> Option<Time> {
        self.leftover_manifests.values().min().copied()
    }

    /// Closes connections on which an answer that nobody waits for does not end.
    pub(super) fn drop_leftovers(&mut self, now: Time) {
        while let Some((&(peer, _), _)) = self.leftover_manifests.iter().find(|(_, due)| **due <= now) {
            self.leftover_manifests.retain(|(of, _), _| *of != peer);
            self.outbox.push_back(Output::DropSource { peer });
        }
    }

    pub(super) fn manifest_started(&mut self, now: Time, peer: PeerId, id: RequestId, bytes: u64) {
        let Some(game) = self.requests.get(&(peer, id)).cloned() else {
            self.leftover_manifests.entry((peer, id)).or_insert(now + MANIFEST_LEFTOVER_MAX);
            return;
        };
        let own = self.roster.get(&peer).and_then(|remote| self.roster.offer(remote, &game));
        let Some(fetch) = self.fetches.get(&game) else { return };
        // A fellow downloader has no offer of its own, so the largest of the others' bounds applies.
        let of_others = || {
            let offers = self.roster.offers(&game).filter(|(_, offer)| offer.content == fetch.content);
            offers.map(|(_, offer)| offer.manifest_bytes_max()).max().unwrap_or(0)
        };
        let most = own.map_or_else(of_others, GameOffer::manifest_bytes_max);
        let Some(fetch) = self.fetches.get_mut(&game) else { return };
        let Phase::Manifest(search) = &mut fetch.phase else { return };
        search.started(peer, id, bytes, now);
        // What it states does not fit what it says of its game.
        if bytes > most {
            search.gone(peer);
            self.requests.remove(&(peer, id));
            self.outbox.push_back(Output::DropSource { peer });
            self.reject(now, &game, peer, RejectReason::BadManifest);
            self.search_manifest(now, &game);
        }
    }

    pub(super) fn manifest_arrived(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        result: Result<Arc<GameContent>, ManifestFault>,
    ) {
        self.leftover_manifests.remove(&(peer, id));
        let Some(game) = self.requests.remove(&(peer, id)) else { return };
        let Some(Phase::Manifest(search)) = self.fetches.get_mut(&game).map(|f| &mut f.phase) else { return };
        if !search.is_asked(peer, id) {
            return;
        }
        search.gone(peer);
        match result {
            Ok(content) => self.got_manifest(now, &game, content),
            Err(_) => self.reject(now, &game, peer, RejectReason::BadManifest),
        }
        self.search_manifests(now);
    }

    pub(super) fn got_manifest(&mut self, now: Time, game: &GameId, content: Arc<GameContent>) {
        self.give_up_manifests(now, game);
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let manifest = content.manifest();
        let event = Event::GotGameFiles {
            game: game.clone(),
            version: fetch.version,
            content: fetch.content,
            files: manifest.files().len(),
            bytes: manifest.total_bytes(),
            chunks: content.hashes().len() as u32,
        };
        fetch.phase = Phase::Opening(content.clone());
        let origin = fetch.origin.clone();
        let stream = fetch.stream;
        self.event(event);
        self.job(if stream {
            DiskJob::StreamInstall { content, origin }
        } else {
            DiskJob::OpenIncoming { content }
        });
    }

    /// A request for a manifest brought nothing. False if it was none for a manifest.
    fn manifest_failed(
        &mut self,
        now: Time,
        game: &GameId,
        (peer, id): (PeerId, RequestId),
        failure: &RequestFailure,
    ) -> bool {
        let Some(Phase::Manifest(search)) = self.fetches.get_mut(game).map(|f| &mut f.phase) else {
            return false;
        };
        if !search.is_asked(peer, id) {
            return false;
        }
        let busy = matches!(failure, RequestFailure::Refused(Refusal::TooMany));
        let why = if busy && !failpoint!("give-up-busy") { Failed::Busy } else { Failed::Otherwise };
        search.failed(peer, id, why, now, &mut self.rng);
        true
    }

    /// Turns to another source for the manifest wherever this peer was asked.
    pub(super) fn manifest_source_lost(&mut self, now: Time, peer: PeerId) {
        self.leftover_manifests.retain(|(of, _), _| *of != peer);
        for fetch in self.fetches.values_mut() {
            if let Phase::Manifest(search) = &mut fetch.phase {
                search.gone(peer);
            }
        }
        self.search_manifests(now);
    }

    // ---- the swarm

    /// The place on disk is ready: the swarm may begin.
    pub(super) fn incoming_opened(&mut self, now: Time, game: &GameId, result: Result<ChunkSet, DiskError>) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        if let Phase::Dropping(_) = &fetch.phase {
            // It was given up meanwhile; only now nothing is at work on its place any more.
            let content = fetch.content;
            return self.job(DiskJob::DropIncoming { game: game.clone(), content });
        }
        let Phase::Opening(content) = &fetch.phase else { return };
        let content = content.clone();
        let had = match result {
            Ok(had) => had,
            Err(error) => {
                let content = fetch.content;
                fetch.phase = Phase::Dropping(Ending::Failed(DownloadFailure::Disk(error)));
                return self.job(DiskJob::DropIncoming { game: game.clone(), content });
            }
        };
        let install = fetch.install && !self.library.get(game).is_some_and(|local| local.installed);
        let swarm = Download::new(content.clone(), had, self.rng.next_u64(), self.tuning.clone());
        let transfer = Transfer::new(content.clone(), swarm, self.tuning.have_interval, now);
        self.begin_transfer(now, game, transfer);
        if install {
            self.job(DiskJob::UnpackAhead { content });
        }
    }

    /// Tells everybody, and begins to fetch.
    pub(super) fn begin_transfer(&mut self, now: Time, game: &GameId, mut transfer: Transfer) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let (content, id) = (transfer.content.clone(), fetch.content);
        let all = content.manifest().chunk_count();
        for peer in self.roster.sources(game, id).filter(|p| !fetch.rejected.contains(&p.id)) {
            transfer.swarm.add_source(peer.id, ChunkSet::full(all), now);
        }
        let fellows = || self.roster.iter().filter(|p| p.is_interested(id));
        fellows().for_each(|peer| transfer.swarm.add_fellow(peer.id, now));
        let fellow_conns: Vec<_> = fellows().map(|p| p.conn).collect();
        let (bytes, had_bytes) = (transfer.total_bytes(), transfer.had_bytes());
        fetch.phase = Phase::Transfer(Box::new(transfer));
        let reused_bytes = fetch.reused_bytes;
        self.event(Event::DownloadBegin { game: game.clone(), bytes, had_bytes, reused_bytes });
        let conns: Vec<_> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            self.send(conn, Message::Interested { game: game.clone(), content: id });
        }
        // They asked before there was anything to tell.
        for conn in fellow_conns {
            self.send_have_map(conn, game, id);
        }
        self.pump_fetches(now);
    }

    pub(super) fn transfer_of(&mut self, content: ContentId) -> Option<&mut Transfer> {
        self.fetches.values_mut().find(|f| f.content == content)?.transfer_mut()
    }

    fn transfer_asking(&mut self, peer: PeerId, id: RequestId) -> Option<&mut Transfer> {
        let game = self.requests.get(&(peer, id))?;
        self.fetches.get_mut(game)?.transfer_mut()
    }

    /// Ends the downloads that have everything, and lets the others ask: only those of the highest priority that can
    /// get anything, in turns, so that none of them takes all that may be in flight.
    pub(super) fn pump_fetches(&mut self, now: Time) {
        let restless = |fetch: &Fetch| fetch.transfer().is_some_and(|t| !t.swarm.is_settled(now));
        if !self.fetches.values().any(restless) {
            return;
        }
        let games: Vec<GameId> = self.fetches.keys().cloned().collect();
        for game in &games {
            let stream = self.fetches[game].stream;
            let begun = |t: &Transfer| !stream && t.had_bytes() > 0 && failpoint!("commit-early");
            if self.fetches[game].transfer().is_some_and(|t| t.swarm.is_complete() || begun(t)) {
                // A streamed install ends when all is unpacked.
                if !stream {
                    self.commit(game);
                }
            }
        }
        let fed = self.fetches.values().filter(|f| f.transfer().is_some_and(Transfer::is_fed));
        let highest = fed.map(|f| f.priority).max();
        let mut asking: Vec<&GameId> = games
            .iter()
            .filter(|g| highest.is_none_or(|highest| self.fetches[*g].priority >= highest))
            .collect();
        if asking.len() > 1 && failpoint!("one-download-at-a-time") {
            asking.truncate(1);
        }
        while let Some(at) = (0..asking.len()).min_by_key(|&at| self.fetches[asking[at]].turn) {
            if !self.ask_for_one(now, asking[at]) {
                asking.swap_remove(at);
            }
        }
        for game in &games {
            // It is due and could not ask: buffers are full, or the rate limit or another download comes first.
            if let Some(transfer) = self.fetches.get_mut(game).and_then(Fetch::transfer_mut)
                && transfer.swarm.next_wakeup().is_some_and(|at| at <= now)
            {
                transfer.swarm.pass(now);
            }
            self.say_line_actions(game);
            self.send_cancels(now, game);
            self.watch_starvation(now, game);
        }
    }

    /// Lets a download make one request. Returns whether it made one.
    fn ask_for_one(&mut self, now: Time, game: &GameId) -> bool {
        let in_flight: u64 =
            self.fetches.values().filter_map(Fetch::transfer).map(|t| t.swarm.bytes_in_flight()).sum();
        let Some(fetch) = self.fetches.get_mut(game) else { return false };
        let Phase::Transfer(transfer) = &mut fetch.phase else { return false };
        // What one download may have in flight, all of them may have together; each may always have a request.
        let crowded = in_flight >= self.tuning.in_flight_bytes && transfer.swarm.requests_in_flight() > 0;
        if crowded || !self.download_limit.allows(now) {
            return false;
        }
        let next_request = &mut self.next_request;
        let mut next_id = || {
            *next_request += 1;
            RequestId(*next_request)
        };
        let manifest = transfer.content.manifest();
        if let Some((peer, request)) = transfer.swarm.next_follow(now, &mut next_id) {
            fetch.turn = request.first.0;
            let bytes_of = |chunk| manifest.place(chunk).map_or(0, |place| place.len);
            let each: Vec<_> = request.each().map(|(id, chunk)| (id, bytes_of(chunk))).collect();
            each.into_iter().for_each(|(id, bytes)| self.note_request(now, game, (peer, id), bytes));
            self.outbox.push_back(Output::Request { peer, request: Request::Follow(request) });
            return true;
        }
        let Some((peer, request)) = transfer.swarm.next_request(now, &mut next_id) else { return false };
        let bytes = manifest.place(request.chunk).map_or(0, |place| place.len);
        fetch.turn = request.id.0;
        self.note_request(now, game, (peer, request.id), bytes);
        self.outbox.push_back(Output::from((peer, request)));
        true
    }

    /// Notes whose request goes out, and charges the download limit for it.
    fn note_request(&mut self, now: Time, game: &GameId, key: (PeerId, RequestId), bytes: u64) {
        self.download_limit.spend(bytes, now);
        if self.limits.download.is_some() {
            self.spent.insert(key, bytes);
        }
        self.requests.insert(key, game.clone());
    }

    /// Gives back what the download limit lost to a request that brought nothing.
    fn refund(&mut self, peer: PeerId, id: RequestId) {
        if let Some(bytes) = self.spent.remove(&(peer, id))
            && !failpoint!("keep-spent-limit")
        {
            self.download_limit.refund(bytes);
        }
    }

    /// Sends the line's questions: for a place, and for the progress of others.
    fn say_line_actions(&mut self, game: &GameId) {
        let upload_limit = self.limits.upload;
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let content = fetch.content;
        // A streamed install drops its chunks too soon to feed others.
        let upload_limit = if fetch.stream { Some(0) } else { upload_limit };
        let Some(transfer) = fetch.transfer_mut() else { return };
        let below = transfer.swarm.have_below();
        let actions: Vec<LineAction> = transfer.swarm.line_actions().collect();
        for action in actions {
            let (to, message) = match action {
                LineAction::AskPlace { of, instead_of } => {
                    (of, Message::PlaceWanted(PlaceWanted { content, below, upload_limit, instead_of }))
                }
                LineAction::AskProgress(of) => (of, Message::ProgressWanted { content }),
            };
            self.send_to(&to, message);
        }
    }

    fn send_cancels(&mut self, now: Time, game: &GameId) {
        let Some(transfer) = self.fetches.get_mut(game).and_then(Fetch::transfer_mut) else { return };
        for (peer, id) in transfer.swarm.cancels() {
            self.outbox.push_back(Output::Request { peer, request: Request::Cancel { id } });
        }
        for peer in transfer.swarm.stuck_sources(now) {
            self.outbox.push_back(Output::DropSource { peer });
        }
    }

    /// Notices when nobody who answers has what is missing, and when somebody has it again.
    fn watch_starvation(&mut self, now: Time, game: &GameId) {
        let Some(transfer) = self.fetches.get_mut(game).and_then(Fetch::transfer_mut) else { return };
        if transfer.swarm.is_complete() || transfer.swarm.is_fed() {
            transfer.starving_since = None;
        } else if transfer.starving_since.is_none() {
            transfer.starving_since = Some(now);
            self.event(Event::DownloadPeersGone { game: game.clone() });
        }
    }

    pub(super) fn chunk_started(&mut self, now: Time, peer: PeerId, id: RequestId, chunk: ChunkIndex) {
        // Its bytes are coming, whatever becomes of them.
        self.spent.remove(&(peer, id));
        if let Some(transfer) = self.transfer_asking(peer, id) {
            // Whatever was chosen is verified as what it claims to be, so a wrong choice wastes bytes and no more.
            let _ = transfer.swarm.started(peer, id, chunk, now);
            self.pump_fetches(now);
        }
    }

    pub(super) fn chunk_ended(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        chunk: ChunkIndex,
        result: Result<(), ChunkFault>,
    ) {
        self.spent.remove(&(peer, id));
        let Some(game) = self.requests.remove(&(peer, id)) else { return };
        match result {
            Ok(()) => self.chunk_stored(now, &game, peer, id, chunk),
            Err(ChunkFault::Corrupt) => {
                if let Some(transfer) = self.fetches.get_mut(&game).and_then(Fetch::transfer_mut) {
                    transfer.swarm.failed(peer, id, Failure::Corrupt, now);
                }
                self.reject(now, &game, peer, RejectReason::CorruptChunk);
            }
            Err(ChunkFault::Write(error)) => {
                self.end_fetch(now, &game, Ending::Failed(DownloadFailure::Disk(error)));
            }
        }
        self.pump_fetches(now);
    }

    fn chunk_stored(&mut self, now: Time, game: &GameId, peer: PeerId, id: RequestId, chunk: ChunkIndex) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let Some(transfer) = fetch.transfer_mut() else { return };
        if !transfer.swarm.stored(peer, id, chunk, now).new {
            return;
        }
        let manifest = transfer.content.manifest();
        let Some(place) = manifest.place(chunk) else { return };
        let finished = |part: ChunkPart| Event::DownloadChunkFinished {
            game: game.clone(),
            path: manifest.files()[part.file].path.clone(),
            offset: part.offset,
            length: part.len,
            peer,
        };
        let finished: Vec<Event> = manifest.parts(place).map(finished).collect();
        transfer.unannounced.push(chunk);
        let roster = &self.roster;
        // Events and totals count the part of each file, as if small files did not share chunks.
        fetch.credit(peer, || roster.name_of(&peer), finished.len() as u64, place.len, now);
        self.count_received(&peer, place.len);
        finished.into_iter().for_each(|event| self.event(event));
        self.announce_chunks(now, game);
        // A follower may await this chunk.
        self.pump_uplink(now);
    }

    pub(super) fn request_failed(
        &mut self,
        now: Time,
        peer: PeerId,
        id: RequestId,
        failure: &RequestFailure,
    ) {
        self.leftover_manifests.remove(&(peer, id));
        self.refund(peer, id);
        let Some(game) = self.requests.remove(&(peer, id)) else { return };
        if self.manifest_failed(now, &game, (peer, id), failure) {
            return self.search_manifests(now);
        }
        if matches!(failure, RequestFailure::Lost(_)) && failpoint!("skip-retry") {
            return self.end_fetch(now, &game, Ending::Failed(DownloadFailure::SourcesGone));
        }
        let failure = match failure {
            RequestFailure::Refused(reason) => Failure::Refused(*reason),
            RequestFailure::Lost(_) => Failure::Lost,
        };
        if let Some(transfer) = self.fetches.get_mut(&game).and_then(Fetch::transfer_mut) {
            transfer.swarm.failed(peer, id, failure, now);
            // A source that no longer serves the game at all is asked again when it announces the game anew.
            let gone = [
                Refusal::UnknownGame,
                Refusal::NotDownloaded,
                Refusal::UnderOperation,
                Refusal::OtherContent,
            ];
            if matches!(failure, Failure::Refused(reason) if gone.contains(&reason)) {
                transfer.swarm.remove_source(peer);
            }
        }
        self.pump_fetches(now);
    }

    /// Names a source that sent what does not verify, and asks it no more; on the second strike it is dropped.
    fn reject(&mut self, now: Time, game: &GameId, peer: PeerId, reason: RejectReason) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let trusted_again = failpoint!("ask-liars-again");
        let first_time = trusted_again || fetch.rejected.insert(peer);
        if let Some(transfer) = fetch.transfer_mut()
            && !trusted_again
            && !(first_time && failpoint!("believe-liars-once"))
        {
            transfer.swarm.reject_source(peer);
        }
        // What was on its way when the first bad chunk came is the same offence.
        if !first_time {
            return;
        }
        self.traffic.rejected_sources += 1;
        let name = self.roster.name_of(&peer);
        self.event(Event::SourceRejected { game: game.clone(), peer, name, reason });
        let Some(remote) = self.roster.get_mut(&peer) else { return };
        remote.strikes += 1;
        if remote.strikes >= STRIKES_MAX {
            self.roster.ban(peer);
            self.let_go(now, peer, RefusalCause::BadData);
        }
    }

    /// Tells those who download the same content what has arrived, a few chunks at a time.
    pub(super) fn announce_chunks(&mut self, now: Time, game: &GameId) {
        let have_interval = self.tuning.have_interval;
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let content = fetch.content;
        let Some(transfer) = fetch.transfer_mut() else { return };
        if transfer.unannounced.is_empty() || now.since(transfer.announced_at) < transfer.have_interval {
            return;
        }
        transfer.announced_at = now;
        let chunks = std::mem::take(&mut transfer.unannounced);
        // Peers that download the content hear of it. In a line the seeds hear of it too, because one of them is the placer.
        let in_line = transfer.swarm.is_in_line();
        let listens = |p: &&RemotePeer| p.is_interested(content) || in_line && transfer.swarm.is_seed(p.id);
        let conns: Vec<_> = self.roster.iter().filter(listens).map(|p| p.conn).collect();
        if in_line {
            // Chunks arrive in order, so one number tells them all. No choice depends on this number while the line moves.
            transfer.have_interval = PROGRESS_NEWS_INTERVAL.max(conns.len() as u32 * PROGRESS_NEWS_EACH);
            let below = transfer.swarm.have_below();
            conns.iter().for_each(|&conn| self.send(conn, Message::Progress { content, below }));
            return;
        }
        transfer.have_interval = have_interval * (1 + conns.len() as u32 / LISTENERS_PER_INTERVAL);
        for part in chunks.chunks(CHUNKS_PER_HAVE_MAX) {
            for &conn in &conns {
                self.send(conn, Message::Have { content, chunks: part.to_vec() });
            }
        }
    }

    pub(super) fn tell_progress(&mut self, now: Time, game: &GameId) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let started = fetch.started();
        let Some(transfer) = fetch.transfer_mut() else { return };
        let progress = transfer.progress(game, started, now);
        transfer.progress_due = now + PROGRESS_INTERVAL;
        self.event(Event::DownloadProgress(progress));
    }

    // ---- the end

    fn commit(&mut self, game: &GameId) {
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let Some(transfer) = fetch.transfer() else { return };
        let (content, id, origin) = (transfer.content.clone(), fetch.content, fetch.origin.clone());
        fetch.phase = Phase::Committing(content.clone());
        self.forget_requests(game);
        self.not_interested(id);
        self.job(DiskJob::Commit { content, origin });
    }

    pub(super) fn committed(
        &mut self,
        now: Time,
        game: &GameId,
        result: Result<crate::io::CommittedGame, DiskError>,
    ) {
        let Some(fetch) = self.fetches.remove(game) else { return };
        let Phase::Committing(content) = &fetch.phase else { return };
        let totals = fetch.totals(now);
        self.operations.end(game);
        match result {
            Ok(committed) => {
                let updated = self.library.get(game).is_some_and(LocalGame::downloaded);
                self.library.downloaded(content, committed.stamp);
                self.announce_library();
                let wanted = fetch.install && !self.is_stopping();
                let install = self.install_due(game, updated).filter(|_| wanted);
                if install.is_some() {
                    self.operations.start(game, crate::command::OperationKind::Installing);
                }
                self.operations_changed();
                self.event(Event::DownloadFinished { game: game.clone(), totals });
                if let Some(job) = install {
                    self.begin_install(game, job);
                }
            }
            Err(error) => {
                self.operations_changed();
                let failure = DownloadFailure::Disk(error);
                self.event(Event::DownloadFailed { game: game.clone(), failure, totals });
                self.job(DiskJob::Scan);
            }
        }
        self.pump_fetches(now);
        self.stop_when_idle();
    }

    /// Ends a download on the user's wish. Returns whether there was still something to end.
    pub(super) fn cancel_fetch(&mut self, now: Time, game: &GameId) -> bool {
        let Some(fetch) = self.fetches.get(game) else { return false };
        if matches!(fetch.phase, Phase::Committing(_) | Phase::Dropping(_)) {
            return false;
        }
        self.drop_fetch(now, game, Ending::Cancelled);
        true
    }

    fn end_fetch(&mut self, now: Time, game: &GameId, ending: Ending) {
        let Some(fetch) = self.fetches.get(game) else { return };
        match fetch.phase {
            Phase::Committing(_) | Phase::Dropping(_) => {}
            Phase::Manifest(_) => {
                self.give_up_manifests(now, game);
                self.finish_fetch(now, game, ending);
            }
            Phase::Opening(_) | Phase::Transfer(_) => self.drop_fetch(now, game, ending),
        }
    }

    /// The disk lets go of the download first; then its end is told.
    fn drop_fetch(&mut self, now: Time, game: &GameId, ending: Ending) {
        self.give_up_manifests(now, game);
        let Some(fetch) = self.fetches.get_mut(game) else { return };
        let content = fetch.content;
        // The job that unpacks a streamed install clears up and reports; before it there is nothing to clear up. The job
        // that opens the place of a download reports, too, and is waited for.
        let unpacks = fetch.stream && !matches!(fetch.phase, Phase::Manifest(_));
        let opening = matches!(fetch.phase, Phase::Opening(_));
        fetch.phase = Phase::Dropping(ending);
        self.forget_requests(game);
        self.not_interested(content);
        self.uplink.content_gone(&content);
        let game = game.clone();
        let ends_itself = unpacks || opening;
        self.job(if ends_itself {
            DiskJob::Cancel { game }
        } else {
            DiskJob::DropIncoming { game, content }
        });
    }

    pub(super) fn incoming_dropped(&mut self, now: Time, game: &GameId) {
        let Some(fetch) = self.fetches.get(game) else { return };
        if let Phase::Dropping(ending) = &fetch.phase {
            let ending = ending.clone();
            self.finish_fetch(now, game, ending);
        }
    }

    pub(super) fn finish_fetch(&mut self, now: Time, game: &GameId, ending: Ending) {
        let Some(fetch) = self.fetches.remove(game) else { return };
        let totals = fetch.totals(now);
        if !failpoint!("leave-operation") {
            self.operations.end(game);
        }
        self.operations_changed();
        let game = game.clone();
        self.event(match ending {
            Ending::Failed(failure) => Event::DownloadFailed { game, failure, totals },
            Ending::Cancelled if failpoint!("cancel-is-failure") => {
                Event::DownloadFailed { game, failure: DownloadFailure::SourcesGone, totals }
            }
            Ending::Cancelled => Event::DownloadCancelled { game, totals },
        });
        // Those that waited for it may go on.
        self.pump_fetches(now);
        self.stop_when_idle();
    }

    /// The peer shuts down: what is there is kept for the next start.
    pub(super) fn abandon_fetch(&mut self, now: Time, game: &GameId) {
        let Some(fetch) = self.fetches.get(game) else { return };
        match fetch.phase {
            Phase::Committing(_) | Phase::Dropping(_) => {}
            _ => self.drop_fetch(now, game, Ending::Failed(DownloadFailure::ShuttingDown)),
        }
    }

    /// Nothing that is still on its way for this game matters any more.
    pub(super) fn forget_requests(&mut self, game: &GameId) {
        let outbox = &mut self.outbox;
        self.requests.retain(|&(peer, id), of| {
            let keep = of != game;
            if !keep {
                outbox.push_back(Output::Request { peer, request: Request::Cancel { id } });
            }
            keep
        });
    }

    pub(super) fn not_interested(&mut self, content: ContentId) {
        let conns: Vec<_> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            self.send(conn, Message::NotInterested { content });
        }
    }

    // ---- time

    /// When a download wants to be looked at although nothing has happened.
    pub(super) fn fetch_wakeup(fetch: &Fetch) -> Option<Time> {
        match &fetch.phase {
            Phase::Manifest(search) => search.next_wakeup(),
            Phase::Transfer(transfer) => {
                let haves = (!transfer.unannounced.is_empty())
                    .then(|| transfer.announced_at + transfer.have_interval);
                let starved = transfer.starving_since.map(|since| since + SOURCE_PATIENCE);
                let due = [Some(transfer.progress_due), haves, starved, transfer.swarm.next_wakeup()];
                due.into_iter().flatten().min()
            }
            _ => None,
        }
    }

    pub(super) fn run_fetch_timers(&mut self, now: Time) {
        let due = |fetch: &&Fetch| Self::fetch_wakeup(fetch).is_some_and(|at| now >= at);
        let games: Vec<GameId> = self.fetches.values().filter(due).map(|f| f.game.clone()).collect();
        for game in games {
            match self.fetches.get(&game).map(|f| &f.phase) {
                Some(Phase::Manifest(_)) => self.search_manifest(now, &game),
                Some(Phase::Transfer(transfer)) => {
                    let progress_due = now >= transfer.progress_due;
                    let starved = transfer.starving_since.is_some_and(|since| {
                        now.since(since) >= SOURCE_PATIENCE || failpoint!("give-up-at-once")
                    });
                    let swarm_due = transfer.swarm.next_wakeup().is_some_and(|at| now >= at);
                    if starved {
                        self.end_fetch(now, &game, Ending::Failed(self.why_starved(&game)));
                        continue;
                    }
                    self.announce_chunks(now, &game);
                    if progress_due {
                        self.tell_progress(now, &game);
                    }
                    if swarm_due {
                        self.pump_fetches(now);
                    }
                }
                _ => {}
            }
        }
    }

    fn why_starved(&self, game: &GameId) -> DownloadFailure {
        match self.fetches.get(game) {
            Some(fetch) if !fetch.rejected.is_empty() => DownloadFailure::AllSourcesRejected,
            _ => DownloadFailure::SourcesGone,
        }
    }
}
