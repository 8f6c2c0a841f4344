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
    /// How much of `waiting` is written already.
    written: usize,
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    pub fn new(to: W) -> Self {
        Self { to, waiting: Vec::new(), written: 0 }
    }

    pub fn push(&mut self, line: &Line) {
        self.waiting.extend_from_slice(line.to_json().as_bytes());
        self.waiting.push(b'\n');
    }

    /// Writes what was pushed if it is much.
    pub async fn flush_if_large(&mut self) -> io::Result<()> {
        if self.waiting.len() < TOGETHER_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Writes what was pushed. Fails when nobody reads any more. When it is dropped before it is done, the next call goes
    /// on where it was.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.written < self.waiting.len() {
            match self.to.write(&self.waiting[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => self.written += n,
            }
        }
        self.waiting.clear();
        self.written = 0;
        self.to.flush().await
    }
}
