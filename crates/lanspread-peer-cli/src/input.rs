//! Lines from standard input, in bounded memory: what is longer than a line may be is skipped to its end.

use std::io;

use lanspread_api::parse::LINE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of a line that is too long is kept, so that its `id` can be read if it stands near the start.
const START_KEPT_BYTES: usize = 4096;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// What stood on a line.
#[derive(Debug, PartialEq, Eq)]
pub enum InputLine {
    Whole(Vec<u8>),
    /// Only the start of it.
    TooLong(Vec<u8>),
}

/// Cuts a stream into lines.
#[derive(Debug)]
pub struct LineReader<R> {
    from: R,
    buffer: Vec<u8>,
    /// What is read and not yet cut: `buffer[at..]`.
    at: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), at: 0, ended: false }
    }

    /// The next line that is not blank, without its line feed; `None` at the end. A last line without a line feed counts.
    pub async fn next(&mut self) -> io::Result<Option<InputLine>> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let fresh = &self.buffer[self.at..];
            let end = fresh.iter().position(|&b| b == b'\n');
            let part = &fresh[..end.unwrap_or(fresh.len())];
            if line.len() + part.len() > LINE_BYTES_MAX && !too_long {
                too_long = true;
                line.extend_from_slice(&part[..part.len().min(START_KEPT_BYTES)]);
                line.truncate(START_KEPT_BYTES);
                line.shrink_to_fit();
            } else if !too_long {
                line.extend_from_slice(part);
            }
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some() || (self.ended && !line.is_empty()) {
                if too_long {
                    return Ok(Some(InputLine::TooLong(line)));
                }
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(InputLine::Whole(line)));
                }
                line.clear();
            } else if self.ended {
                return Ok(None);
            } else {
                self.fill().await?;
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.resize(READ_BYTES, 0);
        self.at = READ_BYTES;
        let n = self.from.read(&mut self.buffer).await?;
        self.buffer.truncate(n);
        self.at = 0;
        self.ended = n == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// Gives its bytes in pieces of a size.
    struct Pieces(Vec<u8>, usize);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let n = self.0.len().min(self.1).min(into.remaining());
            into.put_slice(&self.0[..n]);
            self.0.drain(..n);
            Poll::Ready(Ok(()))
        }
    }

    async fn lines(bytes: &[u8], piece: usize) -> Vec<InputLine> {
        let mut reader = LineReader::new(Pieces(bytes.to_vec(), piece));
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    fn whole(text: &str) -> InputLine {
        InputLine::Whole(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_reads_fall() {
        for piece in [1, 2, 3, 7, 1000] {
            let got = lines(b"one\n\n  \r\ntwo\r\nthree", piece).await;
            assert_eq!(got, [whole("one"), whole("two\r"), whole("three")], "pieces of {piece}");
        }
        assert_eq!(lines(b"", 1).await, []);
        assert_eq!(lines(b"\n\n", 1).await, []);
    }

    #[tokio::test]
    async fn the_longest_line_passes_and_one_byte_more_does_not() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        let text = format!("{longest}\n{longest}y\nshort\n");
        for piece in [999, READ_BYTES, 10 * READ_BYTES] {
            let got = lines(text.as_bytes(), piece).await;
            let [first, InputLine::TooLong(start), last] = &got[..] else { panic!("{} lines", got.len()) };
            assert_eq!((first, last), (&whole(&longest), &whole("short")));
            assert_eq!(start.len(), START_KEPT_BYTES);
        }
    }

    #[tokio::test]
    async fn ten_megabytes_are_skipped_in_little_memory() {
        let mut reader = LineReader::new(tokio::io::repeat(b'x').take(10_000_000).chain(&b"\n{}\n"[..]));
        assert!(
            matches!(reader.next().await.unwrap(), Some(InputLine::TooLong(s)) if s.capacity() <= 2 * START_KEPT_BYTES)
        );
        assert_eq!(reader.next().await.unwrap(), Some(whole("{}")));
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_and_never_ends_is_told_of_at_the_end() {
        let mut reader = LineReader::new(tokio::io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1));
        assert!(matches!(reader.next().await.unwrap(), Some(InputLine::TooLong(_))));
        assert_eq!(reader.next().await.unwrap(), None);
    }
}
