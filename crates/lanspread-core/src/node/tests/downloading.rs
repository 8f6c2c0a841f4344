//! Tests of a download with scripted peers and a scripted disk, which answer when the test says so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::MANIFESTS_PER_SOURCE_MAX;
use lanspread_types::message::{
    ChunkRequest, GameOffer, Hello, LibraryUpdate, Message, Refusal, Request, RequestId,
};
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId, PeerName};

use super::SECOND;
use super::party::{Party, addr_of, content, game, id_of};
use crate::Node;
use crate::api::command::{Command, CommandId, Reply};
use crate::api::event::{DownloadFailure, Event};
use crate::api::snapshot::StatusSnapshot;
use crate::download::SOURCE_PATIENCE;
use crate::io::{
    ChunkFault, CloseReason, CommittedGame, ConnId, Connected, DiskJob, DiskReport, FileStamp, Input,
    NetInput, Output, RequestFailure,
};
use crate::limits::{
    MANIFEST_ANSWER_PATIENCE, MANIFEST_BUSY_PAUSE_MIN, MANIFEST_HEDGE_MIN, MANIFEST_LEFTOVER_MAX,
};
use crate::swarm::Tuning;
use crate::time::Time;

/// One node among scripted peers.
struct Alone {
    node: Node,
    now: Time,
    said: Vec<Output>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn number_of(peer: PeerId) -> usize {
    usize::from(peer.0[0]) - 1
}

impl Alone {
    fn new() -> Self {
        Self { node: Party::new(&[&[]]).guests.remove(0).node, now: Time::START, said: Vec::new() }
    }

    fn hear(&mut self, input: Input) {
        self.node.handle(self.now, input);
        while let Some(output) = self.node.poll_output() {
            match &output {
                Output::Send { conn, message: Message::Ping { nonce } } => {
                    let message = Message::Pong { nonce: *nonce };
                    self.node.handle(self.now, Input::Net(NetInput::Message { conn: *conn, message }));
                }
                Output::Disk(DiskJob::OpenIncoming { content }) => {
                    let none = ChunkSet::empty(content.manifest().chunk_count());
                    let game = content.manifest().game().clone();
                    let opened = DiskReport::IncomingOpened { game, result: Ok(none) };
                    self.node.handle(self.now, Input::Disk(opened));
                }
                _ => {}
            }
            self.said.push(output);
        }
    }

    /// Returns the outputs since the last call.
    fn told(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.said)
    }

    fn meet(&mut self, n: usize, offers: &[&Arc<GameContent>]) {
        let name = PeerName::new(format!("guest {n}")).unwrap();
        let hello = Hello { protocol: 1, name, listen_port: 4000, program: String::new() };
        let (conn, peer, addr) = (ConnId(n as u64), id_of(n), addr_of(n));
        self.hear(Input::Net(NetInput::Connected(Connected {
            conn,
            peer,
            hello,
            addr,
            local_ip: None,
            dialled: false,
        })));
        let offer = |content: &&Arc<GameContent>| GameOffer {
            game: content.manifest().game().clone(),
            version: content.manifest().version(),
            content: content.content_id(),
            bytes: content.manifest().total_bytes(),
            files: 2,
        };
        let games = offers.iter().map(offer).collect();
        let library = LibraryUpdate { revision: 1, base: 0, more: false, games, removed: Vec::new() };
        self.message(n, Message::Library(library));
    }

    fn message(&mut self, n: usize, message: Message) {
        self.hear(Input::Net(NetInput::Message { conn: ConnId(n as u64), message }));
    }

    fn leave(&mut self, n: usize) {
        let (conn, reason) = (ConnId(n as u64), CloseReason::Lost);
        self.hear(Input::Net(NetInput::Closed { conn, reason }));
    }

    fn command(&mut self, command: Command) {
        self.hear(Input::Command { id: CommandId(1), command });
    }

    fn download(&mut self, id: &str) {
        self.command(Command::Download { game: game(id), install: false, confirm: None });
    }

    fn status(&mut self) -> StatusSnapshot {
        self.command(Command::Status);
        match self.said.pop() {
            Some(Output::Reply { result: Ok(Reply::Status(status)), .. }) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Reports that the disk has given up the place of a download.
    fn dropped(&mut self, id: &str) {
        self.hear(Input::Disk(DiskReport::IncomingDropped { game: game(id) }));
    }

    /// Lets time pass, and wakes the node when it asked for it. That time must be in the future, or the node would
    /// spin.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            let due = self.node.next_wakeup(self.now).unwrap_or(end);
            assert!(due > self.now, "it wants to be woken at {due:?}, and it is {:?}", self.now);
            self.now = due.min(end);
            self.hear(Input::Wake);
        }
    }

    fn next_wakeup(&self) -> Duration {
        self.node.next_wakeup(self.now).unwrap().since_start()
    }

    /// Starts a download up to its first requests for chunks, and returns the outputs with them.
    fn begin(&mut self, content: &Arc<GameContent>) -> Vec<Output> {
        self.told();
        self.download(content.manifest().game().as_str());
        let (peer, id) = manifests(&self.told())[0];
        self.manifest(peer, id, content);
        self.told()
    }

    fn manifest(&mut self, from: usize, id: RequestId, content: &Arc<GameContent>) {
        let (peer, result) = (id_of(from), Ok(content.clone()));
        self.hear(Input::Net(NetInput::ManifestArrived { peer, id, result }));
    }

    fn lost(&mut self, from: usize, id: RequestId) {
        let failure = RequestFailure::Lost("the cable".to_owned());
        self.hear(Input::Net(NetInput::RequestFailed { peer: id_of(from), id, failure }));
    }

    /// Answers a request with its chunk.
    fn deliver(&mut self, (from, request): &(usize, ChunkRequest)) {
        let (peer, id, chunk) = (id_of(*from), request.id, request.chunk);
        self.hear(Input::Net(NetInput::ChunkStarted { peer, id, chunk }));
        self.hear(Input::Net(NetInput::ChunkEnded { peer, id, chunk, result: Ok(()) }));
    }

    fn lie(&mut self, (from, request): &(usize, ChunkRequest)) {
        let (peer, id, chunk) = (id_of(*from), request.id, request.chunk);
        let result = Err(ChunkFault::Corrupt);
        self.hear(Input::Net(NetInput::ChunkEnded { peer, id, chunk, result }));
    }
}

fn manifests(told: &[Output]) -> Vec<(usize, RequestId)> {
    let asked = told.iter().filter_map(|output| match output {
        Output::Request { peer, request: Request::Manifest { id, .. } } => Some((number_of(*peer), *id)),
        _ => None,
    });
    asked.collect()
}

fn chunks(told: &[Output]) -> Vec<(usize, ChunkRequest)> {
    let asked = told.iter().filter_map(|output| match output {
        Output::Request { peer, request: Request::Chunk(request) } => {
            Some((number_of(*peer), request.clone()))
        }
        _ => None,
    });
    asked.collect()
}

fn cancels(told: &[Output]) -> Vec<(usize, RequestId)> {
    let cancelled = told.iter().filter_map(|output| match output {
        Output::Request { peer, request: Request::Cancel { id } } => Some((number_of(*peer), *id)),
        _ => None,
    });
    cancelled.collect()
}

fn messages(told: &[Output]) -> Vec<(u64, &Message)> {
    let sent = told.iter().filter_map(|output| match output {
        Output::Send { conn, message } => Some((conn.0, message)),
        _ => None,
    });
    sent.collect()
}

/// Sources whose data connections should be closed.
fn sources_dropped(told: &[Output]) -> Vec<usize> {
    let dropped = told.iter().filter_map(|output| match output {
        Output::DropSource { peer } => Some(number_of(*peer)),
        _ => None,
    });
    dropped.collect()
}

/// Connections that were told of new chunks, and of how many.
fn haves(told: &[Output]) -> Vec<(u64, usize)> {
    let sent = messages(told).into_iter().filter_map(|(conn, message)| match message {
        Message::Have { chunks, .. } => Some((conn, chunks.len())),
        _ => None,
    });
    sent.collect()
}

fn events(told: &[Output]) -> Vec<&Event> {
    let events = told.iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn failures(told: &[Output]) -> Vec<DownloadFailure> {
    let failed = events(told).into_iter().filter_map(|event| match event {
        Event::DownloadFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    });
    failed.collect()
}

fn stopped(told: &[Output]) -> bool {
    told.iter().any(|output| matches!(output, Output::Stopped))
}

fn begun(told: &[Output]) -> usize {
    events(told).iter().filter(|event| matches!(event, Event::DownloadBegin { .. })).count()
}

// ---- the manifest

#[test]
fn slow_source_of_a_manifest_gets_a_second_one() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    (1..3).for_each(|n| alone.meet(n, &[&ggoo]));
    alone.download("ggoo");
    let (first, slow) = manifests(&alone.told())[0];
    alone.pass(MANIFEST_HEDGE_MIN - ms(1));
    assert_eq!(manifests(&alone.told()), []);
    alone.pass(ms(2));
    let told = alone.told();
    assert_eq!(manifests(&told).iter().map(|m| m.0).collect::<Vec<_>>(), [3 - first]);
    let (second, id) = manifests(&told)[0];
    alone.lost(second, id);
    assert_eq!(failures(&alone.told()), [], "the first one may still answer");
    alone.pass(MANIFEST_ANSWER_PATIENCE);
    let told = alone.told();
    assert_eq!(failures(&told), [DownloadFailure::NoManifest], "both are here, and neither helped");
    assert_eq!(cancels(&told), [(first, slow)]);
}

#[test]
fn newcomer_is_asked_beside_a_slow_source() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    alone.download("ggoo");
    alone.told();
    alone.pass(MANIFEST_HEDGE_MIN * 2);
    assert_eq!(manifests(&alone.told()), []);
    alone.meet(2, &[&ggoo]);
    assert_eq!(manifests(&alone.told()).iter().map(|m| m.0).collect::<Vec<_>>(), [2]);
}

/// Thirty identities would hold thirty connections with unneeded bytes.
#[test]
fn unneeded_manifest_must_end_soon() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    (1..3).for_each(|n| alone.meet(n, &[&ggoo]));
    alone.download("ggoo");
    let (first, slow) = manifests(&alone.told())[0];
    alone.hear(Input::Net(NetInput::ManifestStarted { peer: id_of(first), id: slow, bytes: 200 }));
    alone.pass(MANIFEST_HEDGE_MIN + ms(1));
    let (second, id) = manifests(&alone.told())[0];
    alone.manifest(second, id, &ggoo);
    let told = alone.told();
    assert_eq!((begun(&told), cancels(&told)), (1, vec![(first, slow)]));
    alone.pass(MANIFEST_LEFTOVER_MAX - ms(1));
    assert_eq!(sources_dropped(&alone.told()), []);
    alone.pass(ms(2));
    assert_eq!(sources_dropped(&alone.told()), [first]);
    alone.pass(MANIFEST_LEFTOVER_MAX * 2);
    assert_eq!(sources_dropped(&alone.told()), [], "once");
}

#[test]
fn oversized_manifest_is_rejected() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    (1..3).for_each(|n| alone.meet(n, &[&ggoo]));
    alone.download("ggoo");
    let (first, id) = manifests(&alone.told())[0];
    alone.hear(Input::Net(NetInput::ManifestStarted { peer: id_of(first), id, bytes: 96 << 20 }));
    let told = alone.told();
    let rejected =
        |event: &&Event| matches!(event, Event::SourceRejected { peer, .. } if *peer == id_of(first));
    assert!(events(&told).iter().any(rejected));
    assert_eq!(
        (sources_dropped(&told), manifests(&told).len()),
        (vec![first], 1),
        "the other is asked at once"
    );
}

#[test]
fn busy_source_is_asked_for_its_manifest_again() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    alone.download("ggoo");
    let (_, id) = manifests(&alone.told())[0];
    let failure = RequestFailure::Refused(Refusal::TooMany);
    alone.hear(Input::Net(NetInput::RequestFailed { peer: id_of(1), id, failure }));
    alone.pass(MANIFEST_BUSY_PAUSE_MIN * 2);
    let told = alone.told();
    assert_eq!((failures(&told), manifests(&told).len()), (vec![], 1));
    alone.manifest(1, manifests(&told)[0].1, &ggoo);
    assert_eq!(begun(&alone.told()), 1);
}

#[test]
fn one_source_is_asked_for_few_manifests_at_a_time() {
    let games: Vec<_> = (0..12).map(|n| content(&format!("game{n}"), 4, n)).collect();
    let mut alone = Alone::new();
    alone.meet(1, &games.iter().collect::<Vec<_>>());
    games.iter().for_each(|game| alone.download(game.manifest().game().as_str()));
    let asked = manifests(&alone.told());
    assert_eq!(asked.len(), MANIFESTS_PER_SOURCE_MAX);
    alone.manifest(1, asked[0].1, &games[0]);
    assert_eq!(manifests(&alone.told()).len(), 1, "one has come, so one more may be asked for");
}

#[test]
fn late_answers_do_not_disturb_the_next_attempt() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    alone.download("ggoo");
    let (_, old) = manifests(&alone.told())[0];
    alone.pass(MANIFEST_ANSWER_PATIENCE);
    assert_eq!(failures(&alone.told()), [DownloadFailure::NoManifest]);
    alone.download("ggoo");
    let (_, new) = manifests(&alone.told())[0];
    alone.lost(1, old);
    alone.manifest(1, new, &ggoo);
    let told = alone.told();
    assert_eq!((failures(&told), begun(&told)), (vec![], 1));
}

#[test]
fn departed_source_of_a_manifest_is_replaced() {
    let (ggoo, mut alone) = (content("ggoo", 4, 7), Alone::new());
    (1..4).for_each(|n| alone.meet(n, &[&ggoo]));
    alone.download("ggoo");
    let (asked, _) = manifests(&alone.told())[0];
    let others: Vec<usize> = (1..4).filter(|n| *n != asked).collect();
    alone.leave(others[0]);
    assert_eq!(manifests(&alone.told()), [], "somebody else left");
    alone.leave(asked);
    assert_eq!(manifests(&alone.told()).iter().map(|m| m.0).collect::<Vec<_>>(), [others[1]]);
    alone.leave(others[1]);
    assert_eq!(failures(&alone.told()), [DownloadFailure::SourcesGone]);
}

#[test]
fn two_manifests_from_one_source_are_kept_apart() {
    let (a, b, mut alone) = (content("a", 4, 7), content("b", 4, 8), Alone::new());
    alone.meet(1, &[&a, &b]);
    alone.download("a");
    alone.download("b");
    let asked = manifests(&alone.told());
    assert_eq!(asked.len(), 2);
    alone.manifest(1, asked[0].1, &a);
    alone.manifest(1, asked[1].1, &b);
    assert_eq!(begun(&alone.told()), 2);
}

// ---- the swarm

#[test]
fn fellows_are_known_from_their_messages() {
    let (ggoo, mut alone) = (content("ggoo", 32, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    alone.meet(2, &[]);
    alone.begin(&ggoo);
    let seen = |alone: &mut Alone| -> Vec<(usize, u32)> {
        let picker = alone.status().swarms.remove(0);
        picker.sources.iter().map(|source| (number_of(source.peer), source.chunks_has)).collect()
    };
    assert_eq!(seen(&mut alone), [(1, 33)]);
    let content = ggoo.content_id();
    alone.message(2, Message::Interested { game: game("ggoo"), content });
    assert_eq!(seen(&mut alone), [(1, 33), (2, 0)]);
    alone.message(2, Message::Have { content, chunks: vec![ChunkIndex(3), ChunkIndex(4)] });
    assert_eq!(seen(&mut alone), [(1, 33), (2, 2)]);
}

#[test]
fn downloads_share_the_bytes_in_flight() {
    let (a, b, mut alone) = (content("a", 8, 7), content("b", 8, 8), Alone::new());
    alone.node.set_tuning(Tuning { in_flight_bytes: 1, ..Tuning::default() });
    (1..4).for_each(|n| alone.meet(n, &[&a, &b]));
    assert_eq!([&a, &b].map(|content| chunks(&alone.begin(content)).len()), [1, 1]);
}

#[test]
fn helped_chunk_is_cancelled_at_the_slow_source() {
    let (ggoo, mut alone) = (content("ggoo", 32, 7), Alone::new());
    (1..9).for_each(|n| alone.meet(n, &[&ggoo]));
    let first = chunks(&alone.begin(&ggoo));
    assert_eq!(first.iter().map(|asked| asked.0).collect::<BTreeSet<_>>(), (1..9).collect());
    // One source delivers every chunk that it is asked for; the others never answer.
    let mut open: Vec<_> = first.iter().filter(|asked| asked.0 == 2).cloned().collect();
    alone.pass(SECOND);
    let (late, told) = loop {
        let asked = open.remove(0);
        alone.deliver(&asked);
        let told = alone.told();
        open.extend(chunks(&told));
        let late = |first: &&(usize, ChunkRequest)| first.0 != 2 && first.1.chunk == asked.1.chunk;
        if let Some(late) = first.iter().find(late) {
            break (late, told);
        }
        assert_eq!(cancels(&told), []);
    };
    assert_eq!(cancels(&told), [(late.0, late.1.id)]);
    assert_eq!(alone.status().swarms.len(), 1, "and it goes on");
}

// ---- what others are told

/// A download from the seed, peer 1, with `listeners` more peers that want to hear of its chunks.
fn with_listeners(listeners: usize) -> (Alone, Vec<(usize, ChunkRequest)>) {
    let (ggoo, mut alone) = (content("ggoo", 32, 7), Alone::new());
    alone.node.set_tuning(Tuning { relay_line: false, ..Tuning::default() });
    alone.meet(1, &[&ggoo]);
    for n in 2..2 + listeners {
        alone.meet(n, &[]);
        alone.message(n, Message::Interested { game: game("ggoo"), content: ggoo.content_id() });
    }
    let asked = chunks(&alone.begin(&ggoo));
    (alone, asked)
}

#[test]
fn new_chunks_are_announced_together() {
    let (mut alone, mut asked) = with_listeners(2);
    let mut arrives = |alone: &mut Alone| {
        let next = asked.remove(0);
        alone.deliver(&next);
        let told = alone.told();
        asked.extend(chunks(&told));
        haves(&told)
    };
    alone.pass(ms(5));
    assert_eq!(arrives(&mut alone), []);
    assert_eq!(arrives(&mut alone), []);
    assert_eq!(alone.next_wakeup(), ms(20));
    alone.pass(ms(15));
    assert_eq!(haves(&alone.told()), [(2, 2), (3, 2)]);
    alone.pass(ms(25));
    assert_eq!(arrives(&mut alone), [(2, 1), (3, 1)], "nothing was said for a while");
    alone.pass(ms(5));
    assert_eq!(arrives(&mut alone), []);
    assert_eq!(alone.next_wakeup(), ms(45 + 20));
}

#[test]
fn large_rooms_get_fewer_announcements() {
    let (mut alone, asked) = with_listeners(100);
    alone.pass(ms(20));
    alone.deliver(&asked[0]);
    let told = alone.told();
    assert_eq!(haves(&told).len(), 100);
    alone.pass(ms(5));
    alone.deliver(&chunks(&told)[0]);
    assert_eq!((haves(&alone.told()), alone.next_wakeup()), (vec![], ms(20 + 60)));
}

#[test]
fn progress_is_reported_twice_a_second() {
    let (ggoo, mut alone) = (content("ggoo", 32, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    alone.begin(&ggoo);
    alone.pass(SECOND * 3);
    let told = alone.told();
    let progress = events(&told).into_iter().filter(|e| matches!(e, Event::DownloadProgress(_)));
    assert_eq!(progress.count(), 6);
}

#[test]
fn first_lie_does_not_close_the_connection() {
    let (ggoo, mut alone) = (content("ggoo", 32, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    let asked = chunks(&alone.begin(&ggoo)).remove(0);
    alone.lie(&asked);
    let status = alone.status();
    assert_eq!((status.traffic.rejected_sources, status.peers), (1, 1));
    alone.pass(SOURCE_PATIENCE);
    alone.dropped("ggoo");
    assert_eq!(failures(&alone.told()), [DownloadFailure::AllSourcesRejected]);
}

// ---- the end

#[test]
fn cancel_takes_back_only_own_requests() {
    let (a, b, mut alone) = (content("a", 8, 7), content("b", 8, 8), Alone::new());
    alone.meet(1, &[&a, &b]);
    alone.meet(2, &[&a, &b]);
    let (of_a, of_b) = (chunks(&alone.begin(&a)), chunks(&alone.begin(&b)));
    assert_eq!((of_a.len(), of_b.len()), (2, 2));
    alone.command(Command::CancelDownload { game: game("a") });
    let told = alone.told();
    assert_eq!(cancels(&told), of_a.iter().map(|(n, request)| (*n, request.id)).collect::<Vec<_>>());
    let content = a.content_id();
    let not_interested = Message::NotInterested { content };
    assert_eq!(messages(&told), [(1, &not_interested), (2, &not_interested)]);
    let arrived = |alone: &mut Alone, asked: &(usize, ChunkRequest)| {
        alone.deliver(asked);
        let told = alone.told();
        events(&told).iter().any(|event| matches!(event, Event::DownloadChunkFinished { .. }))
    };
    assert!(!arrived(&mut alone, &of_a[0]) && arrived(&mut alone, &of_b[0]));
}

#[test]
fn shutdown_waits_for_commit_and_cancelled_download() {
    let (ggoo, mut alone) = (content("ggoo", 1, 7), Alone::new());
    alone.meet(1, &[&ggoo]);
    let mut asked = chunks(&alone.begin(&ggoo));
    while let Some(next) = asked.pop() {
        alone.deliver(&next);
        let told = alone.told();
        asked.extend(chunks(&told));
        assert_eq!(asked.is_empty(), told.iter().any(|o| matches!(o, Output::Disk(DiskJob::Commit { .. }))));
    }
    alone.command(Command::Shutdown);
    let told = alone.told();
    assert!(!told.iter().any(|o| matches!(o, Output::Disk(_) | Output::Stopped)), "{told:?}");
    let result = Ok(CommittedGame { stamp: FileStamp(1) });
    alone.hear(Input::Disk(DiskReport::Committed { game: game("ggoo"), result }));
    let told = alone.told();
    assert!(events(&told).iter().any(|event| matches!(event, Event::DownloadFinished { .. })));
    assert!(stopped(&told));

    let mut alone = Alone::new();
    alone.meet(1, &[&ggoo]);
    alone.begin(&ggoo);
    alone.command(Command::CancelDownload { game: game("ggoo") });
    alone.told();
    alone.command(Command::Shutdown);
    assert!(!alone.told().iter().any(|o| matches!(o, Output::Disk(_) | Output::Stopped)));
    alone.dropped("ggoo");
    let told = alone.told();
    assert!(events(&told).iter().any(|event| matches!(event, Event::DownloadCancelled { .. })));
    assert!(failures(&told).is_empty() && stopped(&told));
}
