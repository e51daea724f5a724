//! Bytes in, lines out.

/// Cuts a stream of bytes into lines.
///
/// A line ends with `\n`. White space and NUL bytes around it are dropped, as are lines with nothing
/// else in them: some firmware sends `\r\n`, some a NUL behind each line. Between two lines it holds
/// no memory, so thousands of quiet miners cost nothing here.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    start: usize,
    /// Bytes of the buffer that are known to hold no end of a line that was not handed out.
    scanned: usize,
    limit: usize,
}

/// A line that is longer than it may be; nothing sensible can follow on the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {limit} bytes")]
pub struct TooLong {
    /// Bytes a line may have.
    pub limit: usize,
}

impl Lines {
    /// For lines of at most `limit` bytes, their end not counted.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            limit,
        }
    }

    /// Takes what arrived. To bound the memory, take all lines out before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            (self.start, self.scanned) = (0, 0);
        } else if self.start > self.limit {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line; `None` until more bytes arrive.
    ///
    /// # Errors
    /// A line is longer than the limit. It stays so.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let limit = self.limit;
            let end = self.buffer[self.scanned..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| self.scanned + at);
            if end.unwrap_or(self.buffer.len()) - self.start > limit {
                return Err(TooLong { limit });
            }
            let Some(end) = end else {
                if self.start == self.buffer.len() {
                    *self = Self::new(limit);
                }
                self.scanned = self.buffer.len();
                return Ok(None);
            };
            let line = self.start..end;
            self.start = end + 1;
            self.scanned = self.start;
            if trimmed(&self.buffer[line.clone()]).is_empty() {
                continue;
            }
            return Ok(Some(trimmed(&self.buffer[line])));
        }
    }
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    while let [first, rest @ ..] = line
        && is_blank(first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_blank(last)
    {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines) -> Result<Vec<String>, TooLong> {
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            all.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(all)
    }

    #[test]
    fn lines_end_with_a_line_feed_however_they_arrive() {
        let mut lines = Lines::new(100);
        lines.push(b"{\"a\"");
        assert_eq!(all(&mut lines), Ok(vec![]));
        lines.push(b":1}\nsecond\nthi");
        assert_eq!(all(&mut lines).unwrap(), ["{\"a\":1}", "second"]);
        lines.push(b"rd\n");
        assert_eq!(all(&mut lines).unwrap(), ["third"]);
    }

    #[test]
    fn carriage_returns_nul_bytes_and_empty_lines_are_dropped() {
        let mut lines = Lines::new(100);
        lines.push(b"one\r\n\r\n\n  \n\0two \r\n\0");
        assert_eq!(all(&mut lines).unwrap(), ["one", "two"]);
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let mut lines = Lines::new(4);
        lines.push(b"four\nfour");
        assert_eq!(all(&mut lines).unwrap(), ["four"]);
        lines.push(b"\n");
        assert_eq!(all(&mut lines).unwrap(), ["four"]);
        // Whether or not its end is there.
        for long in [&b"fives"[..], b"fives\n", b"ok\nfives"] {
            let mut lines = Lines::new(4);
            lines.push(long);
            assert_eq!(all(&mut lines), Err(TooLong { limit: 4 }));
            lines.push(b"\nok\n");
            assert_eq!(all(&mut lines), Err(TooLong { limit: 4 }));
        }
    }

    #[test]
    fn nothing_is_kept_between_lines() {
        let mut lines = Lines::new(1000);
        lines.push(&[&[b'x'; 900][..], b"\n"].concat());
        assert_eq!(all(&mut lines).unwrap().len(), 1);
        assert_eq!(lines.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn the_cuts_of_the_stream_do_not_matter(
            text in "[ab\n]{0,60}",
            cuts in proptest::collection::vec(1usize..9, 0..30),
        ) {
            let expected: Vec<&str> = text
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .filter(|line| !line.is_empty())
                .collect();
            let (mut lines, mut found) = (Lines::new(60), Vec::new());
            let mut rest = text.as_bytes();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.push(now);
                found.extend(all(&mut lines).unwrap());
                rest = later;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
