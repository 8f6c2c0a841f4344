//! How far a content can be relied on, and what the owner is asked before it counts.
//!
//! Pure functions of what the node knows: no state, no clock. Owns the kinds of support, what counts as an
//! independent voice, and which versions are dated too far ahead. [`crate::agreement`] chooses among several
//! contents. The invariant: a content with [`Support::Single`] never replaces what is here without the owner's
//! confirmation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lanspread_types::{ContentId, GameVersion, PeerId, failpoint};
use serde::{Deserialize, Serialize};

use crate::limits::{CONFIRMED_STARTS_PER_GAME_MAX, ORIGINS_PER_GAME_MAX, SUPPLIERS_RECORDED_MAX};

/// What supports a content, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Support {
    /// One voice in the room offers it, and nothing else confirms it.
    Single,
    /// Several independent voices offer it, or it is here already.
    Agreed,
    /// The catalogue that counts names this content.
    Pinned,
}

/// What is known about one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Whether the catalogue names it.
    pub pinned: bool,
    /// Independent voices that offer it.
    pub voices: usize,
    /// Whether this peer has it, downloaded or installed.
    pub held: bool,
}

impl Support {
    /// Returns the strongest support that the evidence allows.
    pub fn of(evidence: Evidence) -> Self {
        match evidence {
            Evidence { pinned: true, .. } => Self::Pinned,
            Evidence { held: true, .. } => Self::Agreed,
            Evidence { voices, .. } if voices >= 2 => Self::Agreed,
            _ => Self::Single,
        }
    }
}

/// One voice in the room: an address, since keys cost nothing and addresses cost a little.
///
/// All of an IPv6 /64 is one voice, because one machine may use any address in it. At the default loopback address,
/// where a whole party on one machine may run for trial, each port is a voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Voice {
    /// An IPv4 address or an IPv6 /64.
    Address(lanspread_types::Origin),
    /// A port of this machine.
    OnThisMachine(SocketAddr),
}

impl Voice {
    /// Returns the voice of a peer that accepts connections at this address.
    pub fn of(addr: SocketAddr) -> Self {
        match addr.ip().to_canonical() {
            _ if failpoint!("count-ports-as-voices") => Self::OnThisMachine(addr),
            IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => Self::OnThisMachine(addr),
            ip => Self::Address(lanspread_types::Origin::of(ip)),
        }
    }
}

/// A day by the runtime's clock (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarDate {
    /// Days since 1970-01-01.
    days: u32,
}

impl CalendarDate {
    /// Returns the day of a Unix time in seconds.
    pub fn from_unix_seconds(seconds: u64) -> Self {
        Self { days: u32::try_from(seconds / 86_400).unwrap_or(u32::MAX) }
    }

    /// Returns the date in the form of versions, `YYYYMMDD`.
    pub fn stamp(self) -> u32 {
        // Days to a civil date, by Howard Hinnant's algorithm; eras of 400 years that begin on 1 March.
        let days = u64::from(self.days) + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        u32::try_from(year * 10_000 + month * 100 + day).unwrap_or(u32::MAX)
    }

    /// Returns the next day.
    pub fn tomorrow(self) -> Self {
        Self { days: self.days.saturating_add(1) }
    }
}

/// Returns true if a version is dated after tomorrow; without a date, never. One day of tolerance suffices, because
/// no time zone is more than a day ahead of UTC.
pub fn is_dated_ahead(version: GameVersion, today: Option<CalendarDate>) -> bool {
    let ahead = today.is_some_and(|today| version.stamp() > today.tomorrow().stamp());
    ahead && !failpoint!("believe-any-date")
}

/// A peer that offered a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplier {
    /// Proven identity.
    pub peer: PeerId,
    /// Its name at that time.
    pub name: String,
}

/// Where a content came from, recorded when it is downloaded or installed from the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Content that was chosen.
    pub content: ContentId,
    /// Version of that content.
    pub version: GameVersion,
    /// Its support when it was chosen.
    pub support: Support,
    /// Peers that offered it then, at most [`SUPPLIERS_RECORDED_MAX`] of them.
    pub suppliers: Vec<Supplier>,
}

impl Origin {
    /// Returns an origin with the first few suppliers.
    pub fn new(
        content: ContentId,
        version: GameVersion,
        support: Support,
        mut suppliers: Vec<Supplier>,
    ) -> Self {
        suppliers.truncate(SUPPLIERS_RECORDED_MAX);
        Self { content, version, support, suppliers }
    }
}

/// What is recorded about one game: the origins of its contents, and which of them the owner has let start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Sorted by time of arrival, the latest first.
    origins: Vec<Origin>,
    /// Contents of installed folders, by the folder's identity.
    installed: Vec<(u64, ContentId)>,
    /// Contents that the owner has let start, the latest first.
    confirmed: Vec<ContentId>,
}

impl Provenance {
    /// Records an origin. The first suppliers of a content stay its suppliers: a repair brings the same bytes from
    /// other peers.
    pub fn note_origin(&mut self, origin: Origin) {
        let known = self.origins.iter().position(|known| known.content == origin.content);
        let origin = known.map_or(origin, |at| self.origins.remove(at));
        self.origins.insert(0, origin);
        self.origins.truncate(ORIGINS_PER_GAME_MAX);
    }

    /// Forgets the origin of a content that did not arrive after all.
    pub fn forget_origin(&mut self, content: ContentId) {
        self.origins.retain(|known| known.content != content);
    }

    /// Returns the recorded origin of a content.
    pub fn origin(&self, content: ContentId) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.content == content)
    }

    /// Returns the latest recorded content of a version.
    pub fn content_of_version(&self, version: GameVersion) -> Option<ContentId> {
        self.origins.iter().find(|origin| origin.version == version).map(|origin| origin.content)
    }

    /// Records the content of a folder that becomes `local/`; `folder` is its identity on disk.
    pub fn note_installed(&mut self, folder: u64, content: ContentId) {
        self.installed.retain(|(known, _)| *known != folder);
        self.installed.insert(0, (folder, content));
        self.installed.truncate(ORIGINS_PER_GAME_MAX);
    }

    /// Returns the content of the folder with this identity, if recorded.
    pub fn installed(&self, folder: u64) -> Option<ContentId> {
        self.installed.iter().find(|(known, _)| *known == folder).map(|(_, content)| *content)
    }

    /// Records that the owner has let a content start.
    pub fn note_confirmed(&mut self, content: ContentId) {
        self.confirmed.retain(|known| *known != content);
        self.confirmed.insert(0, content);
        self.confirmed.truncate(CONFIRMED_STARTS_PER_GAME_MAX);
    }

    /// Returns true if the owner has let this content start.
    pub fn is_confirmed(&self, content: ContentId) -> bool {
        self.confirmed.contains(&content)
    }
}

/// A content that decides what a start runs: the installed one, or the one whose file names the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartedContent {
    /// Content that was installed or downloaded.
    pub content: ContentId,
    /// Whether the owner let it start before.
    pub confirmed: bool,
}

/// Returns the content about which the owner must be asked before the start, or `None`. `word` is the content that
/// the owner has just confirmed.
pub fn unconfirmed_start(
    involved: impl IntoIterator<Item = StartedContent>,
    pinned: Option<ContentId>,
    word: Option<ContentId>,
) -> Option<ContentId> {
    let open = |started: &StartedContent| {
        let content = Some(started.content);
        !started.confirmed && pinned != content && word != content
    };
    involved.into_iter().find(open).map(|started| started.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(stamp: u32) -> GameVersion {
        GameVersion::new(stamp).unwrap()
    }

    fn content(byte: u8) -> ContentId {
        ContentId([byte; 32])
    }

    #[test]
    fn catalogue_counts_most_and_one_voice_least() {
        let of = |pinned, voices, held| Support::of(Evidence { pinned, voices, held });
        assert_eq!(of(true, 0, false), Support::Pinned);
        assert_eq!(of(true, 9, true), Support::Pinned);
        assert_eq!(of(false, 2, false), Support::Agreed);
        assert_eq!(of(false, 0, true), Support::Agreed);
        assert_eq!(of(false, 1, false), Support::Single);
        assert!(Support::Pinned > Support::Agreed && Support::Agreed > Support::Single);
    }

    #[test]
    fn one_address_is_one_voice() {
        let voice = |addr: &str| Voice::of(addr.parse().unwrap());
        assert_eq!(voice("10.0.0.1:1"), voice("10.0.0.1:2"));
        assert_ne!(voice("10.0.0.1:1"), voice("10.0.0.2:1"));
        assert_eq!(voice("[::ffff:10.0.0.1]:1"), voice("10.0.0.1:2"));
        assert_eq!(voice("[2001:db8:0:1::1]:1"), voice("[2001:db8:0:1:ffff::2]:2"));
        assert_ne!(voice("[2001:db8:0:1::1]:1"), voice("[2001:db8:0:2::1]:1"));
        assert_eq!(voice("127.0.0.66:1"), voice("127.0.0.66:2"), "a host of a test");
        assert_ne!(voice("127.0.0.1:1"), voice("127.0.0.1:2"), "a party for trial");
        assert_ne!(voice("[::1]:1"), voice("[::1]:2"));
    }

    #[test]
    fn dates_are_civil_dates() {
        let stamp = |days: u64| CalendarDate::from_unix_seconds(days * 86_400 + 86_399).stamp();
        assert_eq!(
            [0, 58, 59, 364, 365].map(stamp),
            [19_700_101, 19_700_228, 19_700_301, 19_701_231, 19_710_101]
        );
        assert_eq!(stamp(19_782), 20_240_229, "a leap day");
        assert_eq!(stamp(20_787), 20_261_130);
        assert_eq!(CalendarDate::from_unix_seconds(u64::MAX).stamp(), u32::MAX);
    }

    #[test]
    fn version_after_tomorrow_is_dated_ahead() {
        let new_years_eve = CalendarDate::from_unix_seconds(20_818 * 86_400);
        assert_eq!(new_years_eve.stamp(), 20_261_231);
        let ahead = |stamp| is_dated_ahead(version(stamp), Some(new_years_eve));
        assert_eq!([20_261_231, 20_270_101, 20_270_102, 99_991_231].map(ahead), [false, false, true, true]);
        assert!(!is_dated_ahead(version(99_991_231), None), "without a date nothing is");
    }

    #[test]
    fn records_are_bounded_and_the_latest_stay() {
        let mut known = Provenance::default();
        let suppliers: Vec<Supplier> =
            (0..20).map(|n| Supplier { peer: PeerId([n; 32]), name: "guest".to_owned() }).collect();
        for n in 0..40 {
            let origin = Origin::new(content(n), version(20_250_101), Support::Single, suppliers.clone());
            assert_eq!(origin.suppliers.len(), SUPPLIERS_RECORDED_MAX);
            known.note_origin(origin);
            known.note_installed(u64::from(n), content(n));
            known.note_confirmed(content(n));
        }
        assert_eq!(known.origins.len(), ORIGINS_PER_GAME_MAX);
        assert_eq!(known.installed.len(), ORIGINS_PER_GAME_MAX);
        assert_eq!(known.confirmed.len(), CONFIRMED_STARTS_PER_GAME_MAX);
        assert_eq!(known.content_of_version(version(20_250_101)), Some(content(39)));
        assert_eq!((known.installed(39), known.installed(0)), (Some(content(39)), None));
        assert!(known.is_confirmed(content(39)) && !known.is_confirmed(content(0)));
        known.forget_origin(content(39));
        assert_eq!(known.content_of_version(version(20_250_101)), Some(content(38)));
    }

    #[test]
    fn start_is_confirmed_once_per_content_unless_pinned() {
        let started = |byte, confirmed| StartedContent { content: content(byte), confirmed };
        let ask = |involved: &[StartedContent], pinned: Option<u8>, word: Option<u8>| {
            unconfirmed_start(involved.iter().copied(), pinned.map(content), word.map(content))
        };
        assert_eq!(ask(&[started(1, false)], None, None), Some(content(1)));
        assert_eq!(ask(&[started(1, true)], None, None), None);
        assert_eq!(ask(&[started(1, false)], Some(1), None), None);
        assert_eq!(ask(&[started(1, false)], Some(2), None), Some(content(1)));
        assert_eq!(ask(&[started(1, false)], None, Some(1)), None);
        assert_eq!(
            ask(&[started(1, false)], None, Some(2)),
            Some(content(1)),
            "the word was for another one"
        );
        assert_eq!(ask(&[started(1, true), started(2, false)], None, None), Some(content(2)));
        assert_eq!(ask(&[], None, None), None);
    }
}
