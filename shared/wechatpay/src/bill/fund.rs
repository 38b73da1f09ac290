//! Fund bills (资金账单, manual page 4013071249).

use std::fmt;

use super::error::BillError;
use super::moment;
use super::reader::{Format, Reader, SummaryRow};
use super::record::{Header, Record};
use crate::time::UnixSeconds;

/// Whether money came into the account or left it (收支类型).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// 收入
    In,
    /// 支出
    Out,
}

/// One row of a fund bill: one change of the account's balance.
#[derive(Clone, Copy)]
pub struct FundRow<'a> {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Whether money came in or left (收支类型).
    pub direction: Direction,
    /// How much, fen, never negative (收支金额).
    pub amount_fen: i64,
    /// What the account held afterwards, fen; `None` if the bill leaves it empty (账户结余).
    pub balance_fen: Option<i64>,
    record: Record<'a>,
    columns: &'a FundColumns,
}

impl<'a> FundRow<'a> {
    /// When the balance changed: `2026-08-02 00:05:11`, in Beijing (记账时间).
    #[must_use]
    pub fn at(&self) -> &'a str {
        self.record.field(self.columns.at)
    }

    /// [`at`](Self::at) as a point in time.
    ///
    /// # Errors
    /// [`BillError::NotATime`] when it is none.
    pub fn at_unix(&self) -> Result<UnixSeconds, BillError> {
        moment::beijing_time(self.at()).ok_or_else(|| self.record.not_a_time(self.columns.at))
    }

    /// What moved the money: `transaction_id`, `refund_id`, `transfer_bill_no` ...
    /// (微信支付业务单号).
    #[must_use]
    pub fn business_id(&self) -> &'a str {
        self.record.field(self.columns.business_id)
    }

    /// The number of this change (资金流水单号).
    #[must_use]
    pub fn flow_id(&self) -> &'a str {
        self.record.field(self.columns.flow_id)
    }

    /// 交易, 退款, 分账 and others to come (业务名称).
    #[must_use]
    pub fn business_name(&self) -> &'a str {
        self.record.field(self.columns.business_name)
    }

    /// 交易, 扣除交易手续费, 退款, 退款关闭, 退还交易手续费 and others to come (业务类型).
    #[must_use]
    pub fn business_type(&self) -> &'a str {
        self.record.field(self.columns.business_type)
    }

    /// `system`, `<mchid>API`, `user@mchid`, or empty (资金变更提交申请人).
    #[must_use]
    pub fn submitter(&self) -> &'a str {
        self.record.field(self.columns.submitter)
    }

    /// As written, with line feeds as `\n` (备注).
    #[must_use]
    pub fn note(&self) -> &'a str {
        self.record.field(self.columns.note)
    }

    /// Mostly the merchant's number (业务凭证号).
    #[must_use]
    pub fn voucher(&self) -> &'a str {
        self.record.field(self.columns.voucher)
    }

    /// The columns that this version does not know: header and value.
    pub fn unknown(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.record.named(&self.columns.unknown)
    }
}

/// Shows what a row is found by; notes may say anything.
impl fmt::Debug for FundRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FundRow")
            .field("line", &self.line)
            .field("business_id", &self.business_id())
            .field("flow_id", &self.flow_id())
            .field("business_type", &self.business_type())
            .field("direction", &self.direction)
            .field("amount_fen", &self.amount_fen)
            .finish_non_exhaustive()
    }
}

/// The sums of a fund bill, which its summary row has proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FundSummary {
    /// Detail rows.
    pub rows: u64,
    /// Rows of [`Direction::In`].
    pub in_count: u64,
    /// Their sum, fen.
    pub in_fen: i64,
    /// Rows of [`Direction::Out`].
    pub out_count: u64,
    /// Their sum, fen.
    pub out_fen: i64,
}

/// Reads fund bills, by the names of the columns.
#[derive(Debug)]
pub struct FundBillReader(Reader<FundFormat>);

impl FundBillReader {
    /// Begins a bill.
    #[must_use]
    pub fn new() -> Self {
        Self(Reader::new(FundFormat::default()))
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
        each: &mut impl FnMut(&FundRow<'_>),
    ) -> Result<(), BillError> {
        self.feed_dyn(bytes, &mut |rows| rows.iter().for_each(&mut *each))
    }

    /// Ends the bill: proves the summary row against the sums and the counts of the rows.
    ///
    /// # Errors
    /// [`BillError`] when the bill is cut or its summary says something else.
    pub fn finish(self, each: &mut impl FnMut(&FundRow<'_>)) -> Result<FundSummary, BillError> {
        self.finish_dyn(&mut |rows| rows.iter().for_each(&mut *each))
    }

    // As in `TradeBillReader`: compiled here, not at the caller's.
    fn feed_dyn(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[FundRow<'_>]),
    ) -> Result<(), BillError> {
        self.0.feed(bytes, each)
    }

    fn finish_dyn(self, each: &mut dyn FnMut(&[FundRow<'_>])) -> Result<FundSummary, BillError> {
        self.0.finish(each)
    }
}

impl Default for FundBillReader {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug, Default)]
struct FundColumns {
    at: usize,
    business_id: usize,
    flow_id: usize,
    business_name: usize,
    business_type: usize,
    direction: usize,
    amount: usize,
    balance: usize,
    submitter: usize,
    note: usize,
    voucher: usize,
    unknown: Vec<usize>,
}

impl FundColumns {
    fn find(header: &Header) -> Result<Self, BillError> {
        let mut columns = Self {
            at: header.require(&["记账时间"])?,
            business_id: header.require(&["微信支付业务单号"])?,
            flow_id: header.require(&["资金流水单号"])?,
            business_name: header.find(&["业务名称"])?,
            business_type: header.require(&["业务类型"])?,
            direction: header.require(&["收支类型"])?,
            amount: header.require(&["收支金额"])?,
            balance: header.find(&["账户结余"])?,
            submitter: header.find(&["资金变更提交申请人"])?,
            note: header.find(&["备注"])?,
            voucher: header.find(&["业务凭证号"])?,
            unknown: Vec::new(),
        };
        let known = [
            columns.at,
            columns.business_id,
            columns.flow_id,
            columns.business_name,
            columns.business_type,
            columns.direction,
            columns.amount,
            columns.balance,
            columns.submitter,
            columns.note,
            columns.voucher,
        ];
        columns.unknown = (0..header.names.len())
            .filter(|at| !known.contains(at))
            .collect();
        Ok(columns)
    }
}

#[derive(Debug, Default)]
struct FundFormat {
    columns: FundColumns,
}

impl Format for FundFormat {
    type Row<'a> = FundRow<'a>;
    type RowSums = FundSummary;
    type Summary = FundSummary;
    const SUMMARY_STARTS: &'static str = "资金流水总笔数";

    fn header(&mut self, header: &Header) -> Result<(), BillError> {
        self.columns = FundColumns::find(header)?;
        Ok(())
    }

    fn row<'a>(
        &'a self,
        sums: &mut FundSummary,
        record: Record<'a>,
    ) -> Result<FundRow<'a>, BillError> {
        let columns = &self.columns;
        let direction = match record.field(columns.direction) {
            "收入" => Direction::In,
            "支出" => Direction::Out,
            _ => return Err(record.unknown_word(columns.direction, "收入, 支出")),
        };
        let amount_fen = record.fen(columns.amount)?;
        if amount_fen < 0 {
            return Err(record.not_money(columns.amount));
        }
        let balance_fen = match record.field(columns.balance) {
            "" => None,
            _ => Some(record.fen(columns.balance)?),
        };
        let (count, sum) = match direction {
            Direction::In => (&mut sums.in_count, &mut sums.in_fen),
            Direction::Out => (&mut sums.out_count, &mut sums.out_fen),
        };
        *count += 1;
        *sum = sum
            .checked_add(amount_fen)
            .ok_or_else(|| record.sum_too_large(columns.amount))?;
        Ok(FundRow {
            line: record.line,
            direction,
            amount_fen,
            balance_fen,
            record,
            columns,
        })
    }

    fn summary(
        &self,
        sums: &FundSummary,
        summary: &SummaryRow<'_>,
    ) -> Result<FundSummary, BillError> {
        let (sums, amount) = (*sums, self.columns.amount);
        summary.prove_count("rows", &["资金流水总笔数"], summary.rows)?;
        summary.prove_count("in_count", &["收入笔数"], sums.in_count)?;
        summary.prove_fen("in", &["收入金额"], amount, sums.in_fen)?;
        summary.prove_count("out_count", &["支出笔数"], sums.out_count)?;
        summary.prove_fen("out", &["支出金额"], amount, sums.out_fen)?;
        Ok(FundSummary {
            rows: summary.rows,
            ..sums
        })
    }
}
