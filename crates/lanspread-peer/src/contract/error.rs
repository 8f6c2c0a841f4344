//! Errors of the core and the runtime, as codes and bodies of the contract.

use lanspread_api::error::{
    DiskFault, ErrorBody, ErrorCode, FirstStart, Holder, Question, Replacement, Suggestion, Supplier, Variant,
};
use lanspread_core::command::{self, CommandError, ContentVariant};
use lanspread_core::event::DownloadFailure;
use lanspread_core::io::{DialFailure, DiskError};
use lanspread_core::trust;
use lanspread_types::PartyMismatch;

use super::ToContract;
use crate::StartError;
use crate::catalog::text::CatalogError;
use crate::pass_phrase::{PassPhraseFileError, WeakPhraseError};

impl ToContract for ContentVariant {
    type Json = Variant;

    fn to_contract(&self) -> Variant {
        Variant { content_id: self.content.to_string(), peers: self.peers.clone() }
    }
}

impl ToContract for trust::Supplier {
    type Json = Supplier;

    fn to_contract(&self) -> Supplier {
        Supplier { peer_id: self.peer.to_string(), name: self.name.clone(), key: self.peer.short() }
    }
}

impl ToContract for command::Replacement {
    type Json = Replacement;

    fn to_contract(&self) -> Replacement {
        Replacement {
            eti_version: self.version.map(|v| v.to_string()),
            content_id: self.content.map(|c| c.to_string()),
            new_eti_version: self.new_version.to_string(),
            new_content_id: self.new_content.to_string(),
            supplier: self.supplier.to_contract(),
        }
    }
}

impl ToContract for command::FirstStart {
    type Json = FirstStart;

    fn to_contract(&self) -> FirstStart {
        FirstStart {
            program: self.program.clone(),
            args: self.args.clone(),
            content_id: self.content.to_string(),
            suppliers: self.suppliers.iter().map(ToContract::to_contract).collect(),
        }
    }
}

impl ToContract for DiskError {
    type Json = ErrorCode;

    fn to_contract(&self) -> ErrorCode {
        match self {
            DiskError::Full { .. } => ErrorCode::DiskFull,
            DiskError::Archive(_) => ErrorCode::BadArchive,
            DiskError::UnpacksLarge { .. } => ErrorCode::UnpacksLarge,
            DiskError::Damaged(_) => ErrorCode::Damaged,
            DiskError::NotStreamable(_) => ErrorCode::NotStreamable,
            DiskError::InUse(_) => ErrorCode::FileInUse,
            DiskError::ReadOnly(_) => ErrorCode::LibraryReadOnly,
            DiskError::OutOfFiles(_) => ErrorCode::OutOfFiles,
            DiskError::Cancelled => ErrorCode::Cancelled,
            DiskError::CannotStart(_) => ErrorCode::CannotStart,
            DiskError::Other(_) => ErrorCode::DiskFailed,
        }
    }
}

impl ToContract for DialFailure {
    type Json = ErrorCode;

    fn to_contract(&self) -> ErrorCode {
        match self {
            DialFailure::Unreachable(_) => ErrorCode::Unreachable,
            DialFailure::TimedOut => ErrorCode::ConnectTimedOut,
            DialFailure::OwnAddress => ErrorCode::OwnAddress,
            DialFailure::NotAPeer(_) => ErrorCode::NotAPeer,
        }
    }
}

impl ToContract for DownloadFailure {
    type Json = ErrorCode;

    fn to_contract(&self) -> ErrorCode {
        match self {
            DownloadFailure::NoSource => ErrorCode::NoSource,
            DownloadFailure::VersionAhead => ErrorCode::VersionAhead,
            DownloadFailure::SourcesGone => ErrorCode::SourcesGone,
            DownloadFailure::AmbiguousContent(_) => ErrorCode::AmbiguousContent,
            DownloadFailure::NoManifest => ErrorCode::NoManifest,
            DownloadFailure::AllSourcesRejected => ErrorCode::AllSourcesRejected,
            DownloadFailure::Disk(error) => error.to_contract(),
            DownloadFailure::ShuttingDown => ErrorCode::ShuttingDown,
        }
    }
}

impl ToContract for CommandError {
    type Json = ErrorBody;

    fn to_contract(&self) -> ErrorBody {
        let mut body = ErrorBody::new(command_code(self), self.to_string());
        match self {
            CommandError::OperationInProgress { game, running } => {
                body.game_id = Some(game.to_string());
                body.running = Some(running.to_contract());
            }
            CommandError::AmbiguousContent { game, variants } => {
                body.game_id = Some(game.to_string());
                body.variants = variants.iter().map(ToContract::to_contract).collect();
            }
            CommandError::UnconfirmedSource(replacement) => {
                body.game_id = Some(replacement.game.to_string());
                body.question = Some(Box::new(Question {
                    confirm: replacement.new_content.to_string(),
                    replacement: Some(replacement.to_contract()),
                    first_start: None,
                }));
            }
            CommandError::UnconfirmedProgram(start) => {
                body.game_id = Some(start.game.to_string());
                body.question = Some(Box::new(Question {
                    confirm: start.content.to_string(),
                    replacement: None,
                    first_start: Some(start.to_contract()),
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

fn command_code(error: &CommandError) -> ErrorCode {
    match error {
        CommandError::OperationInProgress { .. } => ErrorCode::OperationInProgress,
        CommandError::UnknownGame { .. } => ErrorCode::UnknownGame,
        CommandError::NoSource { .. } => ErrorCode::NoSource,
        CommandError::AmbiguousContent { .. } => ErrorCode::AmbiguousContent,
        CommandError::VersionAhead { .. } => ErrorCode::VersionAhead,
        CommandError::UnconfirmedSource(_) => ErrorCode::UnconfirmedSource,
        CommandError::UnconfirmedProgram(_) => ErrorCode::UnconfirmedProgram,
        CommandError::NotDownloaded { .. } => ErrorCode::NotDownloaded,
        CommandError::NotInstalled { .. } => ErrorCode::NotInstalled,
        CommandError::AlreadyInstalled { .. } => ErrorCode::AlreadyInstalled,
        CommandError::AlreadyDownloaded { .. } => ErrorCode::AlreadyDownloaded,
        CommandError::NameTaken { .. } => ErrorCode::NameTaken,
        CommandError::NothingToCancel { .. } => ErrorCode::NothingToCancel,
        CommandError::NotDownloading { .. } => ErrorCode::NotDownloading,
        CommandError::ConnectFailed { failure, .. } => failure.to_contract(),
        CommandError::Incompatible { .. } => ErrorCode::IncompatibleProtocol,
        CommandError::OtherParty { mismatch, .. } => match mismatch {
            PartyMismatch::Closed(_) | PartyMismatch::Open => ErrorCode::OtherParty,
            PartyMismatch::WrongPassPhrase => ErrorCode::WrongPassPhrase,
            PartyMismatch::TooManyTries => ErrorCode::TooManyTries,
        },
        CommandError::WaitTimedOut { .. } => ErrorCode::WaitTimedOut,
        CommandError::UnknownOrganiser { .. } => ErrorCode::UnknownOrganiser,
        CommandError::OtherOrganiser { .. } => ErrorCode::OtherOrganiser,
        CommandError::Busy => ErrorCode::Busy,
        CommandError::Disk(error) => error.to_contract(),
        CommandError::ShuttingDown => ErrorCode::ShuttingDown,
    }
}

impl ToContract for StartError {
    type Json = ErrorBody;

    fn to_contract(&self) -> ErrorBody {
        let (code, holder) = match self {
            StartError::GamesDir { .. } => (ErrorCode::GamesDirUnusable, None),
            StartError::StateDir { .. } => (ErrorCode::StateDirUnusable, None),
            StartError::GamesDirInUse { holder, .. } => (ErrorCode::GamesDirInUse, holder.as_ref()),
            StartError::StateDirInUse { holder, .. } => (ErrorCode::StateDirInUse, holder.as_ref()),
            StartError::Listen { .. } => (ErrorCode::ListenFailed, None),
        };
        let held_by = holder.map(|h| Box::new(Holder { pid: h.pid, since_unix_s: h.since_unix_s }));
        ErrorBody { held_by, ..ErrorBody::new(code, self.to_string()) }
    }
}

impl ToContract for PassPhraseFileError {
    type Json = ErrorBody;

    fn to_contract(&self) -> ErrorBody {
        ErrorBody::new(ErrorCode::PartyInvalid, self.to_string())
    }
}

impl ToContract for WeakPhraseError {
    type Json = ErrorBody;

    fn to_contract(&self) -> ErrorBody {
        let suggestion = Suggestion { pass_phrase: self.suggestion.clone() };
        ErrorBody {
            suggestion: Some(Box::new(suggestion)),
            ..ErrorBody::new(ErrorCode::PassPhraseWeak, self.to_string())
        }
    }
}

impl ToContract for CatalogError {
    type Json = ErrorBody;

    fn to_contract(&self) -> ErrorBody {
        ErrorBody::new(ErrorCode::CatalogInvalid, self.to_string())
    }
}

pub(super) fn disk_fault(error: &DiskError) -> DiskFault {
    DiskFault { code: error.to_contract(), reason: error.to_string() }
}
