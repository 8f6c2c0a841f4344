//! Lines to standard output: whole lines only, in order.

use std::io;

use lanspread_api::Line;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes that may be collected before they are written.
const TOGETHER_BYTES: usize = 256 << 10;

/// Writer that collects lines and writes them together.
#[derive(Debug)]
pub struct LineWriter<W> {
    to: W,
    waiting: Vec<u8>,
    /// Number of bytes of `waiting` that are written already.
    written: usize,
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    /// Returns a writer to `to`.
    pub fn new(to: W) -> Self {
        Self { to, waiting: Vec::new(), written: 0 }
    }

    /// Adds a line to the collected ones.
    pub fn push(&mut self, line: &Line) {
        self.waiting.extend_from_slice(line.to_json().as_bytes());
        self.waiting.push(b'\n');
    }

    /// Writes the collected lines if they are many.
    pub async fn flush_if_large(&mut self) -> io::Result<()> {
        if self.waiting.len() < TOGETHER_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Writes the collected lines.
    ///
    /// If the future is dropped before it is done, the next call continues at the same byte.
    ///
    /// # Errors
    ///
    /// The reader is gone, or the write fails.
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
