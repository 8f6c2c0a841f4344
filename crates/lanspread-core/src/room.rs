//! The room as the organiser sees it: who has which game, who fetches what, and when the last one will be ready.
//!
//! What peers have is in the roster; how they stand they say when they are asked. Nothing is sent while nobody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::message::{DownloadState, PeerState};
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, PeerId, failpoint};

use crate::budget::site_of;
use crate::command::CommandId;
use crate::groups::Group;
use crate::limits::{ROOM_VIEW_EVERY, WISHES_MAX, WISHES_PER_PEER, WISHES_PER_SITE};
use crate::time::Time;

/// How long answers are waited for.
pub const ANSWERS_WITHIN: Duration = Duration::from_millis(800);
/// A peer is told how we stand at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// The same wish of the same peer is told once in this time.
const WISH_EVERY: Duration = Duration::from_secs(60);
/// Downloads that others have set off and that run at a time: a wish must not fill a disk.
pub const WISHED_DOWNLOADS_MAX: usize = 4;

/// What the peers said of late, and what they were told.
#[derive(Debug, Default)]
pub struct Room {
    views: Views,
    states: BTreeMap<PeerId, (PeerState, Time)>,
    told: BTreeMap<PeerId, Time>,
    wishes: BTreeMap<(PeerId, GameId), Wish>,
}

/// Who asked for a view of the room. Everybody who asks while the peers are being asked gets the same view; the next
/// question goes out some time after the last one.
#[derive(Debug, Default)]
struct Views {
    /// Commands that wait for the next question.
    waiting: Vec<CommandId>,
    open: Option<Question>,
    asked_at: Option<Time>,
}

/// The peers were asked how they stand.
#[derive(Debug)]
struct Question {
    asked_at: Time,
    /// Commands that get the view.
    askers: Vec<CommandId>,
    /// Peers that have not said it yet.
    awaited: BTreeSet<PeerId>,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    at: Time,
    /// Of the peer that made it.
    site: IpAddr,
}

/// Everybody, by game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSnapshot {
    /// Everybody in the room, this peer included.
    pub guests: Vec<RoomGuest>,
    /// Groups with at least one guest, the named ones first.
    pub groups: Vec<RoomGroup>,
    pub games: Vec<RoomGame>,
    /// Games that are offered and do not stand in the list: others matter more.
    pub games_left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGuest {
    pub peer: PeerId,
    pub name: String,
    pub group: Group,
    /// It has not said how it stands: it is busy, or an older program.
    pub silent: bool,
    /// It goes by this signed catalogue.
    pub catalog: Option<(CatalogKey, u64)>,
    /// It goes by the same organiser's catalogue in an older edition.
    pub behind: bool,
    pub accepts_wants: bool,
}

/// Peers behind one switch, and what they say that they received since their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGroup {
    pub group: Group,
    pub peers: usize,
    /// Bytes of verified chunks.
    pub received_bytes: u64,
    /// Those that came from peers of other groups.
    pub other_groups_bytes: u64,
}

/// One game, over the whole room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomGame {
    pub game: GameId,
    pub title: Option<String>,
    /// The version that counts, and the content where it is pinned.
    pub version: Option<GameVersion>,
    pub content: Option<ContentId>,
    /// Who has it in full, in that version and content.
    pub ready: Vec<PeerId>,
    /// Who has something else under its name.
    pub other: Vec<OtherCopy>,
    pub fetching: Vec<Fetching>,
    /// Who neither has it nor fetches it.
    pub without: Vec<PeerId>,
    /// Until the last of those who fetch it has it; `None` while somebody does not get on, or nobody fetches.
    pub last_ready_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherCopy {
    pub peer: PeerId,
    pub version: GameVersion,
    pub content: ContentId,
    /// The right version with another content.
    pub same_version: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetching {
    pub peer: PeerId,
    pub version: GameVersion,
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub bytes_per_second: u64,
    /// `None` while nothing comes.
    pub seconds_left: Option<u64>,
}

/// One guest, as the snapshot is made from it.
#[derive(Debug, Clone)]
pub struct Standing {
    pub peer: PeerId,
    pub name: String,
    /// The group of its address, as this peer sees it.
    pub group: Group,
    pub state: Option<PeerState>,
}

/// A game that is looked at, with what counts.
#[derive(Debug, Clone)]
pub struct Counted {
    pub game: GameId,
    pub title: Option<String>,
    pub version: Option<GameVersion>,
    pub content: Option<ContentId>,
    /// Who has something under its name, sorted by peer.
    pub offers: Vec<(PeerId, GameVersion, ContentId)>,
}

impl Room {
    pub fn peer_gone(&mut self, peer: PeerId) {
        self.states.remove(&peer);
        self.told.remove(&peer);
        self.views.open.as_mut().map(|question| question.awaited.remove(&peer));
    }

    /// A peer, which is connected, says how it stands.
    pub fn said(&mut self, peer: PeerId, state: PeerState, now: Time) {
        self.states.insert(peer, (state, now));
        self.views.open.as_mut().map(|question| question.awaited.remove(&peer));
    }

    /// A command asks for a view of the room.
    pub fn ask(&mut self, asker: CommandId) {
        match &mut self.views.open {
            Some(question) => question.askers.push(asker),
            None => self.views.waiting.push(asker),
        }
    }

    /// Begins to ask these peers, if somebody waits for a view and it is time. Returns whether to ask them.
    pub fn begin_question(&mut self, peers: impl Iterator<Item = PeerId>, now: Time) -> bool {
        let views = &mut self.views;
        let rested = views.asked_at.is_none_or(|at| now.since(at) >= ROOM_VIEW_EVERY);
        if views.open.is_some() || views.waiting.is_empty() || !rested {
            return false;
        }
        views.asked_at = Some(now);
        let askers = std::mem::take(&mut views.waiting);
        views.open = Some(Question { asked_at: now, askers, awaited: peers.collect() });
        true
    }

    /// Ends the question when everybody has answered or it is time. Returns who gets the view, and since when answers count.
    pub fn end_question(&mut self, now: Time) -> Option<(Vec<CommandId>, Time)> {
        let over = |q: &mut Question| q.awaited.is_empty() || now.since(q.asked_at) >= ANSWERS_WITHIN;
        let question = self.views.open.take_if(over)?;
        Some((question.askers, question.asked_at))
    }

    /// When to look after the views again.
    pub fn next_wakeup(&self) -> Option<Time> {
        let views = &self.views;
        match &views.open {
            Some(question) => Some(question.asked_at + ANSWERS_WITHIN),
            None if views.waiting.is_empty() => None,
            None => Some(views.asked_at.unwrap_or_default() + ROOM_VIEW_EVERY),
        }
    }

    /// Everybody who waits for a view.
    pub fn take_askers(&mut self) -> Vec<CommandId> {
        let open = self.views.open.take().map(|question| question.askers);
        std::mem::take(&mut self.views.waiting).into_iter().chain(open.into_iter().flatten()).collect()
    }

    /// What a peer said since then.
    pub fn state(&self, peer: PeerId, since: Time) -> Option<&PeerState> {
        self.states.get(&peer).filter(|(_, at)| *at >= since).map(|(state, _)| state)
    }

    /// Whether to answer a peer that asks how we stand.
    pub fn may_tell(&mut self, peer: PeerId, now: Time) -> bool {
        let due = self.told.get(&peer).is_none_or(|told| now.since(*told) >= TELL_EVERY);
        if due {
            self.told.insert(peer, now);
        }
        due
    }

    /// Whether a wish is a new one, and within what its peer and its address may wish.
    pub fn wished(&mut self, peer: PeerId, ip: IpAddr, game: &GameId, now: Time) -> bool {
        let site = site_of(ip);
        let key = (peer, game.clone());
        if self.wishes.get(&key).is_some_and(|wish| now.since(wish.at) < WISH_EVERY) {
            return false;
        }
        self.wishes.retain(|_, wish| now.since(wish.at) < WISH_EVERY);
        let of_peer = self.wishes.keys().filter(|(wisher, _)| *wisher == peer).count();
        let mut by_site: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.wishes.values().for_each(|wish| *by_site.entry(wish.site).or_default() += 1);
        let of_site = by_site.get(&site).copied().unwrap_or(0);
        let too_many = of_peer >= WISHES_PER_PEER || of_site >= WISHES_PER_SITE;
        if too_many && !failpoint!("first-come-wishes") {
            return false;
        }
        if self.wishes.len() >= WISHES_MAX {
            // Whoever wishes most gives way, so that nobody can swallow what others wish.
            let greediest = by_site.into_iter().max_by_key(|(_, wishes)| *wishes);
            let Some((greediest, _)) = greediest.filter(|(_, wishes)| *wishes > of_site + 1) else {
                return false;
            };
            if failpoint!("first-come-wishes") {
                return false;
            }
            let oldest = self.wishes.iter().filter(|(_, wish)| wish.site == greediest);
            let oldest = oldest.min_by_key(|(_, wish)| wish.at).map(|(key, _)| key.clone());
            oldest.map(|key| self.wishes.remove(&key));
        }
        self.wishes.insert(key, Wish { at: now, site });
        true
    }
}

/// A download of a peer, with the peer.
type Downloading<'a> = (PeerId, &'a DownloadState);

/// Puts together what everybody has and says.
pub fn overview(
    guests: &[Standing],
    games: &[Counted],
    newest: Option<(CatalogKey, u64)>,
    games_left_out: usize,
) -> RoomSnapshot {
    let guest = |g: &Standing| {
        let state = g.state.clone().unwrap_or_default();
        let behind = match (state.catalog, newest) {
            (Some((key, serial)), Some((our_key, our_serial))) => key == our_key && serial < our_serial,
            _ => false,
        };
        RoomGuest {
            peer: g.peer,
            name: g.name.clone(),
            group: g.group.clone(),
            silent: g.state.is_none(),
            catalog: state.catalog,
            behind,
            accepts_wants: state.accepts_wants,
        }
    };
    let mut downloads: BTreeMap<&GameId, Vec<Downloading<'_>>> = BTreeMap::new();
    for guest in guests {
        for download in guest.state.iter().flat_map(|state| &state.downloads) {
            downloads.entry(&download.game).or_default().push((guest.peer, download));
        }
    }
    let over_all = |game| over_all(guests, game, downloads.get(&game.game).map_or(&[], Vec::as_slice));
    RoomSnapshot {
        guests: guests.iter().map(guest).collect(),
        groups: groups(guests),
        games: games.iter().map(over_all).collect(),
        games_left_out,
    }
}

/// Sums up what the guests say, group by group. They may say anything, so sums stop at the largest number.
fn groups(guests: &[Standing]) -> Vec<RoomGroup> {
    let mut groups: BTreeMap<&Group, RoomGroup> = BTreeMap::new();
    for guest in guests {
        let group = groups.entry(&guest.group).or_insert_with(|| RoomGroup {
            group: guest.group.clone(),
            peers: 0,
            received_bytes: 0,
            other_groups_bytes: 0,
        });
        group.peers += 1;
        let Some(state) = &guest.state else { continue };
        let received = state.own_group_bytes.saturating_add(state.other_groups_bytes);
        group.received_bytes = group.received_bytes.saturating_add(received);
        group.other_groups_bytes = group.other_groups_bytes.saturating_add(state.other_groups_bytes);
    }
    groups.into_values().collect()
}

fn over_all(guests: &[Standing], counted: &Counted, downloads: &[Downloading<'_>]) -> RoomGame {
    let mut room = RoomGame {
        game: counted.game.clone(),
        title: counted.title.clone(),
        version: counted.version,
        content: counted.content,
        ready: Vec::new(),
        other: Vec::new(),
        fetching: downloads.iter().map(|(peer, download)| fetching(*peer, download)).collect(),
        without: Vec::new(),
        last_ready_seconds: None,
    };
    let fetches: BTreeSet<PeerId> = downloads.iter().map(|(peer, _)| *peer).collect();
    for guest in guests {
        let peer = guest.peer;
        let offered = counted.offers.binary_search_by_key(&peer, |(peer, ..)| *peer);
        let Ok(at) = offered else {
            if !fetches.contains(&peer) {
                room.without.push(peer);
            }
            continue;
        };
        let (_, version, content) = counted.offers[at];
        let same_version = room.version.is_none_or(|wanted| wanted == version);
        if failpoint!("lie-about-the-room")
            || same_version && room.content.is_none_or(|wanted| wanted == content)
        {
            room.ready.push(peer);
        } else {
            room.other.push(OtherCopy { peer, version, content, same_version });
        }
    }
    let left = room.fetching.iter().map(|f| f.seconds_left);
    room.last_ready_seconds = left.collect::<Option<Vec<u64>>>().and_then(|all| all.into_iter().max());
    room
}

fn fetching(peer: PeerId, download: &DownloadState) -> Fetching {
    let missing = download.total_bytes.saturating_sub(download.done_bytes);
    let seconds_left = match (missing, download.bytes_per_second) {
        (0, _) => Some(0),
        (_, 0) => None,
        (missing, rate) => Some(missing.div_ceil(rate)),
    };
    Fetching {
        peer,
        version: download.version,
        done_bytes: download.done_bytes.min(download.total_bytes),
        total_bytes: download.total_bytes,
        bytes_per_second: download.bytes_per_second,
        seconds_left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: ContentId = ContentId([1; 32]);
    const WRONG: ContentId = ContentId([2; 32]);

    fn version(stamp: u32) -> GameVersion {
        GameVersion::new(stamp).unwrap()
    }

    fn ggoo() -> GameId {
        GameId::new("ggoo").unwrap()
    }

    fn guest(n: u8, download: Option<(u64, u64, u64)>) -> Standing {
        let download = download.map(|(done_bytes, total_bytes, bytes_per_second)| DownloadState {
            game: ggoo(),
            version: version(20_250_101),
            content: RIGHT,
            done_bytes,
            total_bytes,
            bytes_per_second,
        });
        let state = PeerState { downloads: download.into_iter().collect(), ..PeerState::default() };
        let group = Group::subnet([10, 1, 0, n].into());
        Standing { peer: PeerId([n; 32]), name: format!("guest {n}"), group, state: Some(state) }
    }

    fn counted(offers: &[(u8, u32, ContentId)]) -> Counted {
        let offer = |&(n, stamp, content)| (PeerId([n; 32]), version(stamp), content);
        Counted {
            game: ggoo(),
            title: None,
            version: Some(version(20_250_101)),
            content: Some(RIGHT),
            offers: offers.iter().map(offer).collect(),
        }
    }

    fn peers(ids: &[PeerId]) -> Vec<u8> {
        ids.iter().map(|id| id.0[0]).collect()
    }

    #[test]
    fn everybody_stands_where_it_belongs() {
        let guests = [
            guest(1, None),
            guest(2, None),
            guest(3, Some((25, 100, 5))),
            guest(4, Some((90, 100, 1))),
            guest(5, None),
        ];
        let offers = [(1, 20_250_101, RIGHT), (2, 20_250_101, WRONG), (3, 20_240_101, WRONG)];
        let room = overview(&guests, &[counted(&offers)], None, 0);
        let game = &room.games[0];
        assert_eq!((peers(&game.ready), peers(&game.without)), (vec![1], vec![5]));
        let other: Vec<_> = game.other.iter().map(|o| (o.peer.0[0], o.same_version)).collect();
        assert_eq!(other, [(2, true), (3, false)]);
        let fetching: Vec<_> = game.fetching.iter().map(|f| (f.peer.0[0], f.seconds_left)).collect();
        assert_eq!(fetching, [(3, Some(15)), (4, Some(10))]);
        assert_eq!(game.last_ready_seconds, Some(15), "the last one, not the first");
    }

    #[test]
    fn nobody_knows_when_the_last_one_is_ready_while_one_gets_nothing() {
        let guests = [guest(1, Some((50, 100, 10))), guest(2, Some((50, 100, 0)))];
        assert_eq!(overview(&guests, &[counted(&[])], None, 0).games[0].last_ready_seconds, None);
        let done = [guest(1, Some((100, 100, 0)))];
        assert_eq!(overview(&done, &[counted(&[])], None, 0).games[0].last_ready_seconds, Some(0));
        assert_eq!(overview(&[], &[counted(&[])], None, 0).games[0].last_ready_seconds, None);
    }

    #[test]
    fn who_goes_by_an_older_catalogue_is_behind() {
        let key = CatalogKey([7; 32]);
        let with = |n, catalog| {
            let mut guest = guest(n, None);
            guest.state.as_mut().unwrap().catalog = catalog;
            guest
        };
        let mut silent = guest(5, None);
        silent.state = None;
        let guests = [
            with(1, Some((key, 3))),
            with(2, Some((key, 2))),
            with(3, Some((CatalogKey([8; 32]), 1))),
            with(4, None),
            silent,
        ];
        let room = overview(&guests, &[], Some((key, 3)), 0);
        assert_eq!(
            room.guests.iter().map(|g| g.behind).collect::<Vec<_>>(),
            [false, true, false, false, false]
        );
        assert_eq!(
            room.guests.iter().map(|g| g.silent).collect::<Vec<_>>(),
            [false, false, false, false, true]
        );
    }

    #[test]
    fn groups_sum_up_what_their_guests_received() {
        let row_a = Group::Named("Row A".into());
        let with = |n: u8, group: &Group, own_group_bytes, other_groups_bytes| {
            let state = PeerState { own_group_bytes, other_groups_bytes, ..PeerState::default() };
            Standing { group: group.clone(), state: Some(state), ..guest(n, None) }
        };
        let elsewhere = guest(0, None).group;
        let silent = Standing { state: None, ..with(4, &row_a, 0, 0) };
        let guests = [with(1, &elsewhere, 7, 0), with(2, &row_a, 90, 10), with(3, &row_a, 100, 0), silent];
        let room = overview(&guests, &[], None, 0);
        let sums = room.groups.iter().map(|g| (&g.group, g.peers, g.received_bytes, g.other_groups_bytes));
        assert_eq!(sums.collect::<Vec<_>>(), [(&row_a, 3, 200, 10), (&elsewhere, 1, 7, 0)]);
    }

    #[test]
    fn boasting_guest_overflows_no_sum() {
        let mut liar = guest(1, None);
        let state =
            PeerState { own_group_bytes: u64::MAX, other_groups_bytes: u64::MAX, ..PeerState::default() };
        liar.state = Some(state);
        let room = overview(&[liar.clone(), liar], &[], None, 0);
        let group = &room.groups[0];
        assert_eq!((group.received_bytes, group.other_groups_bytes), (u64::MAX, u64::MAX));
    }

    #[test]
    fn wishes_and_questions_are_limited() {
        let (mut room, ann) = (Room::default(), PeerId([1; 32]));
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        assert!(room.may_tell(ann, at(0)) && !room.may_tell(ann, at(100)) && room.may_tell(ann, at(300)));
        assert!(room.wished(ann, ip(1), &ggoo(), at(0)) && !room.wished(ann, ip(1), &ggoo(), at(59_000)));
        assert!(room.wished(ann, ip(1), &ggoo(), at(60_000)), "after a minute it is a new one");
        let bob = PeerId([2; 32]);
        assert!(room.wished(bob, ip(1), &ggoo(), at(60_000)), "and so is that of somebody else");
        assert_eq!(wish_many(&mut room, ann, ip(1), at(62_000)), WISHES_PER_PEER - 1);
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    /// Wishes for many games; returns how many of them count.
    fn wish_many(room: &mut Room, peer: PeerId, ip: IpAddr, now: Time) -> usize {
        let games = (0..5000).map(|n| GameId::new(format!("g{n}")).unwrap());
        games.filter(|game| room.wished(peer, ip, game, now)).count()
    }

    #[test]
    fn identities_of_one_address_share_their_wishes() {
        let mut room = Room::default();
        let all: usize = (0..64).map(|n| wish_many(&mut room, PeerId([n; 32]), ip(1), Time::START)).sum();
        assert_eq!(all, WISHES_PER_SITE);
        assert_eq!(wish_many(&mut room, PeerId([99; 32]), ip(2), Time::START), WISHES_PER_PEER);
    }

    #[test]
    fn wish_of_a_modest_peer_counts_when_all_are_used_up() {
        let mut room = Room::default();
        for n in 0..200 {
            wish_many(&mut room, PeerId([n; 32]), ip(u32::from(n) / 4), Time::START);
        }
        assert_eq!(room.wishes.len(), WISHES_MAX);
        assert!(room.wished(PeerId([222; 32]), ip(999), &ggoo(), Time::START), "the organiser's");
        assert_eq!(room.wishes.len(), WISHES_MAX);
    }

    #[test]
    fn many_askers_get_one_view_in_half_a_second() {
        let (mut room, ann) = (Room::default(), PeerId([1; 32]));
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        let mut views = 0;
        for ms in 0..10_000 {
            room.ask(CommandId(ms));
            if room.begin_question([ann].into_iter(), at(ms)) {
                room.said(ann, PeerState::default(), at(ms));
            }
            views += usize::from(room.end_question(at(ms)).is_some());
        }
        assert_eq!(views, 20);
        let due = room.next_wakeup().unwrap();
        assert!(room.begin_question(std::iter::empty(), due), "the last ones come then");
        assert_eq!(room.end_question(due).map(|(askers, _)| askers.len()), Some(499));
        assert_eq!(room.next_wakeup(), None);
    }

    #[test]
    fn who_comes_back_starts_anew() {
        let (mut room, ann) = (Room::default(), PeerId([1; 32]));
        assert!(room.may_tell(ann, Time::START));
        room.said(ann, PeerState::default(), Time::START);
        room.peer_gone(ann);
        assert_eq!(room.state(ann, Time::START), None, "what it said went with it");
        assert!(room.may_tell(ann, Time::START), "and it is answered at once");
    }
}
