//! From chunks of any size to lines, and from lines to rows: what all kinds of bills have in
//! common.
//!
//! Rows are read where they lie in the caller's chunk. Only a line that two chunks share is copied.

use std::{fmt, mem};

use super::error::{BillError, shown};
use super::limits::LINE_BYTES_MAX;
use super::marks::{Marks, index};
use super::record::{Header, Record};

/// How much is checked, marked and read in one go: small enough to stay in the nearest cache
/// between the three.
const REGION_BYTES: usize = 16 * 1024;

/// How many rows are handed over at a time, at most: about what a region has.
const BATCH_ROWS: usize = 64;

/// A kind of bill.
pub(super) trait Format: 'static {
    /// A detail row.
    type Row<'a>;
    /// The sums of the rows so far.
    type RowSums: Default;
    /// What the summary row proves.
    type Summary;
    /// How the header of the summary starts.
    const SUMMARY_STARTS: &'static str;

    /// Finds the columns. Comes before all else.
    fn header(&mut self, header: &Header) -> Result<(), BillError>;

    /// Reads a row and adds it to the sums.
    fn row<'a>(
        &'a self,
        sums: &mut Self::RowSums,
        record: Record<'a>,
    ) -> Result<Self::Row<'a>, BillError>;

    /// Holds the summary row against the sums. Comes last.
    fn summary(
        &self,
        sums: &Self::RowSums,
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
enum Expected {
    Header,
    Rows,
    Summary,
    End,
}

/// Reads a bill of one kind.
pub(super) struct Reader<F: Format> {
    format: F,
    sums: F::RowSums,
    part: Expected,
    header: Header,
    summary_header: Header,
    summary: Option<F::Summary>,
    /// Lines so far.
    line: u64,
    /// Detail rows so far.
    rows: u64,
    /// The start of a line whose end has not come yet: shorter than [`LINE_BYTES_MAX`], without a
    /// line feed.
    carry: Vec<u8>,
    /// Set at the end, for a line that has no line feed.
    unterminated: bool,
    marks: Marks,
    failed: Option<BillError>,
}

/// Shows its position only; its content is a piece of a row.
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
            sums: F::RowSums::default(),
            part: Expected::Header,
            header: Header::default(),
            summary_header: Header::default(),
            summary: None,
            line: 0,
            rows: 0,
            carry: Vec::new(),
            unterminated: false,
            marks: Marks::default(),
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
            // The summary row is the only line that shows whether it is whole.
            if matches!(self.part, Expected::Header | Expected::Rows) {
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
        let error = match simdutf8::compat::from_utf8(bytes) {
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

    fn lines(&mut self, text: &str, each: &mut dyn FnMut(&[F::Row<'_>])) -> Result<(), BillError> {
        let mut marks = mem::take(&mut self.marks);
        let (fields, line_feeds) = marks.of(text.as_bytes());
        let lines = Lines {
            text,
            start: 0,
            fields,
            line_feeds,
        };
        let read = self.marked_lines(lines, each);
        self.marks = marks; // its buffers are worth keeping
        read
    }

    fn marked_lines(
        &mut self,
        mut lines: Lines<'_>,
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<(), BillError> {
        loop {
            if self.part == Expected::Rows {
                self.rows(&mut lines, each)?;
            }
            let Some(line) = lines.next(self.header.names.len()) else {
                return Ok(());
            };
            self.line += 1;
            self.other_line(&line)?;
        }
    }

    /// Reads detail rows, up to a line that is none.
    fn rows(
        &mut self,
        lines: &mut Lines<'_>,
        each: &mut dyn FnMut(&[F::Row<'_>]),
    ) -> Result<(), BillError> {
        let columns = self.header.names.len();
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        while lines.is_at_row()
            && let Some(line) = lines.next(columns)
        {
            self.line += 1;
            let row = line
                .record(self.line, &self.header, self.unterminated)
                .and_then(|record| self.format.row(&mut self.sums, record));
            match row {
                Ok(row) => batch.push(row),
                Err(error) => {
                    hand_over(&mut batch, each);
                    return Err(error);
                }
            }
            self.rows += 1;
            if batch.len() == BATCH_ROWS {
                hand_over(&mut batch, each);
            }
        }
        hand_over(&mut batch, each);
        Ok(())
    }

    /// Reads a line that is no detail row: there are four in a bill.
    #[cold]
    fn other_line(&mut self, line: &Line<'_>) -> Result<(), BillError> {
        let (text, number) = (line.whole(), self.line);
        match self.part {
            Expected::Header => {
                let names = text.strip_prefix('\u{feff}').unwrap_or(text);
                self.header = Header::read(number, names);
                self.format.header(&self.header)?;
                self.part = Expected::Rows;
            }
            Expected::Rows if text.starts_with(F::SUMMARY_STARTS) => {
                self.summary_header = Header::read(number, text);
                self.part = Expected::Summary;
            }
            Expected::Summary if text.starts_with('`') => {
                let summary = SummaryRow {
                    record: line.record(number, &self.summary_header, self.unterminated)?,
                    rows: self.rows,
                    unterminated: self.unterminated,
                };
                self.summary = Some(self.format.summary(&self.sums, &summary)?);
                self.part = Expected::End;
            }
            Expected::Rows | Expected::Summary => {
                return Err(BillError::UnexpectedLine {
                    line: number,
                    found: shown(text),
                });
            }
            Expected::End if text.is_empty() => {}
            Expected::End => return Err(BillError::AfterSummary { line: number }),
        }
        Ok(())
    }
}

fn hand_over<Row>(batch: &mut Vec<Row>, each: &mut dyn FnMut(&[Row])) {
    if !batch.is_empty() {
        each(batch);
        batch.clear();
    }
}

/// Whole lines, from one of them on.
struct Lines<'a> {
    text: &'a str,
    start: usize,
    fields: &'a [u32],
    line_feeds: &'a [u32],
}

impl<'a> Lines<'a> {
    /// Whether the next line is written like a row.
    #[inline]
    fn is_at_row(&self) -> bool {
        self.text.as_bytes().get(self.start) == Some(&b'`')
    }

    #[inline]
    fn next(&mut self, columns: usize) -> Option<Line<'a>> {
        let (line_feed, after) = self.line_feeds.split_first()?;
        self.line_feeds = after;
        let (fields, after) = split(self.fields, *line_feed, columns);
        self.fields = after;
        let (start, line_feed) = (self.start, index(*line_feed));
        self.start = line_feed + 1;
        Some(Line {
            text: self.text,
            start,
            end: without_cr(self.text.as_bytes(), start, line_feed),
            fields,
        })
    }
}

/// One line among others.
struct Line<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    fields: &'a [u32],
}

impl<'a> Line<'a> {
    fn whole(&self) -> &'a str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The line as a row: it must have a field for each column.
    #[inline]
    fn record(
        &self,
        number: u64,
        header: &'a Header,
        unterminated: bool,
    ) -> Result<Record<'a>, BillError> {
        let (found, expected) = (self.fields.len(), header.names.len());
        if found == expected {
            return Ok(Record {
                line: number,
                header,
                text: self.text,
                marks: self.fields,
                end: self.end,
            });
        }
        if found < expected && unterminated {
            return Err(BillError::Cut { line: number });
        }
        Err(BillError::RowHasOtherFieldCount {
            line: number,
            found,
            expected,
        })
    }
}

/// Parts the fields before the line feed from the others. That there are as many as columns is the
/// first guess, which makes a row's cost independent of their number.
#[inline]
fn split(fields: &[u32], line_feed: u32, columns: usize) -> (&[u32], &[u32]) {
    if let Some((before, after)) = fields.split_at_checked(columns)
        && before.last().is_some_and(|last| *last < line_feed)
        && after.first().is_none_or(|next| *next > line_feed)
    {
        return (before, after);
    }
    let before = fields.iter().take_while(|at| **at < line_feed).count();
    fields.split_at_checked(before).unwrap_or_default()
}

/// The end of a line whose line feed is there.
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
