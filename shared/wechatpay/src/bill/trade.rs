//! Trade bills (交易账单, manual page 4013071246).

use super::columns::Columns;
use super::error::BillError;
use super::money::Fee;
use super::reader::{Format, Reader, SummaryRow};
use super::record::{Header, Record};
use super::row::TradeRow;

/// The sums of a trade bill, which its summary row has proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TradeSummary {
    /// Detail rows.
    pub rows: u64,
    /// Sum of [`TradeRow::settlement_fen`].
    pub settlement_fen: i64,
    /// Sum of [`TradeRow::refund_fen`].
    pub refund_fen: i64,
    /// Sum of [`TradeRow::refund_coupon_fen`].
    pub refund_coupon_fen: i64,
    /// Sum of [`TradeRow::total_fen`].
    pub total_fen: i64,
    /// Sum of [`TradeRow::requested_refund_fen`].
    pub requested_refund_fen: i64,
    /// Sum of [`TradeRow::fee`], of the rows: the summary may have it rounded.
    pub fee: Fee,
}

/// Reads trade bills of every kind, by the names of the columns: ALL, SUCCESS, REFUND, and the old
/// format.
#[derive(Debug)]
pub struct TradeBillReader(Reader<TradeFormat>);

impl TradeBillReader {
    /// Begins a bill.
    #[must_use]
    pub fn new() -> Self {
        Self(Reader::new(TradeFormat::default()))
    }

    /// Takes the next bytes, in chunks of any size, and calls `each` for each whole detail row.
    ///
    /// Rows are proved by [`finish`](Self::finish) only: until then keep what comes of them apart.
    ///
    /// # Errors
    /// [`BillError`] for everything that is no part of a bill. Every later call gives the same
    /// error.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&TradeRow<'_>),
    ) -> Result<(), BillError> {
        self.feed_dyn(bytes, &mut |rows| rows.iter().for_each(&mut *each))
    }

    /// As [`feed`](Self::feed), with some rows at a time and never none. A caller that looks each
    /// row up can start all look-ups of a batch together, which saves most of the waiting.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn feed_batches(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&[TradeRow<'_>]),
    ) -> Result<(), BillError> {
        self.feed_dyn(bytes, each)
    }

    /// Ends the bill: proves the summary row against the sums and the count of the rows.
    ///
    /// # Errors
    /// [`BillError`] when the bill is cut or its summary says something else.
    pub fn finish(self, each: &mut impl FnMut(&TradeRow<'_>)) -> Result<TradeSummary, BillError> {
        self.finish_dyn(&mut |rows| rows.iter().for_each(&mut *each))
    }

    // Generic code is compiled where it is called, with the caller's optimisation; these two are
    // compiled here.
    fn feed_dyn(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[TradeRow<'_>]),
    ) -> Result<(), BillError> {
        self.0.feed(bytes, each)
    }

    fn finish_dyn(self, each: &mut dyn FnMut(&[TradeRow<'_>])) -> Result<TradeSummary, BillError> {
        self.0.finish(each)
    }
}

impl Default for TradeBillReader {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Default)]
struct TradeFormat {
    columns: Columns,
}

impl Format for TradeFormat {
    type Row<'a> = TradeRow<'a>;
    type RowSums = TradeSummary;
    type Summary = TradeSummary;
    const SUMMARY_STARTS: &'static str = "总交易单数";

    fn header(&mut self, header: &Header) -> Result<(), BillError> {
        self.columns = Columns::find(header)?;
        Ok(())
    }

    fn row<'a>(
        &'a self,
        sums: &mut TradeSummary,
        record: Record<'a>,
    ) -> Result<TradeRow<'a>, BillError> {
        let columns = &self.columns;
        let row = TradeRow::read(record, columns)?;
        for (sum, value, at) in [
            (
                &mut sums.settlement_fen,
                row.settlement_fen,
                columns.settlement,
            ),
            (&mut sums.refund_fen, row.refund_fen, columns.refund),
            (
                &mut sums.refund_coupon_fen,
                row.refund_coupon_fen,
                columns.refund_coupon,
            ),
            (&mut sums.total_fen, row.total_fen, columns.total),
            (
                &mut sums.requested_refund_fen,
                row.requested_refund_fen,
                columns.requested_refund,
            ),
        ] {
            *sum = sum
                .checked_add(value)
                .ok_or_else(|| record.sum_too_large(at))?;
        }
        sums.fee = sums
            .fee
            .checked_add(row.fee)
            .ok_or_else(|| record.sum_too_large(columns.fee))?;
        Ok(row)
    }

    fn summary(
        &self,
        sums: &TradeSummary,
        summary: &SummaryRow<'_>,
    ) -> Result<TradeSummary, BillError> {
        let (columns, sums) = (&self.columns, *sums);
        summary.prove_count("rows", &["总交易单数"], summary.rows)?;
        for (what, names, of_column, of_rows) in [
            (
                "settlement",
                &["应结订单总金额", "总交易额"][..],
                columns.settlement,
                sums.settlement_fen,
            ),
            (
                "refund",
                &["退款总金额", "总退款金额"],
                columns.refund,
                sums.refund_fen,
            ),
            (
                "refund_coupon",
                &[
                    "充值券退款总金额",
                    "总企业红包退款金额",
                    "总代金券或立减优惠退款金额",
                ],
                columns.refund_coupon,
                sums.refund_coupon_fen,
            ),
            (
                "total",
                &["订单总金额"],
                columns.own_total(),
                sums.total_fen,
            ),
            (
                "requested_refund",
                &["申请退款总金额"],
                columns.own_requested_refund(),
                sums.requested_refund_fen,
            ),
        ] {
            summary.prove_fen(what, names, of_column, of_rows)?;
        }
        summary.prove_fee(&["手续费总金额"], columns.fee, sums.fee)?;
        Ok(TradeSummary {
            rows: summary.rows,
            ..sums
        })
    }
}
