//! A header, and a row cut at its separators.

use super::error::{BillError, Column, shown};
use super::marks::index;
use super::money::{Fee, decimal_within};

/// The index of a column that the header has not.
pub(super) const ABSENT: usize = usize::MAX;

/// The names of the columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    pub(super) line: u64,
    pub(super) names: Vec<String>,
}

impl Header {
    /// Headers have no backticks, and no name has a comma.
    pub(super) fn read(line: u64, text: &str) -> Self {
        Self {
            line,
            names: text.split(',').map(str::to_owned).collect(),
        }
    }

    /// The position of the column with one of `names`, or [`ABSENT`].
    pub(super) fn find(&self, names: &[&'static str]) -> Result<usize, BillError> {
        let mut found = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| names.contains(&plain(name)))
            .map(|(at, _)| at);
        let first = found.next().unwrap_or(ABSENT);
        match found.next() {
            None => Ok(first),
            Some(second) => Err(BillError::DuplicateColumn {
                line: self.line,
                column: self.column(second),
            }),
        }
    }

    /// The position of the column with one of `names`.
    pub(super) fn require(&self, names: &[&'static str]) -> Result<usize, BillError> {
        match (self.find(names)?, names) {
            (ABSENT, [name, ..]) => Err(BillError::MissingColumn {
                line: self.line,
                name,
            }),
            (at, _) => Ok(at),
        }
    }

    /// The column for a message.
    pub(super) fn column(&self, at: usize) -> Column {
        Column {
            number: at.saturating_add(1),
            name: self.names.get(at).cloned().unwrap_or_default(),
        }
    }
}

/// Fund bills write their unit behind some names, in brackets of half or full width.
fn plain(name: &str) -> &str {
    name.strip_suffix("(元)")
        .or_else(|| name.strip_suffix("（元）"))
        .unwrap_or(name)
}

/// A row that has a field for each column. Nothing is copied; a field that is not read costs its
/// position only.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) line: u64,
    pub(super) header: &'a Header,
    /// The lines that this row is among.
    pub(super) text: &'a str,
    /// The positions in `text` of the backticks before the fields.
    pub(super) marks: &'a [u32],
    /// The position in `text` of the end of the last field.
    pub(super) end: usize,
}

impl<'a> Record<'a> {
    /// The text behind the backtick and before the comma; empty for [`ABSENT`].
    #[inline]
    pub(super) fn field(&self, at: usize) -> &'a str {
        let (from, to) = self.place(at);
        self.text.get(from..to).unwrap_or_default()
    }

    /// The range of the field in `text`.
    #[inline]
    fn place(&self, at: usize) -> (usize, usize) {
        let Some(mark) = self.marks.get(at) else {
            return (0, 0);
        };
        let to = match self.marks.get(at + 1) {
            Some(next) => index(*next).wrapping_sub(1),
            None => self.end,
        };
        (index(*mark) + 1, to)
    }

    /// Yuan, in fen; 0 for a column that the bill has not.
    #[inline]
    pub(super) fn fen(&self, at: usize) -> Result<i64, BillError> {
        if at == ABSENT {
            return Ok(0);
        }
        let (from, to) = self.place(at);
        decimal_within::<2>(self.text.as_bytes(), from, to).ok_or_else(|| self.not_money(at))
    }

    /// A fee; 0 for a column that the bill has not.
    #[inline]
    pub(super) fn fee(&self, at: usize) -> Result<Fee, BillError> {
        if at == ABSENT {
            return Ok(Fee::default());
        }
        let (from, to) = self.place(at);
        Fee::within(self.text.as_bytes(), from, to).ok_or_else(|| self.not_money(at))
    }

    /// Headers and fields of some columns.
    pub(super) fn named(
        self,
        columns: &'a [usize],
    ) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        columns.iter().filter_map(move |at| {
            let name = self.header.names.get(*at)?;
            Some((name.as_str(), self.field(*at)))
        })
    }

    #[cold]
    pub(super) fn not_money(&self, at: usize) -> BillError {
        BillError::NotMoney {
            line: self.line,
            column: self.header.column(at),
            found: shown(self.field(at)),
        }
    }

    #[cold]
    pub(super) fn not_a_time(&self, at: usize) -> BillError {
        BillError::NotATime {
            line: self.line,
            column: self.header.column(at),
            found: shown(self.field(at)),
        }
    }

    #[cold]
    pub(super) fn unknown_word(&self, at: usize, known: &'static str) -> BillError {
        BillError::UnknownWord {
            line: self.line,
            column: self.header.column(at),
            found: shown(self.field(at)),
            known,
        }
    }

    #[cold]
    pub(super) fn sum_too_large(&self, at: usize) -> BillError {
        BillError::SumTooLarge {
            line: self.line,
            column: self.header.column(at),
        }
    }
}
