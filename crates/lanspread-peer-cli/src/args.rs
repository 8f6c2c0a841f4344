//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use lanspread_peer::Find;
use lanspread_types::{CatalogKey, GameId, PartyName, PeerName};

/// A lanspread peer for scripts: one JSON command per line of standard input, JSON lines on standard output.
///
/// Try: echo '{"cmd":"status","id":1}' | lanspread-peer-cli --games-dir /tmp/games --state-dir /tmp/state
#[derive(Debug, Parser)]
#[command(version, after_help = exit_codes())]
pub struct Args {
    /// The library: one folder for each game. Made if it is not there
    #[arg(long, value_name = "PATH")]
    pub games_dir: PathBuf,

    /// Where this peer keeps its identity and settings. Made if it is not there; each peer needs its own
    #[arg(long, value_name = "PATH")]
    pub state_dir: PathBuf,

    /// Put a tiny game of this id into the library if it is not there; may be repeated
    #[arg(long = "fixture", value_name = "GAME_ID")]
    pub fixtures: Vec<GameId>,

    /// Which games exist, in which version (TOML). Without one every well-formed game counts
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,

    /// The organiser's public key: only a catalogue that it has signed counts, and newer ones are taken from any peer.
    /// A signed --catalog says the same. Remembered in the state folder
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,

    /// Go by no catalogue, and forget the organiser
    #[arg(long, conflicts_with_all = ["catalog", "catalog_key"])]
    pub no_catalog: bool,

    /// Fetch what others ask everybody to fetch, if the catalogue names its content
    #[arg(long)]
    pub accept_wants: bool,

    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:0")]
    pub listen: SocketAddr,

    /// What other peers show; the host's name if it is not given
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<PeerName>,

    /// Belong to a closed party of this name: only who knows its pass phrase is let in
    #[arg(long, value_name = "NAME", value_parser = party, requires = "party_secret_file")]
    pub party: Option<PartyName>,

    /// A file that holds the pass phrase of the closed party
    #[arg(long, value_name = "FILE", requires = "party")]
    pub party_secret_file: Option<PathBuf>,

    /// Send at most so many bytes per second of chunk data; `set-limits` changes it
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub upload_limit: Option<u64>,

    /// Receive at most so many bytes per second of chunk data; `set-limits` changes it
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub download_limit: Option<u64>,

    /// How to find others, beyond `connect`: any of mdns, broadcast, introductions, remembered, or all
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub find: Vec<How>,

    /// What to log on standard error, such as `info` or `lanspread_net=debug`
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

/// A way to find others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    Mdns,
    Broadcast,
    Introductions,
    Remembered,
    All,
}

impl Args {
    /// Nothing that was not asked for: scripts and tests that do not know of each other must not meet.
    pub fn find(&self) -> Find {
        let asked = |how| self.find.contains(&how) || self.find.contains(&How::All);
        Find {
            mdns: asked(How::Mdns),
            broadcast: asked(How::Broadcast),
            introductions: asked(How::Introductions),
            remembered: asked(How::Remembered),
        }
    }
}

fn party(text: &str) -> Result<PartyName, String> {
    PartyName::new(text).map_err(|e| e.to_string())
}

fn name(text: &str) -> Result<PeerName, String> {
    PeerName::new(text).map_err(|e| e.to_string())
}

fn exit_codes() -> String {
    use lanspread_api::ExitCode as Exit;
    let row = |e: Exit| format!("  {}  {}", e.code(), e.meaning());
    let rows: Vec<_> =
        [Exit::Success, Exit::Internal, Exit::Usage, Exit::Start].into_iter().map(row).collect();
    format!("Exit codes:\n{}\nErrors of commands are lines, not exit codes.", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_as_scripts_expect_them() {
        let line = "x --games-dir g --state-dir s --fixture ggoo --fixture cnc4 --catalog c --listen 127.0.2.1:0 --name N";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        let ids: Vec<_> = args.fixtures.iter().map(GameId::as_str).collect();
        assert_eq!(ids, ["ggoo", "cnc4"]);
        assert_eq!(args.listen.to_string(), "127.0.2.1:0");
        assert_eq!(
            Args::try_parse_from(["x", "--games-dir", "g", "--state-dir", "s"]).unwrap().listen.port(),
            0
        );
    }

    #[test]
    fn nobody_is_found_unless_asked_for() {
        let find = |flags: &str| {
            let line = format!("x --games-dir g --state-dir s {flags}");
            Args::try_parse_from(line.split_whitespace()).unwrap().find()
        };
        assert_eq!(find(""), Find::NOBODY);
        assert_eq!(find("--find all"), Find::EVERYBODY);
        assert_eq!(find("--find mdns,broadcast"), Find { mdns: true, broadcast: true, ..Find::NOBODY });
        assert_eq!(find("--find introductions"), Find { introductions: true, ..Find::NOBODY });
    }

    #[test]
    fn what_is_not_valid_is_refused_before_anything_starts() {
        for bad in ["--fixture ../x", "--listen 127.0.0.1", "--name \u{7}", "--nonsense"] {
            let line = format!("x --games-dir g --state-dir s {bad}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{bad}");
        }
        for half in ["--party friday", "--party-secret-file f"] {
            let line = format!("x --games-dir g --state-dir s {half}");
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{half}");
        }
    }
}
