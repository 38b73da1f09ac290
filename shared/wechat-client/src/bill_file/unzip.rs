//! Unpacks a bill as its bytes come, and hashes what comes out.
//!
//! A bill of a large merchant has gigabytes of text, so only a buffer of 64 KiB is kept. Files
//! other than gzip pass through: WeChat Pay sends them if gzip was not requested.
//!
//! Not by `flate2::write::MultiGzDecoder` into a sink that hashes: its errors have one kind for a
//! damaged file and for what follows its end. Less than ten bytes that follow are a header cut
//! short to it, so a person would be asked to load a file again which stays as it is.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use flate2::{Decompress, FlushDecompress, Status};

/// What a gzip file begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The largest window that gzip has, as a power of two.
const WINDOW_BITS: u8 = 15;
const BUFFER: usize = 64 * 1024;

/// A bill that cannot be unpacked. What it gave before must not be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnzipError {
    /// The compressed data contradict themselves, or their own checksum.
    #[error("the bill's gzip is damaged: load it again")]
    Damaged,
    /// It ended in the middle.
    #[error("the bill's gzip ends before its end: load it again")]
    CutShort,
    /// Something that is no gzip follows the end.
    #[error(
        "something that is no gzip follows the bill's gzip: compare the file with WeChat Pay's console"
    )]
    Garbage,
    /// More text than any bill has, so it is not a bill.
    #[error(
        "the bill unpacks to more than {limit} bytes: this is no bill, compare the file with WeChat Pay's console"
    )]
    TooLong {
        /// How much is unpacked at most, in bytes.
        limit: u64,
    },
}

/// A SHA-1 in lower-case hexadecimal, as `hash_value` has it.
#[derive(Clone, Eq, PartialEq)]
pub struct Sha1Hex(String);

/// A bill being received.
pub struct Unzip {
    state: UnzipState,
    sha1: Context,
    buffer: Box<[u8]>,
    written: u64,
    limit: u64,
}

enum UnzipState {
    /// Nothing, or the first of the two bytes that show the kind of file.
    Start(Option<u8>),
    Plain,
    /// Inside a member of the gzip.
    Member(Decompress),
    /// Behind one: the file ends here, or another begins; of which the first byte may have come.
    Between(Option<u8>),
}

impl Unzip {
    /// What a bill unpacks to at most, in bytes: a row has under a kilobyte, and no merchant has 64
    /// million trades a day.
    pub const LIMIT: u64 = 64 << 30;

    /// Nothing so far.
    pub fn new() -> Self {
        Self::with_limit(Self::LIMIT)
    }

    /// Starts empty; accepts at most `limit` bytes in total.
    pub fn with_limit(limit: u64) -> Self {
        Self {
            state: UnzipState::Start(None),
            sha1: Context::new(&SHA1_FOR_LEGACY_USE_ONLY),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            written: 0,
            limit,
        }
    }

    /// Unpacks the next bytes of the file and gives the text to `out`, at most 64 KiB at a time.
    ///
    /// # Errors
    /// An [`UnzipError`], or the error of `out`. Pass no more bytes after that.
    pub fn feed<E: From<UnzipError>>(
        &mut self,
        mut file: &[u8],
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !file.is_empty() {
            file = match &mut self.state {
                UnzipState::Plain => {
                    self.take(file.len())?;
                    self.sha1.update(file);
                    out(file)?;
                    return Ok(());
                }
                UnzipState::Member(_) => self.inflate(file, out)?,
                UnzipState::Start(first) | UnzipState::Between(first) => {
                    let (byte, rest) = match (*first, file) {
                        (None, [byte, rest @ ..]) => {
                            *first = Some(*byte);
                            (*byte, rest)
                        }
                        (Some(first), _) => (first, file),
                        (None, []) => return Ok(()),
                    };
                    self.begin(byte, rest, out)?
                }
            };
        }
        Ok(())
    }

    /// Ends the file, and gives the hash of its text.
    ///
    /// # Errors
    /// [`UnzipError::CutShort`] when the end has not come.
    pub fn finish(self) -> Result<Sha1Hex, UnzipError> {
        match self.state {
            UnzipState::Start(None) | UnzipState::Plain | UnzipState::Between(None) => {}
            UnzipState::Start(Some(_)) | UnzipState::Between(Some(_)) | UnzipState::Member(_) => {
                return Err(UnzipError::CutShort);
            }
        }
        let hash = self.sha1.finish();
        Ok(Sha1Hex(
            hash.as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        ))
    }

    /// How many bytes of text have come out.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Begins a file or another member, whose first byte is `first`. Gives back what is left of
    /// `file`, which is what follows it.
    fn begin<'a, E: From<UnzipError>>(
        &mut self,
        first: u8,
        file: &'a [u8],
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        let is_start = matches!(self.state, UnzipState::Start(_));
        if first == MAGIC[0] {
            let Some((second, rest)) = file.split_first() else {
                return Ok(file); // waits for the second byte
            };
            if *second == MAGIC[1] {
                self.state = UnzipState::Member(Decompress::new_gzip(WINDOW_BITS));
                self.inflate(&MAGIC, out)?;
                return Ok(rest);
            }
        }
        if !is_start {
            return Err(UnzipError::Garbage.into());
        }
        self.state = UnzipState::Plain;
        self.take(1)?;
        self.sha1.update(&[first]);
        out(&[first])?;
        Ok(file)
    }

    /// Unpacks up to the end of a member; returns what follows it.
    fn inflate<'a, E: From<UnzipError>>(
        &mut self,
        mut file: &'a [u8],
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        loop {
            let UnzipState::Member(decompress) = &mut self.state else {
                return Ok(file);
            };
            let (read_before, written_before) = (decompress.total_in(), decompress.total_out());
            let status = decompress
                .decompress(file, &mut self.buffer, FlushDecompress::None)
                .map_err(|_damaged| UnzipError::Damaged)?;
            let read = length(decompress.total_in() - read_before);
            let written = length(decompress.total_out() - written_before);
            file = file.get(read..).unwrap_or_default();
            if status == Status::StreamEnd {
                self.state = UnzipState::Between(None);
            }
            self.take(written)?;
            let text = self.buffer.get(..written).unwrap_or_default();
            self.sha1.update(text);
            if !text.is_empty() {
                out(text)?;
            }
            let has_more = !file.is_empty() || written == self.buffer.len();
            let stuck = read == 0 && written == 0;
            if status == Status::StreamEnd || !has_more || (stuck && file.is_empty()) {
                return Ok(file);
            }
            if stuck {
                return Err(UnzipError::Damaged.into());
            }
        }
    }

    /// Counts text, up to the limit.
    fn take(&mut self, bytes: usize) -> Result<(), UnzipError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limit {
            return Err(UnzipError::TooLong { limit: self.limit });
        }
        Ok(())
    }
}

impl Default for Unzip {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Unzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unzip")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Sha1Hex {
    /// Whether it is the hash that WeChat Pay gave, in whichever case.
    pub fn is(&self, hash_value: &str) -> bool {
        self.0.eq_ignore_ascii_case(hash_value.trim())
    }

    /// The 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha1Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sha1Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A count of bytes in one buffer, which is a length.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use sha1::{Digest, Sha1};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("in memory");
        encoder.finish().expect("in memory")
    }

    /// Rows like a bill's, many times the buffer, which compress well but not to nothing.
    fn rows(count: u32) -> Vec<u8> {
        let mut text = Vec::new();
        for row in 0..count {
            let noise = row.wrapping_mul(2_654_435_761);
            writeln!(
                text,
                "`2026-08-01 12:00:00,`wx1,`42000{noise},`ORDER-{row},`SUCCESS"
            )
            .expect("in memory");
        }
        text
    }

    fn sha1(text: &[u8]) -> String {
        let hash = Sha1::digest(text);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Feeds a file in pieces of `size` bytes.
    fn unzip(file: &[u8], size: usize) -> Result<(Vec<u8>, Sha1Hex), UnzipError> {
        unzip_up_to(file, size, Unzip::LIMIT)
    }

    fn unzip_up_to(file: &[u8], size: usize, limit: u64) -> Result<(Vec<u8>, Sha1Hex), UnzipError> {
        let mut unzip = Unzip::with_limit(limit);
        let mut text = Vec::new();
        for piece in file.chunks(size) {
            unzip.feed(piece, &mut |bytes: &[u8]| {
                assert!(!bytes.is_empty() && bytes.len() <= BUFFER.max(size));
                text.extend_from_slice(bytes);
                Ok::<(), UnzipError>(())
            })?;
        }
        assert_eq!(usize::try_from(unzip.written()), Ok(text.len()));
        Ok((text, unzip.finish()?))
    }

    #[test]
    fn a_bill_in_pieces_of_any_size_gives_its_text_and_its_hash() {
        let text = rows(4_000);
        assert!(text.len() > 3 * BUFFER);
        for file in [gzip(&text), text.clone()] {
            for size in [1, 2, 3, 7, 1000, BUFFER - 1, BUFFER, BUFFER + 1, usize::MAX] {
                let (found, hash) = unzip(&file, size).expect("a whole file");
                assert!(found == text, "pieces of {size}");
                assert_eq!(hash.as_str(), sha1(&text));
                assert!(hash.is(&sha1(&text).to_uppercase()));
                assert!(!hash.is(&sha1(b"another")));
            }
        }
    }

    #[test]
    fn members_that_follow_each_other_are_one_text() {
        let (first, second) = (rows(10), rows(2_000));
        let empty = gzip(b"");
        let file = [gzip(&first), empty, gzip(&second)].concat();
        let text = [first, second].concat();
        for size in [1, 5, 4096, usize::MAX] {
            let (found, hash) = unzip(&file, size).expect("a whole file");
            assert!(found == text, "pieces of {size}");
            assert_eq!(hash.as_str(), sha1(&text));
        }
    }

    #[test]
    fn a_file_with_nothing_in_it_has_the_hash_of_nothing() {
        for file in [Vec::new(), gzip(b"")] {
            let (text, hash) = unzip(&file, 3).expect("a whole file");
            assert_eq!(text, b"");
            assert_eq!(hash.as_str(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        }
    }

    #[test]
    fn a_cut_file_is_refused_wherever_it_was_cut() {
        let file = [gzip(&rows(50)), gzip(&rows(3))].concat();
        let boundary = gzip(&rows(50)).len();
        for cut in 1..file.len() {
            if cut == boundary {
                continue; // a whole file by itself: its hash shows it
            }
            let cut_file = file.get(..cut).expect("shorter");
            assert_eq!(
                unzip(cut_file, 11).expect_err("cut"),
                UnzipError::CutShort,
                "after {cut} bytes"
            );
        }
    }

    #[test]
    fn an_altered_byte_anywhere_is_refused_or_changes_nothing_that_is_hashed() {
        let text = rows(200);
        let file = gzip(&text);
        let mut refused = 0;
        for at in 0..file.len() {
            let mut altered = file.clone();
            *altered.get_mut(at).expect("inside") ^= 0x55;
            match unzip(&altered, 333) {
                // A time stamp, or a first byte that makes it a plain file with another hash.
                Ok((_, hash)) => assert!(at < 10 || hash.is(&sha1(&text)), "at {at}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > file.len() - 10, "{refused} of {}", file.len());
    }

    #[test]
    fn bytes_after_the_gzip_are_refused() {
        let file = gzip(&rows(5));
        for garbage in [&b"\0"[..], b"\0\0\0\0", b"more", b"\x1f\x8c", b"\x1fx"] {
            for size in [1, usize::MAX] {
                let file = [&file, garbage].concat();
                assert_eq!(
                    unzip(&file, size).expect_err("garbage"),
                    UnzipError::Garbage,
                    "{garbage:?} by {size}"
                );
            }
        }
        let file = [&file[..], b"\x1f\x8b\x07no gzip at all"].concat();
        assert_eq!(unzip(&file, 4).expect_err("garbage"), UnzipError::Damaged);
    }

    #[test]
    fn a_bomb_is_refused_before_it_has_unpacked_much_more_than_the_limit() {
        let limit = 1_000_000;
        let bomb = gzip(&vec![b'0'; 50_000_000]);
        assert!(bomb.len() < 100_000);
        let mut unzip = Unzip::with_limit(limit);
        let mut came = 0;
        let error = unzip
            .feed(&bomb, &mut |text: &[u8]| {
                came += text.len();
                Ok::<(), UnzipError>(())
            })
            .expect_err("a bomb");
        assert_eq!(error, UnzipError::TooLong { limit });
        assert!(came <= 1_000_000);
        let plain = vec![b'0'; 1_000_001];
        let error = unzip_up_to(&plain, 1000, limit).expect_err("too long as well");
        assert_eq!(error, UnzipError::TooLong { limit });
        assert!(unzip_up_to(&plain, 1000, limit + 1).is_ok());
    }

    #[test]
    fn an_error_of_the_reader_ends_the_unpacking() {
        #[derive(Debug, PartialEq)]
        enum Mine {
            Unzip(UnzipError),
            Enough,
        }
        impl From<UnzipError> for Mine {
            fn from(error: UnzipError) -> Self {
                Self::Unzip(error)
            }
        }
        let mut calls = 0;
        let result = Unzip::new().feed(&gzip(&rows(9_000)), &mut |_: &[u8]| {
            calls += 1;
            if calls < 2 { Ok(()) } else { Err(Mine::Enough) }
        });
        assert_eq!((result, calls), (Err(Mine::Enough), 2));
        let damaged = Unzip::new().feed(b"\x1f\x8b\xff\xff", &mut |_: &[u8]| Ok(()));
        assert_eq!(damaged, Err(Mine::Unzip(UnzipError::Damaged)));
    }
}
