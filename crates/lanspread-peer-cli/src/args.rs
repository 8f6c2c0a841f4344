//! Command-line flags. The doc comments of [`Args`] are the text of `--help`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use lanspread_peer::Find;
use lanspread_types::{CatalogKey, GameId, PartyName, PeerName};

/// A lanspread peer for scripts: one JSON command per line of standard input, JSON lines on standard output.
///
/// Try: echo '{"cmd":"status","id":1}' | lanspread-peer-cli
#[derive(Debug, Parser)]
#[command(version, after_help = exit_codes())]
pub struct Args {
    /// The library: one folder for each game. Created if it does not exist
    #[arg(long, value_name = "PATH", default_value = "lanspread-games")]
    pub games_dir: PathBuf,

    /// Folder for this peer's identity and settings. Created if it does not exist; each peer needs its own
    #[arg(long, value_name = "PATH", default_value = "lanspread-state")]
    pub state_dir: PathBuf,

    /// Create a tiny game with this id in the library unless it is there; may be repeated
    #[arg(long = "fixture", value_name = "GAME_ID")]
    pub fixtures: Vec<GameId>,

    /// Catalogue of games and their versions (TOML). Without one, every well-formed game counts
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,

    /// The organiser's public key: only catalogues that it has signed count, and newer ones are taken from any peer.
    /// A signed --catalog has the same effect. Remembered in the state folder
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,

    /// Use no catalogue, and forget the organiser
    #[arg(long, conflicts_with_all = ["catalog", "catalog_key"])]
    pub no_catalog: bool,

    /// Download games that another peer asks everybody to download, if the catalogue names their content
    #[arg(long)]
    pub accept_wants: bool,

    /// Keep a game out of sharing: other peers hear nothing of it. May be given again
    #[arg(long, value_name = "GAME_ID")]
    pub private: Vec<GameId>,

    /// Address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:0")]
    pub listen: SocketAddr,

    /// Name that other peers show for this one; the host's name if not given
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<PeerName>,

    /// Join the closed party of this name: only peers that know its passphrase are admitted
    #[arg(long, value_name = "NAME", value_parser = party, requires = "party_secret_file")]
    pub party: Option<PartyName>,

    /// File with the passphrase of the closed party
    #[arg(long, value_name = "FILE", requires = "party")]
    pub party_secret_file: Option<PathBuf>,

    /// Limit for chunk data sent, in bytes per second; `set-limits` changes it
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub upload_limit: Option<u64>,

    /// Limit for chunk data received, in bytes per second; `set-limits` changes it
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub download_limit: Option<u64>,

    /// Ways to find other peers besides `connect`: any of mdns, broadcast, introductions, remembered, or all
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub find: Vec<How>,

    /// Log filter for standard error, such as `info` or `lanspread_net=debug`
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub log: String,
}

/// A way to find other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// Multicast DNS on the local network
    Mdns,
    /// UDP broadcasts on the local network
    Broadcast,
    /// Introductions by connected peers
    Introductions,
    /// Addresses of peers met earlier
    Remembered,
    /// All of them
    All,
}

impl Args {
    /// Returns the ways to find peers. None is on unless a flag asks for it, so that unrelated scripts and tests do
    /// not meet.
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
    fn flags_parse_as_scripts_expect() {
        let line = "x --games-dir g --state-dir s --fixture ggoo --fixture cnc4 --catalog c --listen 127.0.2.1:0 --name N";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        let ids: Vec<_> = args.fixtures.iter().map(GameId::as_str).collect();
        assert_eq!(ids, ["ggoo", "cnc4"]);
        assert_eq!(args.listen.to_string(), "127.0.2.1:0");
        let args = Args::try_parse_from(["x"]).unwrap();
        assert_eq!(args.listen.port(), 0);
        assert_eq!(args.games_dir.to_str(), Some("lanspread-games"));
        assert_eq!(args.state_dir.to_str(), Some("lanspread-state"));
    }

    #[test]
    fn finding_is_off_unless_asked_for() {
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
    fn invalid_flags_are_refused() {
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
