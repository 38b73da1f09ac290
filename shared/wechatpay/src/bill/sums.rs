//! Holding a summary row against the sums of the rows.

use super::error::{BillError, shown};
use super::money::{self, Fee, yuan_of_fen};
use super::reader::SummaryRow;
use super::record::ABSENT;

impl SummaryRow<'_> {
    /// Proves a count of rows.
    pub(super) fn prove_count(
        &self,
        what: &'static str,
        names: &[&'static str],
        of_rows: u64,
    ) -> Result<(), BillError> {
        let at = self.record.header.require(names)?;
        let text = self.record.field(at);
        self.must_be_whole(at, text.ends_with(".0"))?;
        let Some(in_summary) = money::count(text) else {
            return Err(BillError::NotACount {
                line: self.record.line,
                column: self.record.header.column(at),
                found: shown(text),
            });
        };
        if in_summary == of_rows {
            return Ok(());
        }
        Err(self.differs(at, what, of_rows.to_string()))
    }

    /// Proves a sum of yuan. A column that the rows have must have a sum; a sum whose column the
    /// rows have not must be 0.
    pub(super) fn prove_fen(
        &self,
        what: &'static str,
        names: &[&'static str],
        of_column: usize,
        of_rows: i64,
    ) -> Result<(), BillError> {
        let at = self.find(names, of_column)?;
        if at == ABSENT {
            return Ok(());
        }
        self.must_be_whole(at, money::decimals(self.record.field(at)) == 2)?;
        if self.record.fen(at)? == of_rows {
            return Ok(());
        }
        Err(self.differs(at, what, yuan_of_fen(of_rows)))
    }

    /// Proves the sum of fees. Rows write five decimals and most summaries two, and how those were
    /// rounded is not documented, so sum and summary may be less than one unit of the summary's
    /// last decimal apart, and less than a fen if that has fewer than two. So fees in whole fen are
    /// proved exactly, and so are summaries with five decimals.
    pub(super) fn prove_fee(
        &self,
        names: &[&'static str],
        of_column: usize,
        of_rows: Fee,
    ) -> Result<(), BillError> {
        let at = self.find(names, of_column)?;
        if at == ABSENT {
            return Ok(());
        }
        let decimals = money::decimals(self.record.field(at));
        self.must_be_whole(at, decimals == 5)?;
        let in_summary = self.record.fee(at)?;
        let apart = of_rows.units().abs_diff(in_summary.units());
        let unit = match decimals {
            0..=2 => 1000,
            3 => 100,
            4 => 10,
            _ => 1,
        };
        if apart < unit {
            return Ok(());
        }
        Err(self.differs(at, "fee", of_rows.to_string()))
    }

    fn find(&self, names: &[&'static str], of_column: usize) -> Result<usize, BillError> {
        if of_column == ABSENT {
            self.record.header.find(names)
        } else {
            self.record.header.require(names)
        }
    }

    /// Without a line feed after it, the last value may have lost digits. It has not if it has all
    /// decimals there can be.
    fn must_be_whole(&self, at: usize, whole: bool) -> Result<(), BillError> {
        if self.unterminated && at.saturating_add(1) == self.record.header.names.len() && !whole {
            return Err(BillError::Cut {
                line: self.record.line,
            });
        }
        Ok(())
    }

    fn differs(&self, at: usize, what: &'static str, of_rows: String) -> BillError {
        BillError::SummaryDiffers {
            line: self.record.line,
            column: self.record.header.column(at),
            what,
            of_rows,
            in_summary: shown(self.record.field(at)),
        }
    }
}
