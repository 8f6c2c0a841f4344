//! Table of all errors: code, condition, hint and exit code, in [`ErrorCode`].
//!
//! Both programs, the documents and the tests read it from here, so an error has one name everywhere. A code is stable;
//! messages and hints are for people and may change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::OperationKind;

/// Exit status of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// The command was carried out.
    Success = 0,
    /// A fault in the program.
    Internal = 1,
    /// The command line or a command is not valid.
    Usage = 2,
    /// The peer could not start.
    Start = 3,
    /// The present state does not allow the command.
    Refused = 4,
    /// The game does not exist, or nobody has it.
    NotFound = 5,
    /// Another peer could not be reached, or not in time.
    Network = 6,
    /// The data does not verify or does not unpack.
    Content = 7,
    /// The disk is full or does not work.
    Disk = 8,
    /// No peer runs here, or it does not accept this caller.
    NotRunning = 9,
}

impl ExitCode {
    /// Every exit status, in ascending order.
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

    /// Returns the status as a number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns what the status means, for documents and `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Internal => "a fault in the program",
            Self::Usage => "the command line or a command is not valid",
            Self::Start => "the peer could not start: games folder, state folder, address or catalogue",
            Self::Refused => "not possible in the current state",
            Self::NotFound => "no such game, or nobody has it",
            Self::Network => "another peer could not be reached, or not in time",
            Self::Content => "the data does not verify or does not unpack",
            Self::Disk => "the disk is full or does not work",
            Self::NotRunning => "no peer runs here, or it does not let this caller in",
        }
    }

    /// Returns the HTTP status (RFC 9110) with the same meaning.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Success => 200,
            Self::Internal => 500,
            // Over HTTP these answer a choice that the request made, such as a passphrase or a folder.
            Self::Usage | Self::Start => 400,
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
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the code's name in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Returns the condition under which the error occurs.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => $when,)* }
            }

            /// Returns what the user can do about the error, if anything.
            pub const fn hint(self) -> Option<&'static str> {
                match self { $(Self::$variant => error_codes!(@hint $($hint)?),)* }
            }

            /// Returns the exit status of a program whose one command failed with this code.
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
    UnknownCommand "unknown-command" Usage "there is no command of this name";
    MissingField "missing-field" Usage "the command lacks a field, `cmd` included";
    InvalidField "invalid-field" Usage "a field has the wrong type or a value out of its range, or is duplicated";
    InvalidGameId "invalid-game-id" Usage "the value is no game id, for instance a path"
        hint "a game id is the name of the game's folder: letters, digits, '-', '_' and '.'";
    InvalidAddress "invalid-address" Usage "the value is not an address that can be connected to"
        hint "write ADDRESS:PORT, such as 192.168.0.7:7777 or [fe80::1]:7777";
    UnknownEndpoint "unknown-endpoint" NotFound "the HTTP interface has no such path";
    MethodNotAllowed "method-not-allowed" Usage "the HTTP interface has this path, but for another method";
    TooManyCommands "too-many-commands" Refused "too many commands are waiting for answers"
        hint "wait for answers before you ask for more";
    OperationInProgress "operation-in-progress" Refused "another operation is running on this game"
        hint "wait for its end, or cancel it if it is a download or an install";
    Busy "busy" Refused "other operations must finish first"
        hint "wait for their end";
    UnknownOrganiser "unknown-organiser" NotFound "no known organiser has this fingerprint"
        hint "`catalog_offered` in the status shows who was; or give the whole key";
    OtherOrganiser "other-organiser" Refused "this peer already follows another organiser's catalogue"
        hint "forget that one first: start with --no-catalog, or on the page: Settings, Party";
    NotDownloaded "not-downloaded" Refused "the game is not downloaded here"
        hint "download it first";
    NotInstalled "not-installed" Refused "the game is not installed here";
    AlreadyInstalled "already-installed" Refused "the game is installed already"
        hint "start it with `play`; `uninstall` would remove it with everything that was saved in it";
    AlreadyDownloaded "already-downloaded" Refused "the game is already downloaded, so streaming it would save nothing"
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
    OwnAddress "own-address" Network "the address is this peer's own";
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
    TooManyTries "too-many-tries" Network "too many wrong pass phrases lately"
        hint "wait a minute, then try again with the right one";
    WaitTimedOut "wait-timed-out" Network "not enough peers were connected within the time limit";
    DiskFull "disk-full" Disk "there is not enough room on the disk"
        hint "make room and try again: what is verified is kept";
    Damaged "damaged" Content "files of the game are damaged"
        hint "`verify` fetches what is broken when somebody who has the game is there";
    CannotStart "cannot-start" Refused "nothing says how the game is started, or it cannot be started here"
        hint "name the program in the game's lanspread.toml (start = \"game.exe\") or in the catalogue";
    FileInUse "file-in-use" Disk "another program holds a file or folder that is needed; nothing is lost"
        hint "end the game, close the windows that show its folder, and try again";
    LibraryReadOnly "library-read-only" Disk "the games folder is read-only: its games are shared, and nothing in it can be changed"
        hint "choose a games folder that you may write to";
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
    FixtureUncatalogued "fixture-uncatalogued" Start "`--fixture` names a game that the catalogue does not list"
        hint "take the game into the catalogue, or start without --catalog";
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
    /// Name of what went wrong, for programs.
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
    /// Content of that version; `null` where it is not hashed yet.
    pub content_id: Option<String>,
    /// What would take its place.
    pub new_eti_version: String,
    /// Content of the new version.
    pub new_content_id: String,
    /// The one source that offers it.
    pub supplier: Supplier,
}

/// A program would be started for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstStart {
    /// The program's file.
    pub program: String,
    /// Arguments that it would get.
    pub args: Vec<String>,
    /// The content that it belongs to.
    pub content_id: String,
    /// Who offered that content when it was downloaded; empty if it was here already.
    pub suppliers: Vec<Supplier>,
}

/// A peer that offers or offered a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supplier {
    /// Whole id of the peer: 64 hexadecimal digits.
    pub peer_id: String,
    /// What the peer called itself at that time.
    pub name: String,
    /// The first eight digits of its id, for people.
    pub key: String,
}

/// A process that has a folder for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
}

/// One of several contents that peers offer under the same game and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// One of the contents: 64 hexadecimal digits.
    pub content_id: String,
    /// Names of the peers that offer it.
    pub peers: Vec<String>,
}

/// What the disk failed at, where no game is to be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskFault {
    /// What kind of fault it is.
    pub code: ErrorCode,
    /// The fault, for people to read.
    pub reason: String,
}

impl ErrorBody {
    /// Makes a body with the hint of its code and no details.
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

    /// Returns the exit status of a program whose one command failed with this error.
    pub fn exit(&self) -> ExitCode {
        self.code.exit()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_names() {
        let mut seen = BTreeSet::new();
        for &code in ErrorCode::ALL {
            let name = code.as_str();
            assert!(seen.insert(name), "{name} is duplicated");
            assert!(name.split('-').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())));
            assert_eq!(serde_json::to_value(code).unwrap(), name);
            assert!(!code.when().is_empty() && !code.when().ends_with('.'), "{name}");
            assert_ne!(code.exit(), ExitCode::Success, "{name}");
        }
    }

    #[test]
    fn exit_codes_are_used_and_distinct() {
        let numbers: BTreeSet<u8> = ExitCode::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(numbers.len(), ExitCode::ALL.len());
        for exit in ExitCode::ALL.into_iter().filter(|e| *e != ExitCode::Success) {
            assert!(ErrorCode::ALL.iter().any(|c| c.exit() == exit), "{exit:?}");
        }
    }
}
