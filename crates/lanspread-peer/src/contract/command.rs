//! Commands and their answers.
//!
//! A new command appears in both matches on [`Request`]: in [`to_command`] and in [`reply_data`].

use std::path::Path;

use lanspread_api::reply::{
    DownloadReply, Empty, GameReply, GamesDir, Limits, OrganiserReply, PeerCount, PlayReply, SharingReply,
    WantReply,
};
use lanspread_api::request::Priority;
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, Id, Line, ReplyData, Request, ResultLine, content_id};
use lanspread_core::command::{Command, CommandError, Priority as CorePriority, RateLimits, Reply};
use lanspread_types::GameId;

use super::ToContract;
use super::status::status;

/// Returns the core's command for a request.
///
/// # Errors
///
/// Fails with `invalid-field` if `confirm_content` is not a full content id.
pub fn to_command(request: &Request) -> Result<Command, ErrorBody> {
    Ok(match request.clone() {
        Request::Status => Command::Status,
        Request::WaitPeers { count, timeout_ms } => Command::WaitPeers { count: count as usize, timeout_ms },
        Request::Connect { addr } => Command::Connect { addr },
        Request::ListPeers => Command::ListPeers,
        Request::ListGames => Command::ListGames,
        Request::Download { game_id: game, install, confirm_content } => {
            Command::Download { game, install, confirm: content_id(confirm_content)? }
        }
        Request::CancelDownload { game_id: game } => Command::CancelDownload { game },
        Request::Install { game_id: game, max_unpacked_bytes } => {
            allowing(max_unpacked_bytes, game.clone(), Command::Install { game })
        }
        Request::Uninstall { game_id: game } => Command::Uninstall { game },
        Request::RemoveDownload { game_id: game } => Command::RemoveDownload { game },
        Request::DiscardDownload { game_id: game } => Command::DiscardDownload { game },
        Request::StreamInstall { game_id: game, max_unpacked_bytes } => {
            allowing(max_unpacked_bytes, game.clone(), Command::StreamInstall { game })
        }
        Request::Verify { game_id: game, repair } => Command::Verify { game, repair },
        Request::Play { game_id: game, user_name, language, launch, confirm_content } => {
            let confirm = content_id(confirm_content)?;
            Command::Play { game, user_name, language, launch, confirm }
        }
        Request::SetLimits { upload, download } => Command::SetLimits(RateLimits { upload, download }),
        Request::SetPriority { game_id: game, priority } => {
            let priority = match priority {
                Priority::Low => CorePriority::Low,
                Priority::Normal => CorePriority::Normal,
                Priority::High => CorePriority::High,
            };
            Command::SetPriority { game, priority }
        }
        Request::SetSharing { game_id: game, shared } => Command::SetSharing { game, shared },
        Request::Room => Command::Room,
        Request::WantGame { game_id: game } => Command::WantGame { game },
        Request::TrustCatalog { key: organiser } => Command::TrustCatalog { organiser },
        Request::DeclineCatalog { key: organiser } => Command::DeclineCatalog { organiser },
        Request::SetGameDir { path } => Command::SetGamesDir { path: path.into() },
        Request::Shutdown => Command::Shutdown,
    })
}

/// Returns `command`, and allows its archives to unpack to `max_unpacked_bytes` if that is given.
fn allowing(max_unpacked_bytes: Option<u64>, game: GameId, command: Command) -> Command {
    match max_unpacked_bytes {
        Some(bytes) => Command::AllowUnpacked { game, bytes, command: Box::new(command) },
        None => command,
    }
}

/// Makes the line that answers a command.
pub fn answer(
    id: Option<Id>,
    request: &Request,
    result: Result<Reply, CommandError>,
    state_dir: &Path,
) -> Line {
    let answered = match result {
        Ok(reply) => reply_data(request, &reply, state_dir),
        Err(error) => Err(error.to_contract()),
    };
    match answered {
        Ok(reply) => Line::Result(ResultLine { id, reply }),
        Err(error) => Line::Error(ErrorLine { id, cmd: Some(request.name().as_str().to_owned()), error }),
    }
}

/// Converts the core's reply to a request.
///
/// # Errors
///
/// Fails with `internal` if the reply does not belong to the request, which would be a fault in the core.
pub fn reply_data(request: &Request, reply: &Reply, state_dir: &Path) -> Result<ReplyData, ErrorBody> {
    let game = |game_id: &GameId| GameReply { game_id: game_id.to_string() };
    let done = |data| matches!(reply, Reply::Done).then_some(data);
    let data = match request {
        Request::Status => match reply {
            Reply::Status(s) => Some(ReplyData::Status(Box::new(status(s, state_dir)))),
            _ => None,
        },
        Request::WaitPeers { .. } => match *reply {
            Reply::PeerCount(peer_count) => Some(ReplyData::WaitPeers(PeerCount { peer_count })),
            _ => None,
        },
        Request::Connect { .. } => match reply {
            Reply::Connected(peer) => Some(ReplyData::Connect(peer.to_contract())),
            _ => None,
        },
        Request::ListPeers => match reply {
            Reply::Peers(peers) => Some(ReplyData::ListPeers(peers.to_contract())),
            _ => None,
        },
        Request::ListGames => match reply {
            Reply::Games(list) => Some(ReplyData::ListGames(list.to_contract())),
            _ => None,
        },
        Request::Download { game_id, .. } => match reply {
            Reply::Done | Reply::AlreadyThere { .. } => Some(already_there(game_id)),
            reply => started(reply).map(ReplyData::Download),
        },
        Request::StreamInstall { .. } => started(reply).map(ReplyData::StreamInstall),
        Request::CancelDownload { game_id } => done(ReplyData::CancelDownload(game(game_id))),
        Request::Install { game_id, .. } => done(ReplyData::Install(game(game_id))),
        Request::Uninstall { game_id } => done(ReplyData::Uninstall(game(game_id))),
        Request::RemoveDownload { game_id } => done(ReplyData::RemoveDownload(game(game_id))),
        Request::DiscardDownload { game_id } => done(ReplyData::DiscardDownload(game(game_id))),
        Request::Verify { game_id, .. } => done(ReplyData::Verify(game(game_id))),
        Request::Play { game_id, .. } => match reply {
            Reply::Played(stamped) => Some(ReplyData::Play(PlayReply {
                game_id: game_id.to_string(),
                already_applied: stamped.already_applied,
                wrote: stamped.wrote.iter().map(ToString::to_string).collect(),
                program: stamped.program.clone(),
                launched: stamped.launched,
            })),
            _ => None,
        },
        &Request::SetLimits { upload, download } => done(ReplyData::SetLimits(Limits { upload, download })),
        Request::SetPriority { game_id, .. } => done(ReplyData::SetPriority(game(game_id))),
        &Request::SetSharing { ref game_id, shared } => {
            done(ReplyData::SetSharing(SharingReply { game_id: game_id.to_string(), shared }))
        }
        Request::Room => match reply {
            Reply::Room(room) => Some(ReplyData::Room(room.to_contract())),
            _ => None,
        },
        Request::WantGame { game_id } => match *reply {
            Reply::Wanted { asked } => {
                Some(ReplyData::WantGame(WantReply { game_id: game_id.to_string(), asked }))
            }
            _ => None,
        },
        Request::TrustCatalog { .. } => organiser(reply).map(ReplyData::TrustCatalog),
        Request::DeclineCatalog { .. } => organiser(reply).map(ReplyData::DeclineCatalog),
        Request::SetGameDir { path } => done(ReplyData::SetGameDir(GamesDir { games_dir: path.clone() })),
        Request::Shutdown => done(ReplyData::Shutdown(Empty {})),
    };
    data.ok_or_else(|| {
        let message = format!("{} was answered with {reply:?}", request.name().as_str());
        ErrorBody::new(ErrorCode::Internal, message)
    })
}

fn already_there(game: &GameId) -> ReplyData {
    ReplyData::Download(DownloadReply {
        game_id: game.to_string(),
        already_there: true,
        eti_version: None,
        content_id: None,
        total_bytes: None,
    })
}

fn started(reply: &Reply) -> Option<DownloadReply> {
    let Reply::DownloadStarted { game, version, content, bytes } = reply else { return None };
    Some(DownloadReply {
        game_id: game.to_string(),
        already_there: false,
        eti_version: Some(version.to_string()),
        content_id: Some(content.to_string()),
        total_bytes: Some(*bytes),
    })
}

fn organiser(reply: &Reply) -> Option<OrganiserReply> {
    let Reply::Organiser(key) = reply else { return None };
    Some(OrganiserReply { key: key.to_string(), fingerprint: key.fingerprint().to_string() })
}
