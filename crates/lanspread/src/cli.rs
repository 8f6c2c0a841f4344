//! The command line: what there is, and how it is explained.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lanspread_api::ExitCode;
use lanspread_api::request::Priority;
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Organiser, PartyName, PeerName};

use crate::address::DEFAULT_PORT;

/// Share game libraries at a LAN party: everybody who has any part of a game serves it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Without one, opens the page.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub ui: UiArgs,
    /// Folder of this peer's identity and settings; it also tells the commands how to reach the running peer.
    #[arg(long, global = true, env = "LANSPREAD_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print the JSON lines of the contract instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What holds for a peer however it is started: where its page is shown, and whether it looks for others.
#[derive(Debug, Args)]
pub struct UiArgs {
    /// Show the page on this address, too, for a peer without a screen. Whoever has the address that is printed can do
    /// everything; it is not encrypted.
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub ui_listen: Option<SocketAddr>,
    /// Print the page's address and open no browser.
    #[arg(long, global = true)]
    pub no_browser: bool,
    /// Announce nothing and look for nobody: only --connect and `lanspread connect`, and who is introduced then.
    #[arg(long, global = true)]
    pub no_discovery: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// See it work: four peers in this one process, a game fetched from two of them at once.
    #[command(after_help = "\
Nothing has to be set up and nothing is left behind.

Examples:
  lanspread demo
  lanspread demo --keep        keep the folders of the four peers and say where they are")]
    Demo(DemoArgs),
    /// Be a peer: share a folder of games and fetch what the room has.
    #[command(after_help = "\
Every folder in the games folder that holds a version.ini (an eight-digit date) and an
archive *.eti (a RAR archive) is a game. Stop with Ctrl-C; a second Ctrl-C ends at once.

Examples:
  lanspread run --games-dir D:\\Games
  lanspread run --games-dir ~/games --connect 192.168.0.7
  lanspread run --games-dir ~/games --catalog party.toml --name \"ada's pc\"
  lanspread run --games-dir ~/games --party friday      a closed party: asks for its pass phrase")]
    Run(RunArgs),
    /// List the room's games: what is here, and how many have the rest.
    #[command(visible_alias = "games", after_help = "Example:\n  lanspread list")]
    List,
    /// List the connected peers, how each was found and what it offers, and why others are not connected.
    #[command(after_help = "Example:\n  lanspread peers")]
    Peers,
    /// Show how the running peer stands: its address, its folders, what it does.
    #[command(after_help = "Example:\n  lanspread status")]
    Status,
    /// Look at the whole room: who has which game, who fetches what, when the last one will be ready.
    #[command(after_help = "\
Who fetches on a wish is up to its owner: lanspread run --accept-wants

Examples:
  lanspread room
  lanspread room --want ggoo          ask everybody to fetch it")]
    Room(RoomArgs),
    /// Make, sign and look at the party's catalogue: its games, their versions and contents.
    #[command(after_help = "\
Examples:
  lanspread catalog key organiser.key
  lanspread catalog make --games-dir ~/games --title Friday -o party.toml --sign organiser.key
  lanspread catalog sign party.toml --key organiser.key          after a change by hand
  lanspread catalog show party.toml
  lanspread catalog verify party.toml
  lanspread catalog trust 4f3a-91c2-77de-0b12")]
    Catalog(CatalogArgs),
    /// Fetch a game from everybody who has it, and install it.
    #[command(after_help = "\
Ctrl-C cancels the download; what is verified is kept, and the next `get` fetches only the rest.
A second Ctrl-C ends at once and leaves the download to the running peer.

A game that is here is replaced by what only one source offers after a question; in a script give
your word with --confirm, or the command ends with code 4.

Examples:
  lanspread get ggoo
  lanspread get ggoo --no-install
  lanspread get ggoo --detach          start it and leave it to the running peer")]
    Get(GetArgs),
    /// Install a game that is downloaded, or with --stream one that the room has.
    #[command(after_help = "\
With --stream the archive is not kept: it is unpacked as it arrives, so the disk needs room for the
installed game and a small window only. Such a game is not shared with others afterwards.

Examples:
  lanspread install ggoo
  lanspread install ggoo --stream      low disk: nothing but the installed game stays")]
    Install(InstallArgs),
    /// Remove what was installed; the download stays.
    #[command(after_help = "Example:\n  lanspread uninstall ggoo")]
    Uninstall(GameArg),
    /// Remove a download; what is installed stays.
    #[command(after_help = "Example:\n  lanspread remove ggoo")]
    Remove(GameArg),
    /// Read every byte of a downloaded game, and fetch what is broken.
    #[command(after_help = "\
What is broken is fetched from anybody who has it, and nothing else. Until the game is whole
again it is not shared.

Examples:
  lanspread verify ggoo
  lanspread verify ggoo --check        only look, fetch nothing")]
    Verify(VerifyArgs),
    /// Write name and language into a freshly installed game, and start it.
    #[command(after_help = "\
The program is what the catalogue says or, if it says nothing, what lanspread.toml in the
game's folder says: start = \"bin/game.exe\", and args = [\"-x\"] if it takes any.

Examples:
  lanspread play ggoo
  lanspread play ggoo --name Ada --language german
  lanspread play ggoo --no-launch      only write name and language")]
    Play(PlayArgs),
    /// Cancel a running download (what is verified is kept) or a streamed install (nothing is).
    #[command(after_help = "Example:\n  lanspread cancel ggoo")]
    Cancel(GameArg),
    /// Limit what the running peer sends and receives, from now on.
    #[command(after_help = "\
A limit that is not given is lifted. K, M and G count in thousands: 10M is 10 MB per second.

Examples:
  lanspread limit --upload 10M
  lanspread limit --upload 2M --download 50M
  lanspread limit                      no limits any more")]
    Limit(LimitArgs),
    /// Say which download goes first: one waits while a higher one can get anything.
    #[command(after_help = "Examples:\n  lanspread priority ggoo high\n  lanspread priority ggoo normal")]
    Priority(PriorityArgs),
    /// Connect the running peer to another one.
    #[command(after_help = "\
Examples:
  lanspread connect 192.168.0.7
  lanspread connect ada.local:24930
  lanspread connect 192.168.0.7 --catalog-key KEY      and go by this organiser's catalogue")]
    Connect(ConnectArgs),
    /// Hand this program out to guests: opens a page for them, and says what to compare.
    #[command(after_help = "\
While the door is open, everybody in the network can fetch the program; nothing else.

Examples:
  lanspread invite
  lanspread invite --close")]
    Invite(InviteArgs),
    /// Make an installed game's folder into a game of the library: an archive, a version, a cover.
    #[command(after_help = "\
The folder is only read. The archive is stored, not compressed; unrar and 7z unpack it, too.

Examples:
  lanspread pack \"C:\\Program Files\\My Game\" --id my-game --version 20260101
  lanspread pack ./my-game --id my-game --version 20260101 --title \"My Game\" --start bin/game.exe --cover box.png")]
    Pack(PackArgs),
    /// Print a script that completes this program's commands in a shell.
    #[command(after_help = "\
Examples:
  lanspread completions bash > ~/.local/share/bash-completion/completions/lanspread
  lanspread completions powershell >> $PROFILE")]
    Completions(CompletionsArgs),
    /// Print the manual page.
    #[command(after_help = "Example:\n  lanspread man > ~/.local/share/man/man1/lanspread.1")]
    Man,
    /// Look for what keeps PCs from finding each other, and say what to do.
    #[command(after_help = "\
Looks at the network cards, the firewall, the disks, and whether multicast and broadcast pass; takes a
few seconds, changes nothing, and works with and without a running peer.

Examples:
  lanspread doctor
  lanspread doctor --games-dir D:\\Games
  lanspread doctor --json")]
    Doctor(DoctorArgs),
    /// Install this program for this user: in the start menu and, if wanted, at each login.
    #[command(after_help = "\
No administrator is needed. Run it again with a newer lanspread to bring it up to date.

Examples:
  lanspread install-app
  lanspread install-app --autostart    start at each login, without opening the page")]
    InstallApp(InstallAppArgs),
    /// Take this program out of the start menu again; settings and games stay.
    #[command(after_help = "Example:\n  lanspread uninstall-app")]
    UninstallApp,
    /// Stop the running peer: it says goodbye to everybody and ends.
    #[command(after_help = "Example:\n  lanspread stop")]
    Stop,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the folders of the four peers and say where they are.
    #[arg(long)]
    pub keep: bool,
    /// Size of the game that is fetched, in MiB.
    #[arg(long, default_value_t = 128, value_name = "MIB", value_parser = clap::value_parser!(u64).range(16..=4096))]
    pub size: u64,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The library: a folder with one folder for each game.
    #[arg(long, value_name = "DIR")]
    pub games_dir: PathBuf,
    /// The party's list of games and versions (TOML); without one every well-formed game counts. If it is signed, newer
    /// editions of it are taken from the room, now and at later starts.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The organiser's public key: only a catalogue that it has signed counts, and the room brings it.
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,
    /// Go by no catalogue, and forget the organiser.
    #[arg(long, conflicts_with_all = ["catalog", "catalog_key"])]
    pub no_catalog: bool,
    /// Fetch what others ask everybody to fetch (`lanspread room --want GAME`), if the catalogue names its content.
    #[arg(long)]
    pub accept_wants: bool,
    /// Where to listen. If the port is in use, a free one is taken.
    #[arg(long, value_name = "ADDR:PORT", default_value_t = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)))]
    pub listen: SocketAddr,
    /// What others call this machine; its host name if not given.
    #[arg(long, value_parser = |text: &str| PeerName::new(text))]
    pub name: Option<PeerName>,
    /// Belong to a closed party of this name: only who knows its pass phrase gets in, or sees anything.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| PartyName::new(text))]
    pub party: Option<PartyName>,
    /// A file that holds the party's pass phrase; else LANSPREAD_PARTY_SECRET counts, else it is asked for.
    #[arg(long, value_name = "FILE", requires = "party")]
    pub party_secret_file: Option<PathBuf>,
    /// Belong to no closed party, although one was joined on the page.
    #[arg(long, conflicts_with = "party")]
    pub no_party: bool,
    /// Send at most so much chunk data per second, such as 10M; `lanspread limit` changes it.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload_limit: Option<u64>,
    /// Receive at most so much chunk data per second, such as 10M; `lanspread limit` changes it.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub download_limit: Option<u64>,
    /// A peer to connect to; may be given several times.
    #[arg(long, value_name = "ADDR")]
    pub connect: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The library to look at, if no peer runs.
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackArgs {
    /// The folder to pack.
    pub folder: PathBuf,
    /// The game's id: the name of its folder in the library.
    #[arg(long)]
    pub id: GameId,
    /// The version: the date of this state of the game, in eight digits.
    #[arg(long, value_name = "YYYYMMDD")]
    pub version: GameVersion,
    /// What people call it.
    #[arg(long)]
    pub title: Option<String>,
    /// The program that starts it, relative to the folder; `lanspread play` starts it.
    #[arg(long, value_name = "FILE")]
    pub start: Option<String>,
    /// An argument for that program; may be given several times.
    #[arg(long, value_name = "ARG", requires = "start", allow_hyphen_values = true)]
    pub start_arg: Vec<String>,
    /// A picture (.webp, .png, .jpg) that the page shows.
    #[arg(long, value_name = "FILE")]
    pub cover: Option<PathBuf>,
    /// The library; that of this state folder if not given.
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct InstallAppArgs {
    /// Start it at each login.
    #[arg(long)]
    pub autostart: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct RoomArgs {
    /// Ask everybody to fetch this game.
    #[arg(long, value_name = "GAME")]
    pub want: Option<GameId>,
}

#[derive(Debug, Args)]
pub struct CatalogArgs {
    #[command(subcommand)]
    pub command: CatalogCommand,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Make the organiser's key and say what its public part is.
    Key {
        /// Where to write it; nothing must be there yet.
        file: PathBuf,
    },
    /// Write a catalogue of the games in a folder, with their contents pinned.
    Make {
        /// The library; no peer may run on it meanwhile. Without one the running peer's games are taken.
        #[arg(long, value_name = "DIR")]
        games_dir: Option<PathBuf>,
        /// The former edition: what people wrote into it stays, and the serial number goes on.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// What the party or the list is called.
        #[arg(long)]
        title: Option<String>,
        /// Where to write it.
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
        /// Sign it at once with the organiser's key, by `lanspread catalog key`.
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
    },
    /// Sign a catalogue with the organiser's key. Of one that was changed since it was signed, the serial number goes
    /// up by one.
    Sign {
        file: PathBuf,
        /// The organiser's key, by `lanspread catalog key`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Show what a catalogue says.
    Show { file: PathBuf },
    /// Go by an organiser's catalogue from now on: the running peer at once, otherwise from the next start.
    Trust {
        /// The whole key, or the fingerprint of one that `lanspread status` shows as offered.
        #[arg(value_name = "KEY|FINGERPRINT")]
        key: Organiser,
    },
    /// Do not ask about an organiser again.
    Decline {
        #[arg(value_name = "KEY|FINGERPRINT")]
        key: Organiser,
    },
    /// Check a catalogue's signature.
    Verify {
        file: PathBuf,
        /// It must be signed by this key.
        #[arg(long)]
        key: Option<CatalogKey>,
    },
}

#[derive(Debug, Args)]
pub struct GameArg {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Fetch only; install later with `lanspread install`.
    #[arg(long)]
    pub no_install: bool,
    /// Start the download and return at once.
    #[arg(long)]
    pub detach: bool,
    /// Take this content, although only one source offers it: the id in full, as the question shows it in JSON.
    #[arg(long, value_name = "CONTENT")]
    pub confirm: Option<ContentId>,
    /// Replace what is here also by what only one source offers, without being asked.
    #[arg(long, conflicts_with = "confirm")]
    pub yes_from_one_source: bool,
}

#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Fetch the game from the room and unpack it as it arrives, without keeping its archives.
    #[arg(long, visible_alias = "low-disk")]
    pub stream: bool,
    /// Let the archives unpack to so many bytes, such as 5G, although they are much smaller.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_unpacked: Option<u64>,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Only look; fetch nothing.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// The player's name; what others call this machine if not given.
    #[arg(long)]
    pub name: Option<String>,
    /// The game's language, as the game calls it; english if not given.
    #[arg(long)]
    pub language: Option<String>,
    /// Do not start the game.
    #[arg(long)]
    pub no_launch: bool,
    /// Let the program of this content start without being asked: the id in full, as the question shows it in JSON.
    #[arg(long, value_name = "CONTENT", conflicts_with = "no_launch")]
    pub confirm: Option<ContentId>,
}

#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Send at most so much chunk data per second, such as 10M.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload: Option<u64>,
    /// Receive at most so much chunk data per second, such as 10M.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub download: Option<u64>,
}

#[derive(Debug, Args)]
pub struct PriorityArgs {
    /// The game's id, as `lanspread status` shows it.
    pub game: GameId,
    /// low, normal or high.
    #[arg(value_parser = priority)]
    pub priority: Priority,
}

/// A rate in bytes per second, with an optional K, M or G for thousands, millions, thousands of millions.
fn rate(text: &str) -> Result<u64, String> {
    amount(text)
        .ok_or_else(|| "a rate is a whole number of bytes per second, such as 500K, 10M or 1G".to_owned())
}

/// A number of bytes, in the same form.
fn bytes(text: &str) -> Result<u64, String> {
    amount(text).ok_or_else(|| "a size is a whole number of bytes, such as 500M or 5G".to_owned())
}

fn amount(text: &str) -> Option<u64> {
    let (digits, unit) = match text.trim().to_ascii_uppercase() {
        t if t.ends_with('K') => (t[..t.len() - 1].to_owned(), 1_000),
        t if t.ends_with('M') => (t[..t.len() - 1].to_owned(), 1_000_000),
        t if t.ends_with('G') => (t[..t.len() - 1].to_owned(), 1_000_000_000),
        t => (t, 1),
    };
    digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|&amount| amount > 0)
}

fn priority(text: &str) -> Result<Priority, String> {
    Priority::from_name(text).ok_or_else(|| "a priority is low, normal or high".to_owned())
}

#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Name or address, with or without a port.
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Trust this party's organiser, too: the key that the invitation names.
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,
}

#[derive(Debug, Args)]
pub struct InviteArgs {
    /// Hand out nothing any more.
    #[arg(long)]
    pub close: bool,
}

/// Reads the command line. Ends the program where it is asked for help or is not valid.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
}

pub fn command() -> clap::Command {
    Cli::command().after_help(format!(
        "Start here:\n  lanspread          opens the page\n  lanspread demo\n\nExit codes:\n{}",
        exit_codes()
    ))
}

/// The contract's exit codes, one line each.
fn exit_codes() -> String {
    let line = |exit: ExitCode| format!("  {:>3}  {}", exit.code(), exit.meaning());
    let all = ExitCode::ALL.into_iter().map(line).chain(["  130  interrupted by a second Ctrl-C".to_owned()]);
    all.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn rates_are_read_in_thousands() {
        assert_eq!(
            ["1", "500K", "10m", "1G"].map(rate),
            [Ok(1), Ok(500_000), Ok(10_000_000), Ok(1_000_000_000)]
        );
        for bad in ["", "0", "K", "1.5M", "-1", "10MB", "99999999999G"] {
            assert!(rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        for command in command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let call = format!("lanspread {}", command.get_name());
            assert!(help.contains("Example") && help.contains(&call), "{}", command.get_name());
            assert!(command.get_about().is_some());
        }
    }

    #[test]
    fn the_readme_has_the_same_exit_codes() {
        let readme = include_str!("../../../README.md");
        for exit in ExitCode::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }
}
