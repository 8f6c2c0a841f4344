//! The one table of errors: code, when, hint, exit code. Both programs, the documents and the tests read it from here.

use lanspread_peer::StartError;
use lanspread_peer::catalog_file::CatalogError;
use lanspread_peer::command::{self, CommandError, ContentVariant};
use lanspread_peer::event::DownloadFailure;
use lanspread_peer::io::{DialFailure, DiskError};
use lanspread_peer::pass_phrase::{PassPhraseFileError, WeakPhraseError};
use lanspread_peer::trust;
use lanspread_peer::types::PartyMismatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reply::OperationKind;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    Success = 0,
    /// A fault in the program, or something nobody thought of.
    Internal = 1,
    /// The command line, or a command, is not valid.
    Usage = 2,
    /// The peer could not start.
    Start = 3,
    /// The state of things does not allow it.
    Refused = 4,
    /// There is no such game, or nobody has it.
    NotFound = 5,
    /// Another peer could not be reached, or not in time.
    Network = 6,
    /// The data is wrong: it does not verify, or does not unpack.
    Content = 7,
    /// The disk is full or does not work.
    Disk = 8,
    /// No peer runs here, or it does not let this caller in.
    NotRunning = 9,
}

impl ExitCode {
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Internal,
        Self::Usage,
        Self::Start,
        Self::Refused,
        Self::NotFound,
        Self::Network,
        Self::Content,
        Self::Disk,
        Self::NotRunning,
    ];

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for documents and `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Internal => "a fault in the program",
            Self::Usage => "the command line or a command is not valid",
            Self::Start => "the peer could not start: games folder, state folder, address or catalogue",
            Self::Refused => "the state of things does not allow it",
            Self::NotFound => "no such game, or nobody has it",
            Self::Network => "another peer could not be reached, or not in time",
            Self::Content => "the data does not verify or does not unpack",
            Self::Disk => "the disk is full or does not work",
            Self::NotRunning => "no peer runs here, or it does not let this caller in",
        }
    }

    /// The HTTP status (RFC 9110) that says the same.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Success => 200,
            Self::Internal | Self::Start => 500,
            Self::Usage => 400,
            Self::Refused => 409,
            Self::NotFound => 404,
            Self::Network | Self::Content => 502,
            Self::Disk => 507,
            Self::NotRunning => 503,
        }
    }
}

macro_rules! error_codes {
    ($($variant:ident $code:literal $exit:ident $when:literal $(hint $hint:literal)?;)*) => {
        /// A stable name of what went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $(#[doc = $when] #[serde(rename = $code)] $variant,)*
        }

        impl ErrorCode {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// When it is given.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => $when,)* }
            }

            /// What to do about it, where something can be done.
            pub const fn hint(self) -> Option<&'static str> {
                match self { $(Self::$variant => error_codes!(@hint $($hint)?),)* }
            }

            /// How a program ends that was asked for this one thing.
            pub const fn exit(self) -> ExitCode {
                match self { $(Self::$variant => ExitCode::$exit,)* }
            }
        }
    };
    (@hint $hint:literal) => { Some($hint) };
    (@hint) => { None };
}

error_codes! {
    MalformedJson "malformed-json" Usage "the line is not JSON"
        hint "write one JSON object per line, such as {\"cmd\":\"status\"}";
    NotAnObject "not-an-object" Usage "the line is JSON, but not an object"
        hint "write one JSON object per line, such as {\"cmd\":\"status\"}";
    LineTooLong "line-too-long" Usage "the line is longer than 1 MiB; it is skipped to its end";
    InvalidUtf8 "invalid-utf8" Usage "the line is not UTF-8";
    InvalidId "invalid-id" Usage "the command's `id` is an object or an array"
        hint "use a string, a number, true, false or null";
    UnknownCommand "unknown-command" Usage "there is no command of this name";
    MissingField "missing-field" Usage "the command lacks a field, `cmd` included";
    InvalidField "invalid-field" Usage "a field has the wrong type or a value out of its range, or stands twice";
    InvalidGameId "invalid-game-id" Usage "the value is no game id, for instance a path"
        hint "a game id is the name of the game's folder: letters, digits, '-', '_' and '.'";
    InvalidAddress "invalid-address" Usage "the value is not an address that can be connected to"
        hint "write ADDRESS:PORT, such as 192.168.0.7:7777 or [fe80::1]:7777";
    NotImplemented "not-implemented" Usage "the command exists, but this version cannot do it yet";
    UnknownEndpoint "unknown-endpoint" NotFound "the HTTP interface has no such path";
    TooManyCommands "too-many-commands" Refused "more commands wait for their answers than are taken at a time"
        hint "wait for answers before you ask for more";
    OperationInProgress "operation-in-progress" Refused "another operation is running on this game"
        hint "wait for its end, or cancel it if it is a download or an install";
    Busy "busy" Refused "operations are running that this would disturb"
        hint "wait for their end";
    UnknownOrganiser "unknown-organiser" NotFound "no organiser of this fingerprint was met"
        hint "`catalog_offered` in the status shows who was; or give the whole key";
    OtherOrganiser "other-organiser" Refused "this peer goes by another organiser's catalogue already"
        hint "forget that one first: start with --no-catalog, or on the page: Settings, Party";
    NotDownloaded "not-downloaded" Refused "the game is not downloaded here"
        hint "download it first";
    NotInstalled "not-installed" Refused "the game is not installed here";
    AlreadyInstalled "already-installed" Refused "the game is installed already"
        hint "uninstall it first";
    AlreadyDownloaded "already-downloaded" Refused "the game's archives are here, so that nothing is saved by streaming it"
        hint "install it, and remove the download afterwards";
    NameTaken "name-taken" Refused "a folder, or a game that is being fetched, has this name in other capitals"
        hint "remove or rename that one, since Windows puts both into one folder; then try again";
    NothingToCancel "nothing-to-cancel" Refused "no download of this game is running";
    NotDownloading "not-downloading" Refused "the game is not being downloaded";
    Cancelled "cancelled" Refused "the user cancelled the operation";
    ShuttingDown "shutting-down" Refused "the peer is shutting down";
    UnknownGame "unknown-game" NotFound "the catalogue does not list this game"
        hint "`list-games` shows the games there are";
    NoSource "no-source" NotFound "no connected peer has the game in the version that is wanted"
        hint "`list-peers` shows who is connected and what they offer";
    SourcesGone "sources-gone" Network "every source left during the download; what is verified is kept"
        hint "download it again when somebody who has it is there: only what is missing is fetched";
    AmbiguousContent "ambiguous-content" Content
        "the peers offer different contents under the same game and version, and none has a majority"
        hint "find out whose copy is right and remove the other, or pin the content in the catalogue";
    NoManifest "no-manifest" Content "no source has a valid list of the game's files";
    VersionAhead "version-ahead" NotFound "only versions of the game that are dated after tomorrow are offered"
        hint "compare this computer's date with the calendar; if it is right, whoever offers the game has dated it wrongly";
    UnconfirmedSource "unconfirmed-source" Refused
        "what is here would be replaced by a content that one source offers and nobody confirms"
        hint "if you trust the supplier, send the command again with \"confirm_content\" and this error's `question.confirm`";
    UnconfirmedProgram "unconfirmed-program" Refused
        "a program would be started for the first time that no catalogue names"
        hint "if you trust where it came from, send the command again with \"confirm_content\" and this error's `question.confirm`";
    AllSourcesRejected "all-sources-rejected" Content "every source sent data that does not verify";
    BadArchive "bad-archive" Content "an archive of the game does not unpack; nothing of it is left"
        hint "remove the download and fetch it again, from another peer if the copy there is damaged";
    UnpacksLarge "unpacks-large" Refused "the game's archives unpack to far more than they are; nothing is unpacked"
        hint "if you trust whoever made the game, install it with \"max_unpacked_bytes\" (`--max-unpacked`) of at least the size that is stated";
    NotStreamable "not-streamable" Content "the game has an archive that cannot be unpacked while it arrives"
        hint "download the game and install it";
    OwnAddress "own-address" Network "the address is that of this very peer";
    Unreachable "unreachable" Network "nothing answers at the address"
        hint "check the address and port, and that a firewall lets the program in";
    ConnectTimedOut "connect-timed-out" Network "no answer from the address within the time limit"
        hint "check the address, and that a firewall lets the program in";
    NotAPeer "not-a-peer" Network "whatever answers at the address is not a lanspread peer";
    IncompatibleProtocol "incompatible-protocol" Network "the other side speaks another protocol version"
        hint "use the same version of lanspread on both";
    OtherParty "other-party" Network "the other side does not belong to the same closed party"
        hint "use the same --party and pass phrase on both, or neither";
    WrongPassPhrase "wrong-pass-phrase" Network "both belong to the same party by name, but their pass phrases differ"
        hint "ask the organiser for the pass phrase; upper and lower case count";
    TooManyTries "too-many-tries" Network "too many wrong pass phrases came of late"
        hint "wait a minute, then try again with the right one";
    WaitTimedOut "wait-timed-out" Network "not enough peers were connected within the time limit";
    DiskFull "disk-full" Disk "there is not enough room on the disk"
        hint "make room and try again: what is verified is kept";
    Damaged "damaged" Content "files of the game are not what they should be"
        hint "`verify` fetches what is broken when somebody who has the game is there";
    CannotStart "cannot-start" Refused "nothing says how the game is started, or it cannot be started here"
        hint "name the program in the game's lanspread.toml (start = \"game.exe\") or in the catalogue";
    FileInUse "file-in-use" Disk "another program holds a file or folder that is needed; nothing is lost"
        hint "end the game, close the windows that show its folder, and try again";
    OutOfFiles "out-of-files" Disk "this process may open no more files; what is known of the library stays as it was"
        hint "find out who keeps so many connections to this PC open, or raise the limit of open files (ulimit -n)";
    DiskFailed "disk-failed" Disk "a file or folder could not be read or written";
    GamesDirUnusable "games-dir-unusable" Start "the games folder cannot be used";
    StateDirUnusable "state-dir-unusable" Start "the state folder cannot be used"
        hint "each peer needs a state folder of its own";
    GamesDirInUse "games-dir-in-use" Start "another process has the games folder"
        hint "end that one first, or choose another games folder";
    StateDirInUse "state-dir-in-use" Start "another process has the state folder"
        hint "end that one first, or give this one a state folder of its own";
    FixtureInTheWay "fixture-in-the-way" Start "a file is where `--fixture` would put its own; nothing was written over it"
        hint "remove that game's folder if it is not needed, or leave --fixture out";
    ListenFailed "listen-failed" Start "the address cannot be listened on"
        hint "port 0 takes a free port";
    PartyInvalid "party-invalid" Start "the closed party cannot be entered: its pass phrase is missing or not valid"
        hint "put the pass phrase into a file and name it with --party-secret-file";
    PassPhraseWeak "pass-phrase-weak" Start "the closed party cannot be entered: its pass phrase is easy to guess"
        hint "agree on another one; the message suggests one that can be read aloud";
    CatalogInvalid "catalog-invalid" Start "the catalogue cannot be read or is not valid";
    NotRunning "not-running" NotRunning "no peer runs on this state folder"
        hint "start one with `lanspread run`";
    NotSetUp "not-set-up" Refused "no games folder has been chosen yet"
        hint "open the page and choose one";
    FolderUnusable "folder-unusable" NotFound "the folder cannot be read, or is not one";
    PackFailed "pack-failed" Disk "a folder could not be made into a game; nothing of it is left";
    Unauthorized "unauthorized" NotRunning "the token is missing or wrong"
        hint "use the state folder of the peer that runs";
    Internal "internal" Internal "a fault in the program";
}

/// What went wrong, for machines (`code`) and for people (`message`, `hint`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ErrorBody {
    pub code: ErrorCode,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The game that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub game_id: Option<String>,
    /// What is running, for `operation-in-progress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<OperationKind>,
    /// What the peers disagree about, for `ambiguous-content`.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub variants: Box<[Variant]>,
    /// Who has the folder, for `state-dir-in-use` and `games-dir-in-use`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Box<Holder>>,
    /// What the owner has to confirm, for `unconfirmed-source` and `unconfirmed-program`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Box<Question>>,
    /// What would be taken instead, for `pass-phrase-weak`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Box<Suggestion>>,
}

/// A better value than the one that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// A generated pass phrase that can be read aloud.
    pub pass_phrase: String,
}

/// What the owner has to confirm before a command is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The content id that confirms it, as `confirm_content` of the same command.
    pub confirm: String,
    /// What would be replaced by what, for `unconfirmed-source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// What would be started, for `unconfirmed-program`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_start: Option<FirstStart>,
}

/// A game that is here would be replaced by what one source offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// What is here; `null` where that is not known.
    pub eti_version: Option<String>,
    pub content_id: Option<String>,
    /// What would take its place.
    pub new_eti_version: String,
    pub new_content_id: String,
    pub supplier: Supplier,
}

/// A program would be started for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstStart {
    /// The program's file.
    pub program: String,
    pub args: Vec<String>,
    /// The content that it belongs to.
    pub content_id: String,
    /// Who offered that content when it was downloaded; empty if it was here already.
    pub suppliers: Vec<Supplier>,
}

/// A peer that offers or offered a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supplier {
    pub peer_id: String,
    pub name: String,
    /// The first eight digits of its id, for people.
    pub key: String,
}

/// A process that has a folder for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    pub pid: u32,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
}

/// One of several contents that peers offer under the same game and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    pub content_id: String,
    /// Names of the peers that offer it.
    pub peers: Vec<String>,
}

impl ErrorBody {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: code.hint().map(str::to_owned),
            game_id: None,
            running: None,
            variants: Box::default(),
            held_by: None,
            question: None,
            suggestion: None,
        }
    }

    pub fn exit(&self) -> ExitCode {
        self.code.exit()
    }
}

impl From<&ContentVariant> for Variant {
    fn from(v: &ContentVariant) -> Self {
        Self { content_id: v.content.to_string(), peers: v.peers.clone() }
    }
}

impl From<&trust::Supplier> for Supplier {
    fn from(s: &trust::Supplier) -> Self {
        Self { peer_id: s.peer.to_string(), name: s.name.clone(), key: s.peer.short() }
    }
}

impl From<&command::Replacement> for Replacement {
    fn from(r: &command::Replacement) -> Self {
        Self {
            eti_version: r.version.map(|v| v.to_string()),
            content_id: r.content.map(|c| c.to_string()),
            new_eti_version: r.new_version.to_string(),
            new_content_id: r.new_content.to_string(),
            supplier: (&r.supplier).into(),
        }
    }
}

impl From<&command::FirstStart> for FirstStart {
    fn from(s: &command::FirstStart) -> Self {
        Self {
            program: s.program.clone(),
            args: s.args.clone(),
            content_id: s.content.to_string(),
            suppliers: s.suppliers.iter().map(Into::into).collect(),
        }
    }
}

impl From<&DiskError> for ErrorCode {
    fn from(error: &DiskError) -> Self {
        match error {
            DiskError::Full { .. } => Self::DiskFull,
            DiskError::Archive(_) => Self::BadArchive,
            DiskError::UnpacksLarge { .. } => Self::UnpacksLarge,
            DiskError::Damaged(_) => Self::Damaged,
            DiskError::NotStreamable(_) => Self::NotStreamable,
            DiskError::InUse(_) => Self::FileInUse,
            DiskError::OutOfFiles(_) => Self::OutOfFiles,
            DiskError::Cancelled => Self::Cancelled,
            DiskError::CannotStart(_) => Self::CannotStart,
            DiskError::Other(_) => Self::DiskFailed,
        }
    }
}

impl From<&DialFailure> for ErrorCode {
    fn from(failure: &DialFailure) -> Self {
        match failure {
            DialFailure::Unreachable(_) => Self::Unreachable,
            DialFailure::TimedOut => Self::ConnectTimedOut,
            DialFailure::OwnAddress => Self::OwnAddress,
            DialFailure::NotAPeer(_) => Self::NotAPeer,
        }
    }
}

impl From<&DownloadFailure> for ErrorCode {
    fn from(failure: &DownloadFailure) -> Self {
        match failure {
            DownloadFailure::NoSource => Self::NoSource,
            DownloadFailure::VersionAhead => Self::VersionAhead,
            DownloadFailure::SourcesGone => Self::SourcesGone,
            DownloadFailure::AmbiguousContent(_) => Self::AmbiguousContent,
            DownloadFailure::NoManifest => Self::NoManifest,
            DownloadFailure::AllSourcesRejected => Self::AllSourcesRejected,
            DownloadFailure::Disk(error) => error.into(),
            DownloadFailure::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl From<&CommandError> for ErrorCode {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::OperationInProgress { .. } => Self::OperationInProgress,
            CommandError::UnknownGame { .. } => Self::UnknownGame,
            CommandError::NoSource { .. } => Self::NoSource,
            CommandError::AmbiguousContent { .. } => Self::AmbiguousContent,
            CommandError::VersionAhead { .. } => Self::VersionAhead,
            CommandError::UnconfirmedSource(_) => Self::UnconfirmedSource,
            CommandError::UnconfirmedProgram(_) => Self::UnconfirmedProgram,
            CommandError::NotDownloaded { .. } => Self::NotDownloaded,
            CommandError::NotInstalled { .. } => Self::NotInstalled,
            CommandError::AlreadyInstalled { .. } => Self::AlreadyInstalled,
            CommandError::AlreadyDownloaded { .. } => Self::AlreadyDownloaded,
            CommandError::NameTaken { .. } => Self::NameTaken,
            CommandError::NothingToCancel { .. } => Self::NothingToCancel,
            CommandError::NotDownloading { .. } => Self::NotDownloading,
            CommandError::ConnectFailed { failure, .. } => failure.into(),
            CommandError::Incompatible { .. } => Self::IncompatibleProtocol,
            CommandError::OtherParty { mismatch, .. } => match mismatch {
                PartyMismatch::Closed(_) | PartyMismatch::Open => Self::OtherParty,
                PartyMismatch::WrongPassPhrase => Self::WrongPassPhrase,
                PartyMismatch::TooManyTries => Self::TooManyTries,
            },
            CommandError::WaitTimedOut { .. } => Self::WaitTimedOut,
            CommandError::UnknownOrganiser { .. } => Self::UnknownOrganiser,
            CommandError::OtherOrganiser { .. } => Self::OtherOrganiser,
            CommandError::Busy => Self::Busy,
            CommandError::Disk(error) => error.into(),
            CommandError::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl From<&CommandError> for ErrorBody {
    fn from(error: &CommandError) -> Self {
        let mut body = Self::new(error.into(), error.to_string());
        match error {
            CommandError::OperationInProgress { game, running } => {
                body.game_id = Some(game.to_string());
                body.running = Some((*running).into());
            }
            CommandError::AmbiguousContent { game, variants } => {
                body.game_id = Some(game.to_string());
                body.variants = variants.iter().map(Into::into).collect();
            }
            CommandError::UnconfirmedSource(replacement) => {
                body.game_id = Some(replacement.game.to_string());
                body.question = Some(Box::new(Question {
                    confirm: replacement.new_content.to_string(),
                    replacement: Some((&**replacement).into()),
                    first_start: None,
                }));
            }
            CommandError::UnconfirmedProgram(start) => {
                body.game_id = Some(start.game.to_string());
                body.question = Some(Box::new(Question {
                    confirm: start.content.to_string(),
                    replacement: None,
                    first_start: Some((&**start).into()),
                }));
            }
            CommandError::VersionAhead { game, .. }
            | CommandError::UnknownGame { game }
            | CommandError::NoSource { game, .. }
            | CommandError::NotDownloaded { game }
            | CommandError::NotInstalled { game }
            | CommandError::AlreadyInstalled { game }
            | CommandError::AlreadyDownloaded { game }
            | CommandError::NotDownloading { game }
            | CommandError::NameTaken { game, .. }
            | CommandError::NothingToCancel { game } => body.game_id = Some(game.to_string()),
            CommandError::ConnectFailed { .. }
            | CommandError::Incompatible { .. }
            | CommandError::OtherParty { .. }
            | CommandError::WaitTimedOut { .. }
            | CommandError::UnknownOrganiser { .. }
            | CommandError::OtherOrganiser { .. }
            | CommandError::Busy
            | CommandError::Disk(_)
            | CommandError::ShuttingDown => {}
        }
        body
    }
}

impl From<&StartError> for ErrorBody {
    fn from(error: &StartError) -> Self {
        let (code, holder) = match error {
            StartError::GamesDir { .. } => (ErrorCode::GamesDirUnusable, None),
            StartError::StateDir { .. } => (ErrorCode::StateDirUnusable, None),
            StartError::GamesDirInUse { holder, .. } => (ErrorCode::GamesDirInUse, holder.as_ref()),
            StartError::StateDirInUse { holder, .. } => (ErrorCode::StateDirInUse, holder.as_ref()),
            StartError::Listen { .. } => (ErrorCode::ListenFailed, None),
        };
        let held_by = holder.map(|h| Box::new(Holder { pid: h.pid, since_unix_s: h.since_unix_s }));
        Self { held_by, ..Self::new(code, error.to_string()) }
    }
}

impl From<&PassPhraseFileError> for ErrorBody {
    fn from(error: &PassPhraseFileError) -> Self {
        Self::new(ErrorCode::PartyInvalid, error.to_string())
    }
}

impl From<&WeakPhraseError> for ErrorBody {
    fn from(error: &WeakPhraseError) -> Self {
        let suggestion = Suggestion { pass_phrase: error.suggestion.clone() };
        Self {
            suggestion: Some(Box::new(suggestion)),
            ..Self::new(ErrorCode::PassPhraseWeak, error.to_string())
        }
    }
}

impl From<&CatalogError> for ErrorBody {
    fn from(error: &CatalogError) -> Self {
        Self::new(ErrorCode::CatalogInvalid, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_the_same_in_json() {
        let mut seen = BTreeSet::new();
        for &code in ErrorCode::ALL {
            let name = code.as_str();
            assert!(seen.insert(name), "{name} stands twice");
            assert!(name.split('-').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())));
            assert_eq!(serde_json::to_value(code).unwrap(), name);
            assert!(!code.when().is_empty() && !code.when().ends_with('.'), "{name}");
            assert_ne!(code.exit(), ExitCode::Success, "{name}");
        }
    }

    #[test]
    fn every_exit_code_has_a_use_and_its_own_number() {
        let numbers: BTreeSet<u8> = ExitCode::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(numbers.len(), ExitCode::ALL.len());
        for exit in ExitCode::ALL.into_iter().filter(|e| *e != ExitCode::Success) {
            assert!(ErrorCode::ALL.iter().any(|c| c.exit() == exit), "{exit:?}");
        }
    }
}
