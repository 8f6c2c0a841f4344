//! The room as the organiser sees it: who has which game, who downloads what, and when the last peer will be ready.
//!
//! The roster knows what peers have; their downloads and settings are known only from their answers. Peers are asked
//! only while a command waits for a view, so an unwatched room costs no messages. Also limits the wishes of peers:
//! requests to everybody to download a game.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::message::{DownloadState, PeerState};
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, PeerId, failpoint};

use crate::api::command::CommandId;
pub use crate::api::room::{Fetching, OtherCopy, RoomGame, RoomGroup, RoomGuest, RoomSnapshot};
use crate::budget::site_of;
use crate::groups::Group;
use crate::limits::{ROOM_VIEW_EVERY, WISHES_MAX, WISHES_PER_PEER, WISHES_PER_SITE};
use crate::time::Time;

/// Time that peers have to answer.
pub const ANSWERS_WITHIN: Duration = Duration::from_millis(800);
/// Shortest time between two answers to one peer.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Time in which the same wish of the same peer counts once.
const WISH_EVERY: Duration = Duration::from_secs(60);
/// No wish is granted while this many downloads run: wishes must not fill a disk.
pub const WISHED_DOWNLOADS_MAX: usize = 4;

/// Recent answers of peers, and what they were told.
#[derive(Debug, Default)]
pub struct Room {
    views: Views,
    states: BTreeMap<PeerId, (PeerState, Time)>,
    told: BTreeMap<PeerId, Time>,
    wishes: BTreeMap<(PeerId, GameId), Wish>,
}

/// Commands that ask for a view of the room. All commands that arrive while peers are being asked get the same view.
/// The next question goes out some time after the last one.
#[derive(Debug, Default)]
struct Views {
    /// Commands that wait for the next question.
    waiting: Vec<CommandId>,
    open: Option<Question>,
    asked_at: Option<Time>,
}

/// A question to the peers that is not answered completely.
#[derive(Debug)]
struct Question {
    asked_at: Time,
    /// Commands that get the view.
    askers: Vec<CommandId>,
    /// Peers that have not answered.
    awaited: BTreeSet<PeerId>,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    at: Time,
    /// Site of the peer that made it.
    site: IpAddr,
}

/// One guest, as input of [`overview`].
#[derive(Debug, Clone)]
pub struct GuestState {
    /// Proven identity.
    pub peer: PeerId,
    /// Name to show.
    pub name: String,
    /// Group of its address, as this peer sees it.
    pub group: Group,
    /// Its answer to the last question; `None` if it has not answered.
    pub state: Option<PeerState>,
}

/// One game, as input of [`overview`].
#[derive(Debug, Clone)]
pub struct Counted {
    /// Id of the game.
    pub game: GameId,
    /// Title in the catalogue.
    pub title: Option<String>,
    /// Version that counts.
    pub version: Option<GameVersion>,
    /// Pinned content, if any.
    pub content: Option<ContentId>,
    /// Peers that have any copy of the game, sorted by peer, with version and content.
    pub offers: Vec<(PeerId, GameVersion, ContentId)>,
}

impl Room {
    /// Forgets a peer whose connection ended.
    pub fn peer_gone(&mut self, peer: PeerId) {
        self.states.remove(&peer);
        self.told.remove(&peer);
        self.views.open.as_mut().map(|question| question.awaited.remove(&peer));
    }

    /// Notes the state that a connected peer reports.
    pub fn said(&mut self, peer: PeerId, state: PeerState, now: Time) {
        self.states.insert(peer, (state, now));
        self.views.open.as_mut().map(|question| question.awaited.remove(&peer));
    }

    /// Notes that a command asks for a view of the room.
    pub fn ask(&mut self, asker: CommandId) {
        match &mut self.views.open {
            Some(question) => question.askers.push(asker),
            None => self.views.waiting.push(asker),
        }
    }

    /// Begins to ask these peers, if a command waits for a view and the last question is long enough ago. Returns
    /// true if the peers must be asked.
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

    /// Ends the question if all peers have answered or the time is over. Returns the commands that get the view, and
    /// since when answers count.
    pub fn end_question(&mut self, now: Time) -> Option<(Vec<CommandId>, Time)> {
        let over = |q: &mut Question| q.awaited.is_empty() || now.since(q.asked_at) >= ANSWERS_WITHIN;
        let question = self.views.open.take_if(over)?;
        Some((question.askers, question.asked_at))
    }

    /// Returns when a question is due to begin or end.
    pub fn next_wakeup(&self) -> Option<Time> {
        let views = &self.views;
        match &views.open {
            Some(question) => Some(question.asked_at + ANSWERS_WITHIN),
            None if views.waiting.is_empty() => None,
            None => Some(views.asked_at.unwrap_or_default() + ROOM_VIEW_EVERY),
        }
    }

    /// Returns all commands that wait for a view, and forgets them.
    pub fn take_askers(&mut self) -> Vec<CommandId> {
        let open = self.views.open.take().map(|question| question.askers);
        std::mem::take(&mut self.views.waiting).into_iter().chain(open.into_iter().flatten()).collect()
    }

    /// Returns the state that a peer has reported since a time.
    pub fn state(&self, peer: PeerId, since: Time) -> Option<&PeerState> {
        self.states.get(&peer).filter(|(_, at)| *at >= since).map(|(state, _)| state)
    }

    /// Returns true if a peer's question may be answered.
    pub fn may_tell(&mut self, peer: PeerId, now: Time) -> bool {
        let due = self.told.get(&peer).is_none_or(|told| now.since(*told) >= TELL_EVERY);
        if due {
            self.told.insert(peer, now);
        }
        due
    }

    /// Returns true if a wish is new, and within the limits of its peer and its address.
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
            // The address with the most wishes gives way, so that no address can use up the wishes of all others.
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

/// A peer and one of its downloads.
type Downloading<'a> = (PeerId, &'a DownloadState);

/// Builds the view of the room from what peers have and what they say. `newest` is this peer's signed catalogue.
pub fn overview(
    guests: &[GuestState],
    games: &[Counted],
    newest: Option<(CatalogKey, u64)>,
    games_left_out: usize,
) -> RoomSnapshot {
    let guest = |g: &GuestState| {
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

/// Sums up what the guests say, group by group. They may say anything, so sums saturate.
fn groups(guests: &[GuestState]) -> Vec<RoomGroup> {
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

fn over_all(guests: &[GuestState], counted: &Counted, downloads: &[Downloading<'_>]) -> RoomGame {
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
    let downloads: BTreeSet<PeerId> = downloads.iter().map(|(peer, _)| *peer).collect();
    for guest in guests {
        let peer = guest.peer;
        let offered = counted.offers.binary_search_by_key(&peer, |(peer, ..)| *peer);
        let Ok(at) = offered else {
            if !downloads.contains(&peer) {
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

    fn guest(n: u8, download: Option<(u64, u64, u64)>) -> GuestState {
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
        GuestState { peer: PeerId([n; 32]), name: format!("guest {n}"), group, state: Some(state) }
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
    fn guests_are_sorted_by_what_they_have() {
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
    fn stalled_download_makes_the_end_unknown() {
        let guests = [guest(1, Some((50, 100, 10))), guest(2, Some((50, 100, 0)))];
        assert_eq!(overview(&guests, &[counted(&[])], None, 0).games[0].last_ready_seconds, None);
        let done = [guest(1, Some((100, 100, 0)))];
        assert_eq!(overview(&done, &[counted(&[])], None, 0).games[0].last_ready_seconds, Some(0));
        assert_eq!(overview(&[], &[counted(&[])], None, 0).games[0].last_ready_seconds, None);
    }

    #[test]
    fn guest_with_an_older_catalogue_is_behind() {
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
            GuestState { group: group.clone(), state: Some(state), ..guest(n, None) }
        };
        let elsewhere = guest(0, None).group;
        let silent = GuestState { state: None, ..with(4, &row_a, 0, 0) };
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

    /// Wishes for many games. Returns how many of the wishes count.
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
    fn modest_peers_wish_counts_when_all_are_used_up() {
        let mut room = Room::default();
        for n in 0..200 {
            wish_many(&mut room, PeerId([n; 32]), ip(u32::from(n) / 4), Time::START);
        }
        assert_eq!(room.wishes.len(), WISHES_MAX);
        assert!(room.wished(PeerId([222; 32]), ip(999), &ggoo(), Time::START), "the organiser's");
        assert_eq!(room.wishes.len(), WISHES_MAX);
    }

    #[test]
    fn many_commands_share_one_view_in_half_a_second() {
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
    fn returning_peer_starts_anew() {
        let (mut room, ann) = (Room::default(), PeerId([1; 32]));
        assert!(room.may_tell(ann, Time::START));
        room.said(ann, PeerState::default(), Time::START);
        room.peer_gone(ann);
        assert_eq!(room.state(ann, Time::START), None, "what it said went with it");
        assert!(room.may_tell(ann, Time::START), "and it is answered at once");
    }
}
