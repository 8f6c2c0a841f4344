//! Lines of standard input in bounded memory. The rest of a line that is too long is skipped.

use std::io;

use lanspread_api::parse::LINE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are kept of a line that is too long, so that an `id` near its start can be read.
const START_KEPT_BYTES: usize = 4096;
/// Size of one read, in bytes.
const READ_BYTES: usize = 64 << 10;

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub enum InputLine {
    /// A whole line.
    Whole(Vec<u8>),
    /// The start of a line that is too long.
    TooLong(Vec<u8>),
}

/// Splits a stream into lines.
#[derive(Debug)]
pub struct LineReader<R> {
    from: R,
    buffer: Vec<u8>,
    /// Start of the bytes in `buffer` that are not split yet.
    at: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Returns a reader of `from`.
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), at: 0, ended: false }
    }

    /// Returns the next line that is not blank, without its line feed, or `None` at the end. The last line needs no
    /// line feed.
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

    /// Stream that gives its bytes in pieces of a fixed size.
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
    async fn lines_are_split_wherever_reads_end() {
        for piece in [1, 2, 3, 7, 1000] {
            let got = lines(b"one\n\n  \r\ntwo\r\nthree", piece).await;
            assert_eq!(got, [whole("one"), whole("two\r"), whole("three")], "pieces of {piece}");
        }
        assert_eq!(lines(b"", 1).await, []);
        assert_eq!(lines(b"\n\n", 1).await, []);
    }

    #[tokio::test]
    async fn longest_line_passes_and_one_byte_more_does_not() {
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
    async fn long_line_is_skipped_in_little_memory() {
        let mut reader = LineReader::new(tokio::io::repeat(b'x').take(10_000_000).chain(&b"\n{}\n"[..]));
        assert!(
            matches!(reader.next().await.unwrap(), Some(InputLine::TooLong(s)) if s.capacity() <= 2 * START_KEPT_BYTES)
        );
        assert_eq!(reader.next().await.unwrap(), Some(whole("{}")));
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES);
    }

    #[tokio::test]
    async fn unterminated_long_line_is_reported_at_the_end() {
        let mut reader = LineReader::new(tokio::io::repeat(b'x').take(LINE_BYTES_MAX as u64 + 1));
        assert!(matches!(reader.next().await.unwrap(), Some(InputLine::TooLong(_))));
        assert_eq!(reader.next().await.unwrap(), None);
    }
}
