//! The command line: its commands and arguments, and the help that `--help`, the manual page and the completions
//! show.
//!
//! Doc comments on the types below are that help text. They address users, so they say what an option does, not how.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lanspread_api::ExitCode;
use lanspread_api::request::Priority;
use lanspread_types::{CatalogKey, ContentId, GameId, GameVersion, Organiser, PartyName, PeerName};

use crate::address::DEFAULT_PORT;

/// Share games at a LAN party: everyone who has any part of a game passes it on.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Without one, opens the page.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub ui: UiArgs,
    /// Folder with this peer's identity and settings; commands find the running peer through it.
    #[arg(long, global = true, env = "LANSPREAD_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print JSON lines, for scripts, instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Options of a peer however it is started: where its page is shown, and whether it looks for other peers.
#[derive(Debug, Args)]
pub struct UiArgs {
    /// Also serve the page on this address, for a peer without a screen. Anyone who opens the printed address can do
    /// everything, and the connection is not encrypted.
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub ui_listen: Option<SocketAddr>,
    /// Print the page's address and open no browser.
    #[arg(long, global = true)]
    pub no_browser: bool,
    /// Disable discovery: connect only to the addresses given with --connect or `lanspread connect`, and to the peers
    /// introduced there.
    #[arg(long, global = true)]
    pub no_discovery: bool,
}

/// Commands of `lanspread`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it out: four peers in one process, and a game downloaded from two of them at once.
    #[command(after_help = "\
Needs no setup and leaves nothing behind.

Examples:
  lanspread demo
  lanspread demo --keep        keep the folders of the four peers and say where they are")]
    Demo(DemoArgs),
    /// Run a peer: share a games folder and download games from the room.
    #[command(after_help = "\
Every folder in the games folder that holds a version.ini (an eight-digit date) and an
archive *.eti (a RAR archive) is a game. Stop with Ctrl-C; a second Ctrl-C ends at once.

Examples:
  lanspread run --games-dir D:\\Games
  lanspread run --games-dir ~/games --connect 192.168.0.7
  lanspread run --games-dir ~/games --catalog party.toml --name \"ada's pc\"
  lanspread run --games-dir ~/games --party friday      a closed party: asks for its passphrase")]
    Run(RunArgs),
    /// List the room's games: what is on this PC, and how many peers have each game.
    #[command(visible_alias = "games", after_help = "Example:\n  lanspread list")]
    List,
    /// List the connected peers, how each was found and what it offers, and why others are not connected.
    #[command(after_help = "Example:\n  lanspread peers")]
    Peers,
    /// Show the running peer's address, folders and current work.
    #[command(after_help = "Example:\n  lanspread status")]
    Status,
    /// Show the whole room: who has which game, who is downloading it, and when the last download finishes.
    #[command(after_help = "\
Peers started with --accept-wants download requested games automatically.

Examples:
  lanspread room
  lanspread room --want ggoo          ask everyone to download it")]
    Room(RoomArgs),
    /// Make, sign and check the party's catalogue: its games, their versions and contents.
    #[command(after_help = "\
Examples:
  lanspread catalog key organiser.key
  lanspread catalog make --games-dir ~/games --title Friday -o party.toml --sign organiser.key
  lanspread catalog sign party.toml --key organiser.key          after a change by hand
  lanspread catalog show party.toml
  lanspread catalog verify party.toml
  lanspread catalog trust 4f3a-91c2-77de-0b12")]
    Catalog(CatalogArgs),
    /// Download a game from everyone who has it, and install it.
    #[command(after_help = "\
Ctrl-C cancels the download but keeps its progress; the next `get` downloads only the rest.
A second Ctrl-C quits at once; the running peer continues the download.

If only one source offers a new version of a game you have, you are asked before it is replaced. In a
script, confirm with --confirm; otherwise the command ends with exit code 4.

Examples:
  lanspread get ggoo
  lanspread get ggoo --no-install
  lanspread get ggoo --detach          start the download and return")]
    Get(GetArgs),
    /// Install a downloaded game or, with --stream, one from the room.
    #[command(after_help = "\
With --stream, the archive is unpacked as it arrives and not kept, so the disk needs little more room
than the installed game takes. The game is not shared with others afterwards.

Examples:
  lanspread install ggoo
  lanspread install ggoo --stream      saves disk space: keeps only the installed game")]
    Install(InstallArgs),
    /// Uninstall a game; the download is kept.
    #[command(after_help = "Example:\n  lanspread uninstall ggoo")]
    Uninstall(GameArg),
    /// Share a game with the room, or keep it out of sharing.
    #[command(after_help = "\
A game that is kept out of sharing is neither listed to others nor sent to them. lanspread keeps the choice.

Examples:
  lanspread share ggoo --off           the room hears nothing of it
  lanspread share ggoo                 share it again")]
    Share(ShareArgs),
    /// Delete what an unfinished download has left.
    #[command(after_help = "Example:\n  lanspread discard ggoo")]
    Discard(GameArg),
    /// Remove a download; the installed game is kept.
    #[command(after_help = "Example:\n  lanspread remove ggoo")]
    Remove(GameArg),
    /// Check every byte of a downloaded game, and repair what is damaged.
    #[command(after_help = "\
Only damaged parts are downloaded again. The game is not shared until it is intact.

Examples:
  lanspread verify ggoo
  lanspread verify ggoo --check        only check, download nothing")]
    Verify(VerifyArgs),
    /// Start an installed game, with the player's name and language set.
    #[command(after_help = "\
The catalogue names the program to start; otherwise lanspread.toml in the game's folder does:
start = \"bin/game.exe\", and args = [\"-x\"] if needed.

Examples:
  lanspread play ggoo
  lanspread play ggoo --name Ada --language german
  lanspread play ggoo --no-launch      only set name and language")]
    Play(PlayArgs),
    /// Cancel a running download (its progress is kept) or a streamed install (nothing is kept).
    #[command(after_help = "Example:\n  lanspread cancel ggoo")]
    Cancel(GameArg),
    /// Limit the running peer's upload and download speed.
    #[command(after_help = "\
A limit that you leave out is removed. K, M and G are decimal: 10M is 10 MB per second.

Examples:
  lanspread limit --upload 10M
  lanspread limit --upload 2M --download 50M
  lanspread limit                      remove both limits")]
    Limit(LimitArgs),
    /// Set a download's priority: lower ones wait while a higher one can make progress.
    #[command(after_help = "Examples:\n  lanspread priority ggoo high\n  lanspread priority ggoo normal")]
    Priority(PriorityArgs),
    /// Connect the running peer to another one.
    #[command(after_help = "\
Examples:
  lanspread connect 192.168.0.7
  lanspread connect ada.local:24930
  lanspread connect 192.168.0.7 --catalog-key KEY      and use this organiser's catalogue")]
    Connect(ConnectArgs),
    /// Let guests download this program: opens a page for them and prints hashes to compare.
    #[command(after_help = "\
Until you stop it, anyone on the network can download the program, and nothing else.

Examples:
  lanspread invite
  lanspread invite --close")]
    Invite(InviteArgs),
    /// Pack an installed game for the library, with a version, a cover and a start program.
    #[command(after_help = "\
The original folder is not changed. The archive is not compressed; unrar and 7z can unpack it, too.

Examples:
  lanspread pack \"C:\\Program Files\\My Game\" --id my-game --version 20260101
  lanspread pack ./my-game --id my-game --version 20260101 --title \"My Game\" --start bin/game.exe --cover box.png")]
    Pack(PackArgs),
    /// Print a shell completion script.
    #[command(after_help = "\
Examples:
  lanspread completions bash > ~/.local/share/bash-completion/completions/lanspread
  lanspread completions powershell >> $PROFILE")]
    Completions(CompletionsArgs),
    /// Print the manual page.
    #[command(after_help = "Example:\n  lanspread man > ~/.local/share/man/man1/lanspread.1")]
    Man,
    /// Find out why PCs do not see each other, and what to do about it.
    #[command(after_help = "\
Checks network adapters, firewall and disks, and whether multicast and broadcast get through. Takes a
few seconds, changes nothing, and works with or without a running peer.

Examples:
  lanspread doctor
  lanspread doctor --games-dir D:\\Games
  lanspread doctor --json")]
    Doctor(DoctorArgs),
    /// Install lanspread for the current user: in the start menu and, if you like, at each login.
    #[command(after_help = "\
Needs no administrator rights. To update, run it again with a newer lanspread.

Examples:
  lanspread install-app
  lanspread install-app --autostart    start at each login, without opening the page")]
    InstallApp(InstallAppArgs),
    /// Uninstall lanspread for the current user; settings and games are kept.
    #[command(after_help = "Example:\n  lanspread uninstall-app")]
    UninstallApp,
    /// Stop the running peer.
    #[command(after_help = "Example:\n  lanspread stop")]
    Stop,
}

/// Arguments of `lanspread demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the folders of the four peers and say where they are.
    #[arg(long)]
    pub keep: bool,
    /// Size of the game that the fourth peer downloads, in MiB.
    #[arg(long, default_value_t = 128, value_name = "MIB", value_parser = clap::value_parser!(u64).range(16..=4096))]
    pub size: u64,
}

/// Arguments of `lanspread run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The games folder, with one folder for each game.
    #[arg(long, value_name = "DIR")]
    pub games_dir: PathBuf,
    /// The party's catalogue of games and versions (TOML). Without one, all valid games are shown. If it is signed,
    /// newer editions from the room replace it, now and at later starts.
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The organiser's public key: only a catalogue signed with it is used; it arrives from the room.
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,
    /// Use no catalogue, and forget the organiser.
    #[arg(long, conflicts_with_all = ["catalog", "catalog_key"])]
    pub no_catalog: bool,
    /// Automatically download games that others ask everyone to download (`lanspread room --want GAME`), if the
    /// catalogue pins their content.
    #[arg(long)]
    pub accept_wants: bool,
    /// Address to listen on. If the port is in use, a free one is taken.
    #[arg(long, value_name = "ADDR:PORT", default_value_t = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)))]
    pub listen: SocketAddr,
    /// Name that others see; the host name if not given.
    #[arg(long, value_parser = |text: &str| PeerName::new(text))]
    pub name: Option<PeerName>,
    /// Join the closed party of this name: only peers with its passphrase can join or see it.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| PartyName::new(text))]
    pub party: Option<PartyName>,
    /// File with the party's passphrase. Without it, LANSPREAD_PARTY_SECRET is used, or you are asked.
    #[arg(long, value_name = "FILE", requires = "party")]
    pub party_secret_file: Option<PathBuf>,
    /// Join no closed party, even if one was joined on the page.
    #[arg(long, conflicts_with = "party")]
    pub no_party: bool,
    /// Upload limit per second, such as 10M; `lanspread limit` changes it.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload_limit: Option<u64>,
    /// Download limit per second, such as 10M; `lanspread limit` changes it.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub download_limit: Option<u64>,
    /// A peer to connect to; may be given several times.
    #[arg(long, value_name = "ADDR")]
    pub connect: Vec<String>,
}

/// Arguments of `lanspread doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Games folder to check if no peer is running.
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
}

/// Arguments of `lanspread pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The folder to pack.
    pub folder: PathBuf,
    /// The game's id: the name of its folder in the library.
    #[arg(long)]
    pub id: GameId,
    /// The date of this version, in eight digits.
    #[arg(long, value_name = "YYYYMMDD")]
    pub version: GameVersion,
    /// The game's title.
    #[arg(long)]
    pub title: Option<String>,
    /// The program that starts the game, relative to the folder; `lanspread play` runs it.
    #[arg(long, value_name = "FILE")]
    pub start: Option<String>,
    /// An argument for that program; may be given several times.
    #[arg(long, value_name = "ARG", requires = "start", allow_hyphen_values = true)]
    pub start_arg: Vec<String>,
    /// A picture (.webp, .png, .jpg) that the page shows.
    #[arg(long, value_name = "FILE")]
    pub cover: Option<PathBuf>,
    /// The library; by default the one chosen for this state folder.
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
}

/// Arguments of `lanspread install-app`.
#[derive(Debug, Args)]
pub struct InstallAppArgs {
    /// Start lanspread at each login.
    #[arg(long)]
    pub autostart: bool,
}

/// Arguments of `lanspread completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell that the script is for.
    pub shell: clap_complete::Shell,
}

/// Arguments of `lanspread room`.
#[derive(Debug, Args)]
pub struct RoomArgs {
    /// Ask everyone to download this game.
    #[arg(long, value_name = "GAME")]
    pub want: Option<GameId>,
}

/// Arguments of `lanspread catalog`.
#[derive(Debug, Args)]
pub struct CatalogArgs {
    #[command(subcommand)]
    pub command: CatalogCommand,
}

/// The organiser's commands, and those of a guest about an organiser.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Make the organiser's key and print its public part.
    Key {
        /// Where to write the key; the file must not exist yet.
        file: PathBuf,
    },
    /// Write a catalogue of the games in a folder, with their contents pinned.
    Make {
        /// The library. Without it the running peer's games are taken.
        #[arg(long, value_name = "DIR")]
        games_dir: Option<PathBuf>,
        /// The previous edition: what people wrote into it stays, and its serial number continues. Without it, the file
        /// that is written is the previous edition if it exists.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Title of the party or the list.
        #[arg(long)]
        title: Option<String>,
        /// Where to write the catalogue.
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
        /// Sign it at once with this organiser's key, from `lanspread catalog key`.
        #[arg(long, value_name = "FILE")]
        sign: Option<PathBuf>,
    },
    /// Sign a catalogue with the organiser's key. If it was changed since it was signed, its serial number goes up by
    /// one.
    Sign {
        /// The catalogue to sign.
        file: PathBuf,
        /// The organiser's key, from `lanspread catalog key`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Show a catalogue's games and its signature.
    Show { file: PathBuf },
    /// Use an organiser's catalogue: at once if a peer runs, otherwise from the next start.
    Trust {
        /// The whole key, or the fingerprint of an organiser that `lanspread status` shows as offered.
        #[arg(value_name = "KEY|FINGERPRINT")]
        key: Organiser,
    },
    /// Stop asking about an organiser.
    Decline {
        /// The whole key, or the fingerprint of an organiser that `lanspread status` shows as offered.
        #[arg(value_name = "KEY|FINGERPRINT")]
        key: Organiser,
    },
    /// Check a catalogue's signature.
    Verify {
        /// The catalogue to check.
        file: PathBuf,
        /// The key that must have signed it.
        #[arg(long)]
        key: Option<CatalogKey>,
    },
}

/// Argument of the commands that only need a game.
#[derive(Debug, Args)]
pub struct GameArg {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
}

/// Arguments of `lanspread get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Download only; install later with `lanspread install`.
    #[arg(long)]
    pub no_install: bool,
    /// Start the download and return at once.
    #[arg(long)]
    pub detach: bool,
    /// Accept this content even though only one source offers it: the full id, as the question shows it in JSON.
    #[arg(long, value_name = "CONTENT")]
    pub confirm: Option<ContentId>,
    /// Replace the local game without asking, even if only one source offers the new content.
    #[arg(long, conflicts_with = "confirm")]
    pub yes_from_one_source: bool,
}

/// Arguments of `lanspread install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Download the game and unpack it as it arrives, without keeping its archives.
    #[arg(long, visible_alias = "low-disk")]
    pub stream: bool,
    /// Let the archives unpack to this size, such as 5G, even though they are much smaller.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_unpacked: Option<u64>,
}

/// Arguments of `lanspread verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Only check; download nothing.
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `lanspread play`.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// The player's name; this machine's name if not given.
    #[arg(long)]
    pub name: Option<String>,
    /// The game's language, as the game calls it; english if not given.
    #[arg(long)]
    pub language: Option<String>,
    /// Do not start the game.
    #[arg(long)]
    pub no_launch: bool,
    /// Start this content's program without asking: the full id, as the question shows it in JSON.
    #[arg(long, value_name = "CONTENT", conflicts_with = "no_launch")]
    pub confirm: Option<ContentId>,
}

/// Arguments of `lanspread limit`.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Upload limit per second, such as 10M.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload: Option<u64>,
    /// Download limit per second, such as 10M.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub download: Option<u64>,
}

/// Arguments of `lanspread share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The game's id, as `lanspread list` shows it.
    pub game: GameId,
    /// Keep the game out of sharing.
    #[arg(long)]
    pub off: bool,
}

/// Arguments of `lanspread priority`.
#[derive(Debug, Args)]
pub struct PriorityArgs {
    /// The game's id, as `lanspread status` shows it.
    pub game: GameId,
    /// low, normal or high.
    #[arg(value_parser = priority)]
    pub priority: Priority,
}

/// Parses a rate in bytes per second, with an optional K, M or G for 10³, 10⁶ or 10⁹.
fn rate(text: &str) -> Result<u64, String> {
    amount(text)
        .ok_or_else(|| "a rate is a whole number of bytes per second, such as 500K, 10M or 1G".to_owned())
}

/// Parses a number of bytes in the same form.
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

/// Arguments of `lanspread connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Name or address, with or without a port.
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Also trust this party's organiser: the key that the invitation names.
    #[arg(long, value_name = "KEY")]
    pub catalog_key: Option<CatalogKey>,
}

/// Arguments of `lanspread invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// Stop inviting.
    #[arg(long)]
    pub close: bool,
}

/// Reads the command line. Ends the process if it asks for help or is not valid.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
}

/// Returns the definition of the command line; the manual page and the completions are made from it.
pub fn command() -> clap::Command {
    Cli::command().after_help(format!(
        "Start here:\n  lanspread          opens the page\n  lanspread demo\n\nExit codes:\n{}",
        exit_codes()
    ))
}

/// Returns the contract's exit codes, one per line.
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
