//! Why a bill is refused, and where.

use std::fmt;

use crate::names::names;

/// How much of a refused value is shown.
const SHOWN_CHARS: usize = 40;

/// A column, as people find it in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// From 1.
    pub number: usize,
    /// As the header writes it.
    pub name: String,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} ({})", self.number, self.name)
    }
}

/// Why a bill is refused. Nothing of a refused bill may be trusted, not even the rows before the
/// error: the sums that prove them are at its end. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// It ended before its summary row did.
    #[error(
        "the bill ends in line {line}, before the end of its summary row: it was cut, fetch it again"
    )]
    Cut {
        /// Where it ends.
        line: u64,
    },
    /// A line is not UTF-8.
    #[error("line {line} is not UTF-8: is the file still compressed, or was it re-encoded?")]
    NotText {
        /// Which line.
        line: u64,
    },
    /// A line is longer than any row can be.
    #[error(
        "line {line} is longer than {} bytes: this is no bill",
        super::limits::LINE_BYTES_MAX
    )]
    TooLongLine {
        /// Which line.
        line: u64,
    },
    /// A header lacks a column without which the bill means nothing, or its sums cannot be proved.
    #[error("the header in line {line} has no column {name}: is this a bill of another kind?")]
    MissingColumn {
        /// The header's line.
        line: u64,
        /// The column that was expected.
        name: &'static str,
    },
    /// A header has two columns of one meaning, so which one counts is not known.
    #[error("line {line}, {column}: an earlier column means the same")]
    DuplicateColumn {
        /// The header's line.
        line: u64,
        /// The second of the two.
        column: Column,
    },
    /// Neither a row nor the header of the summary.
    #[error("line {line} is neither a row nor the header of the summary, it starts \"{found}\"")]
    UnexpectedLine {
        /// Which line.
        line: u64,
        /// How it starts.
        found: String,
    },
    /// Something follows the summary row.
    #[error("line {line} follows the summary row: these may be two files in one")]
    AfterSummary {
        /// Which line.
        line: u64,
    },
    /// A row has more or fewer fields than the header has columns.
    #[error("line {line} has {found} fields, its header has {expected} columns")]
    RowHasOtherFieldCount {
        /// Which line.
        line: u64,
        /// Fields of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
    },
    /// A value is no amount in yuan.
    #[error("line {line}, {column}: \"{found}\" is not an amount in yuan such as 12.00")]
    NotMoney {
        /// Which line.
        line: u64,
        /// Which column.
        column: Column,
        /// The value, cut to a sane length.
        found: String,
    },
    /// A value is no count.
    #[error("line {line}, {column}: \"{found}\" is not a count such as 45.0")]
    NotACount {
        /// Which line.
        line: u64,
        /// Which column.
        column: Column,
        /// The value, cut to a sane length.
        found: String,
    },
    /// A value is no time.
    #[error("line {line}, {column}: \"{found}\" is not a time such as 2026-08-01 10:00:05")]
    NotATime {
        /// Which line.
        line: u64,
        /// Which column.
        column: Column,
        /// The value, cut to a sane length.
        found: String,
    },
    /// A word that decides what the row means is none of those known.
    #[error(
        "line {line}, {column}: \"{found}\" is none of {known}: this version cannot tell what the row means"
    )]
    UnknownWord {
        /// Which line.
        line: u64,
        /// Which column.
        column: Column,
        /// The value, cut to a sane length.
        found: String,
        /// The known values.
        known: &'static str,
    },
    /// The column's sum does not fit 64 bits.
    #[error("line {line}, {column}: the sum up to here is larger than any money there is")]
    SumTooLarge {
        /// Which line.
        line: u64,
        /// Which column.
        column: Column,
    },
    /// The summary row says something else than the rows add up to.
    #[error(
        "line {line}, {column}: the summary says {in_summary}, the rows say {of_rows}: the bill is not whole, fetch it again"
    )]
    SummaryDiffers {
        /// The summary row's line.
        line: u64,
        /// Which column of the summary.
        column: Column,
        /// What was added up: the English name, such as `settlement` or `rows`.
        what: &'static str,
        /// The sum of the rows: yuan, or a count.
        of_rows: String,
        /// What the summary says, as written.
        in_summary: String,
    },
}

names!(BillError {
    Cut = "bill_cut",
    NotText = "bill_not_text",
    TooLongLine = "bill_too_long_line",
    MissingColumn = "bill_missing_column",
    DuplicateColumn = "bill_duplicate_column",
    UnexpectedLine = "bill_unexpected_line",
    AfterSummary = "bill_after_summary",
    RowHasOtherFieldCount = "bill_row_has_other_field_count",
    NotMoney = "bill_not_money",
    NotACount = "bill_not_a_count",
    NotATime = "bill_not_a_time",
    UnknownWord = "bill_unknown_word",
    SumTooLarge = "bill_sum_too_large",
    SummaryDiffers = "bill_summary_differs",
});

/// The start of a value, for a message.
pub(super) fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARS).collect()
}
