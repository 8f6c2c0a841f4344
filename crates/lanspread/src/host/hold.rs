//! Sets the peer's upload limit as [`UploadHold`] decides. These limits are not saved for the next start.

use std::time::Duration;

use lanspread_api::{ErrorBody, ErrorCode};
use lanspread_peer::command::{Command, RateLimits, Reply};
use lanspread_peer::contract::ToContract;

use super::Host;

impl Host {
    /// Lowers the upload limit for a game that was started here.
    pub async fn game_started(&self, game: String) -> Result<(), ErrorBody> {
        self.hold_back(Some(game)).await
    }

    /// Records that a game's process has ended after `played`. Restores the upload limit if that ends the hold.
    pub async fn game_ended(&self, game: &str, played: Duration) -> Result<(), ErrorBody> {
        let limit_before = self.upload_hold().ended(game, played);
        self.restore_limit(limit_before).await
    }

    /// Begins or ends the hold at the user's request.
    pub async fn set_upload_hold(&self, on: bool) -> Result<(), ErrorBody> {
        if on {
            return self.hold_back(None).await;
        }
        let limit_before = self.upload_hold().release();
        self.restore_limit(limit_before).await
    }

    async fn hold_back(&self, game: Option<String>) -> Result<(), ErrorBody> {
        let Some(quiet) = self.settings().quiet_upload else { return Ok(()) };
        let now = self.limits().await?;
        let limit = self.upload_hold().begin(game, quiet, now.upload);
        match limit {
            Some(limit) => self.limit(RateLimits { upload: Some(limit), ..now }).await,
            None => Ok(()),
        }
    }

    async fn restore_limit(&self, limit_before: Option<Option<u64>>) -> Result<(), ErrorBody> {
        let Some(upload) = limit_before else { return Ok(()) };
        let now = self.limits().await?;
        self.limit(RateLimits { upload, ..now }).await
    }

    async fn limits(&self) -> Result<RateLimits, ErrorBody> {
        match self.peer()?.command(Command::Status).await {
            Ok(Reply::Status(status)) => Ok(status.limits),
            Ok(_) => Err(ErrorBody::new(ErrorCode::Internal, "the peer answered something else")),
            Err(error) => Err(error.to_contract()),
        }
    }

    /// Sets limits on the peer without keeping them for the next start.
    async fn limit(&self, limits: RateLimits) -> Result<(), ErrorBody> {
        let set = self.peer()?.command(Command::SetLimits(limits)).await;
        set.map(drop).map_err(|e| e.to_contract())
    }
}
