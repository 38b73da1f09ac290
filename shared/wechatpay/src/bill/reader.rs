//! From chunks of any size to lines, and from lines to rows: what all kinds of bills have in common.
//!
//! Rows are read where they lie in the caller's chunk. Only a line that two chunks share is copied.

use std::{fmt, mem};

use super::LINE_BYTES_MAX;
use super::error::{BillError, shown};
use super::marks::{Marks, index};
use super::record::{Header, Record};

/// How much is checked, marked and read in one go: small enough to stay in the nearest cache between the three.
const REGION_BYTES: usize = 16 * 1024;

/// How many rows are handed over at a time, at most: about what a region has.
const BATCH_ROWS: usize = 64;

/// A kind of bill.
pub(super) trait Format: 'static {
    /// A detail row.
    type Row<'a>;
    /// What the rows come to so far.
    type Sums: Default;
    /// What the summary row proves.
    type Summary;
    /// How the header of the summary starts.
    const SUMMARY_STARTS: &'static str;

    /// Finds the columns. Comes before all else.
    fn header(&mut self, header: &Header) -> Result<(), BillError>;

    /// Reads a row and adds it to the sums.
    fn row<'a>(
        &'a self,
        sums: &mut Self::Sums,
        record: Record<'a>,
    ) -> Result<Self::Row<'a>, BillError>;

    /// Holds the summary row against the sums. Comes last.
    fn summary(
        &self,
        sums: &Self::Sums,
        summary: &SummaryRow<'_>,
    ) -> Result<Self::Summary, BillError>;
}

/// The summary row, and what else its reader must know.
pub(super) struct SummaryRow<'a> {
    pub(super) record: Record<'a>,
    /// Detail rows before it.
    pub(super) rows: u64,
    /// No line feed follows, so the row may have been cut.
    pub(super) unterminated: bool,
}

/// What the next line must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Rows,
    Summary,
    End,
}

/// Reads a bill of one kind.
pub(super) struct Reader<F: Format> {
    format: F,
    sums: F::Sums,
    part: Part,
    header: Header,
    summary_header: Header,
    summary: Option<F::Summary>,
    /// Lines so far.
    line: u64,
    /// Detail rows so far.
    rows: u64,
    /// The start of a line whose end has not come yet: shorter than [`LINE_BYTES_MAX`], without a line feed.
    carry: Vec<u8>,
    /// Set at the end, for a line that has no line feed.
    unterminated: bool,
    marks: Marks,
    /// The separators of a line that is not plain.
    separators: Vec<u32>,
    failed: Option<BillError>,
}

/// Shows where it stands; what it carries is a piece of somebody's row.
impl<F: Format> fmt::Debug for Reader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("part", &self.part)
            .field("line", &self.line)
            .field("rows", &self.rows)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<F: Format> Reader<F> {
    pub(super) fn new(format: F) -> Self {
        Self {
            format,
            sums: F::Sums::default(),
            part: Part::Header,
            header: Header::default(),
            summary_header: Header::default(),
            summary: None,
            line: 0,
            rows: 0,
            carry: Vec::new(),
            unterminated: false,
            marks: Marks::default(),
            separators: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<(), BillError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.chunk(bytes, each)
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    pub(super) fn finish(
        mut self,
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<F::Summary, BillError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let cut = BillError::Cut {
            line: self.line + u64::from(!self.carry.is_empty()),
        };
        if !self.carry.is_empty() {
            // Of all lines, only the summary row shows whether it is whole.
            if matches!(self.part, Part::Header | Part::Rows) {
                return Err(cut);
            }
            self.unterminated = true;
            let mut line = mem::take(&mut self.carry);
            line.push(b'\n');
            self.region(&line, each)?;
        }
        self.summary.ok_or(cut)
    }

    fn chunk(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<(), BillError> {
        if !self.carry.is_empty() {
            let room = LINE_BYTES_MAX.saturating_sub(self.carry.len());
            let Some((rest, after)) = first_line(bytes, room) else {
                return self.keep(bytes);
            };
            let mut line = mem::take(&mut self.carry);
            line.extend_from_slice(rest);
            self.region(&line, each)?;
            line.clear();
            self.carry = line; // its buffer is worth keeping
            bytes = after;
        }
        while let Some((region, after)) = whole_lines(bytes) {
            self.region(region, each)?;
            bytes = after;
        }
        self.keep(bytes)
    }

    /// Keeps the start of a line until its end comes.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), BillError> {
        if self.carry.len().saturating_add(bytes.len()) >= LINE_BYTES_MAX {
            return Err(BillError::TooLongLine {
                line: self.line + 1,
            });
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads whole lines.
    fn region(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<(), BillError> {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => return self.lines(text, each),
            Err(error) => error,
        };
        let sound = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let sound = std::str::from_utf8(sound).unwrap_or_default();
        let lines = sound.rfind('\n').map_or(0, |at| at + 1);
        self.lines(sound.get(..lines).unwrap_or_default(), each)?;
        Err(BillError::NotText {
            line: self.line + 1,
        })
    }

    /// Reads the first line, and gives the others back.
    fn header<'t>(&mut self, text: &'t str) -> Result<&'t str, BillError> {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let line = line.strip_suffix('\r').unwrap_or(line);
        let names = line.strip_prefix('\u{feff}').unwrap_or(line);
        self.line += 1;
        self.header = Header::read(self.line, names);
        self.format.header(&self.header)?;
        self.part = Part::Rows;
        Ok(rest)
    }

    fn lines(&mut self, text: &str, each: &mut dyn FnMut(&[F::Row<'_>])) -> Result<(), BillError> {
        let text = match self.part {
            Part::Header => self.header(text)?,
            Part::Rows | Part::Summary | Part::End => text,
        };
        let bytes = text.as_bytes();
        let mut marks = self.marks.of(bytes);
        let mut start = 0;
        // Rows that were read and not yet handed over.
        let mut rows = Vec::with_capacity(BATCH_ROWS);
        while start < bytes.len() {
            self.line += 1;
            let plain = match self.part {
                Part::Rows => plain_row(bytes, start, marks, self.header.names.len()),
                Part::Header | Part::Summary | Part::End => None,
            };
            if let Some((of_row, line_feed, after)) = plain {
                let record = Record {
                    line: self.line,
                    header: &self.header,
                    text,
                    marks: of_row,
                    end: without_cr(bytes, start, line_feed),
                };
                if rows.len() == BATCH_ROWS {
                    each(&rows);
                    rows.clear();
                }
                match self.format.row(&mut self.sums, record) {
                    Ok(row) => rows.push(row),
                    Err(error) => {
                        each(&rows);
                        return Err(error);
                    }
                }
                self.rows += 1;
                marks = after;
                start = line_feed + 1;
                continue;
            }
            if !rows.is_empty() {
                each(&rows);
                rows.clear();
            }

            self.separators.clear();
            let mut line_feed = bytes.len();
            while let Some((mark, after)) = marks.split_first() {
                marks = after;
                let at = index(*mark);
                if bytes.get(at) == Some(&b'\n') {
                    line_feed = at;
                    break;
                }
                if at == start || bytes.get(at.wrapping_sub(1)) == Some(&b',') {
                    self.separators.push(*mark);
                }
            }
            let end = without_cr(bytes, start, line_feed);
            let line = text.get(start..end).unwrap_or_default();
            start = line_feed + 1;

            let header = match self.part {
                Part::Rows if line.starts_with('`') => &self.header,
                Part::Summary if line.starts_with('`') => &self.summary_header,
                Part::Rows if line.starts_with(F::SUMMARY_STARTS) => {
                    self.summary_header = Header::read(self.line, line);
                    self.part = Part::Summary;
                    continue;
                }
                Part::Header | Part::Rows | Part::Summary => {
                    return Err(BillError::UnexpectedLine {
                        line: self.line,
                        found: shown(line),
                    });
                }
                Part::End if line.is_empty() => continue,
                Part::End => return Err(BillError::AfterSummary { line: self.line }),
            };
            let (found, expected) = (self.separators.len(), header.names.len());
            if found < expected && self.unterminated {
                return Err(BillError::Cut { line: self.line });
            }
            if found != expected {
                return Err(BillError::RowHasOtherFieldCount {
                    line: self.line,
                    found,
                    expected,
                });
            }
            let record = Record {
                line: self.line,
                header,
                text,
                marks: &self.separators,
                end,
            };
            if self.part == Part::Rows {
                let row = self.format.row(&mut self.sums, record)?;
                each(std::slice::from_ref(&row));
                self.rows += 1;
            } else {
                self.summary = Some(self.format.summary(
                    &self.sums,
                    &SummaryRow {
                        record,
                        rows: self.rows,
                        unterminated: self.unterminated,
                    },
                )?);
                self.part = Part::End;
            }
        }
        if !rows.is_empty() {
            each(&rows);
        }
        Ok(())
    }
}

/// The row that starts at `start`, if all its marks are what they seem: a backtick that starts the line, backticks behind
/// commas, one for each further column, and a line feed. Rows in whose texts backticks stand are not plain. Gives the
/// backticks, the line feed, and the marks after it.
#[inline]
fn plain_row<'m>(
    bytes: &[u8],
    start: usize,
    marks: &'m [u32],
    columns: usize,
) -> Option<(&'m [u32], usize, &'m [u32])> {
    let (backticks, after) = marks.split_at_checked(columns)?;
    let (line_feed, after) = after.split_first()?;
    let (first, others) = backticks.split_first()?;
    let line_feed = index(*line_feed);
    let plain = index(*first) == start
        && bytes.get(start) == Some(&b'`')
        && bytes.get(line_feed) == Some(&b'\n')
        && others.iter().all(|mark| {
            let at = index(*mark);
            bytes.get(at.wrapping_sub(1)..=at) == Some(b",`")
        });
    plain.then_some((backticks, line_feed, after))
}

/// Where the line ends whose line feed is there.
#[inline]
fn without_cr(bytes: &[u8], start: usize, line_feed: usize) -> usize {
    let before = line_feed.wrapping_sub(1);
    if line_feed > start && bytes.get(before) == Some(&b'\r') {
        before
    } else {
        line_feed
    }
}

/// The first line with its line feed, if it has at most `room` bytes, and what follows.
fn first_line(bytes: &[u8], room: usize) -> Option<(&[u8], &[u8])> {
    let within = bytes.get(..room).unwrap_or(bytes);
    let line_feed = within.iter().position(|byte| *byte == b'\n')?;
    bytes.split_at_checked(line_feed + 1)
}

/// Some whole lines, at most [`REGION_BYTES`] unless the first alone is longer, and what follows.
fn whole_lines(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let within = bytes.get(..REGION_BYTES).unwrap_or(bytes);
    match within.iter().rposition(|byte| *byte == b'\n') {
        Some(line_feed) => bytes.split_at_checked(line_feed + 1),
        None => first_line(bytes, LINE_BYTES_MAX),
    }
}
