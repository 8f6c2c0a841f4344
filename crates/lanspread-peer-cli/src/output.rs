//! Lines to standard output: whole lines only, in the order in which they were given.

use std::io;

use lanspread_api::Line;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// So much may wait before it is written.
const TOGETHER_BYTES: usize = 256 << 10;

/// Collects lines and writes them together.
#[derive(Debug)]
pub struct LineWriter<W> {
    to: W,
    waiting: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    pub fn new(to: W) -> Self {
        Self { to, waiting: Vec::new() }
    }

    pub fn push(&mut self, line: &Line) {
        self.waiting.extend_from_slice(line.to_json().as_bytes());
        self.waiting.push(b'\n');
    }

    /// Writes what was pushed if it is much.
    pub async fn flush_if_large(&mut self) -> io::Result<()> {
        if self.waiting.len() < TOGETHER_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Writes what was pushed. Fails when nobody reads any more.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.to.write_all(&self.waiting).await;
        self.waiting.clear();
        written?;
        self.to.flush().await
    }
}
