//! A day to reconcile: a trade bill as WeChat Pay writes it, the books of the same day, and what
//! differs between the two.
//!
//! Each line is drawn from the seed and its own position, so both files are written by a stream, in
//! the order that each would have: the bill by time, the books by shard of the index.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use testbed::MCHID;

use crate::failure::{ErrorContext, MeasureResult};
use crate::progress::progress;

/// How many differences a day has, whatever its size.
pub(crate) const DIFFERENCES: u64 = 1000;

/// Part of the files' names. Raise it with each change of what the files contain.
const EDITION: &str = "v1";
const SEED: u64 = 20_260_801;
const SHARDS: u64 = 16;
/// One line in this many is a refund.
const REFUNDS_ONE_IN: u64 = 32;

const HEADER: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const BOOKS_HEADER: &str =
    "shard,kind,id,order_no,amount_fen,appid,product,transaction_id,refund_id,state";

const APPIDS: [&str; 4] = [
    "wx8888888888888888",
    "wx8888888888888888",
    "wx2421b1c4370ec43b",
    "wxd678efh567hg6787",
];
const TYPES: [(&str, &str); 8] = [
    ("JSAPI", "jsapi"),
    ("JSAPI", "mini_program"),
    ("JSAPI", "mini_program"),
    ("JSAPI", "jsapi"),
    ("NATIVE", "native"),
    ("NATIVE", "native"),
    ("APP", "app"),
    ("MWEB", "h5"),
];
const BANKS: [&str; 6] = [
    "OTHERS",
    "OTHERS",
    "CMB_DEBIT",
    "ICBC_DEBIT",
    "CCB_CREDIT",
    "BOC_DEBIT",
];
const GOODS: [&str; 5] = [
    "门店消费-拿铁咖啡大杯",
    "会员充值",
    "外卖订单\\ 午市套餐",
    "Monthly plan",
    "生鲜配送-水果礼盒",
];

/// The files of a day.
#[derive(Clone, Debug)]
pub(crate) struct DayFiles {
    /// Rows of the bill; the books have about as many lines.
    pub(crate) rows: u64,
    /// The bill as it is downloaded: gzip, at the default level.
    pub(crate) bill: PathBuf,
    /// The books as the index of the day gives them, as CSV.
    pub(crate) books: PathBuf,
    /// What differs: a line for each, sorted.
    pub(crate) differences: PathBuf,
}

/// What is wrong with a line, and what both sides then contain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum InjectedFault {
    AbsentThere,
    AbsentHere,
    Amount,
    Twice,
    RefundAbsentThere,
    RefundAbsentHere,
    RefundAmount,
    RefundState,
}

const FAULTS: [InjectedFault; 8] = [
    InjectedFault::AbsentThere,
    InjectedFault::AbsentHere,
    InjectedFault::Amount,
    InjectedFault::Twice,
    InjectedFault::RefundAbsentThere,
    InjectedFault::RefundAbsentHere,
    InjectedFault::RefundAmount,
    InjectedFault::RefundState,
];

/// A trade, as both sides have it.
struct MeasuredTrade {
    second: u64,
    refund: bool,
    fault: Option<InjectedFault>,
    appid: &'static str,
    trade_type: &'static str,
    product: &'static str,
    bank: &'static str,
    goods: &'static str,
    transaction_id: String,
    order_no: String,
    openid: String,
    refund_id: String,
    out_refund_no: String,
    fen: i64,
    coupon_fen: i64,
    succeeded: bool,
    shop: u64,
}

/// The sums of the bill, for its summary row.
#[derive(Default)]
struct BillSums {
    rows: u64,
    settlement_fen: i64,
    refund_fen: i64,
    fee: i64,
    total_fen: i64,
    requested_fen: i64,
}

impl DayFiles {
    /// The day with that many lines. It is generated unless its files exist.
    pub(crate) fn of(rows: u64, directory: &Path) -> MeasureResult<Self> {
        let file = |name: &str| directory.join(format!("{rows}-{EDITION}-{name}"));
        let day = Self {
            rows,
            bill: file("bill.csv.gz"),
            books: file("books.csv"),
            differences: file("differences.txt"),
        };
        fs::create_dir_all(directory).during(format!("making {}", directory.display()))?;
        // Written last, as the sign that the other files are complete.
        if !day.differences.exists() {
            progress(format!("writing a day of {rows} rows, once"));
            day.write()?;
        }
        Ok(day)
    }

    fn write(&self) -> MeasureResult<()> {
        let mut differences = Vec::new();
        let to = |path: &Path| {
            File::create(path)
                .map(BufWriter::new)
                .during(format!("making {}", path.display()))
        };

        let mut bill = GzEncoder::new(to(&self.bill)?, Compression::default());
        let mut sums = BillSums::default();
        let mut text = format!("\u{feff}{HEADER}\r\n");
        for position in 0..self.rows {
            let line = MeasuredTrade::at(position, self.rows);
            if !matches!(
                line.fault,
                Some(InjectedFault::AbsentThere | InjectedFault::RefundAbsentThere)
            ) {
                line.row(&mut text, &mut sums);
            }
            if line.fault == Some(InjectedFault::Twice) {
                line.row(&mut text, &mut sums);
            }
            if let Some(difference) = line.difference() {
                differences.push(difference);
            }
            if text.len() > 64 * 1024 {
                bill.write_all(text.as_bytes()).during("writing the bill")?;
                text.clear();
            }
        }
        sums.row(&mut text);
        bill.write_all(text.as_bytes()).during("writing the bill")?;
        let mut bill = bill.finish().during("writing the bill")?;
        bill.flush().during("writing the bill")?;

        let mut books = to(&self.books)?;
        writeln!(books, "{BOOKS_HEADER}").during("writing the books")?;
        for shard in 0..SHARDS {
            for position in (shard..self.rows).step_by(16) {
                let line = MeasuredTrade::at(position, self.rows);
                if !matches!(
                    line.fault,
                    Some(InjectedFault::AbsentHere | InjectedFault::RefundAbsentHere)
                ) {
                    writeln!(books, "{}", line.booked(shard)).during("writing the books")?;
                }
            }
        }
        books.flush().during("writing the books")?;

        differences.sort_unstable();
        fs::write(&self.differences, differences.concat())
            .during(format!("writing {}", self.differences.display()))
    }
}

impl MeasuredTrade {
    fn at(position: u64, rows: u64) -> Self {
        let apart = rows / DIFFERENCES;
        let number = position / apart.max(1);
        let is_fault = number < DIFFERENCES && position % apart.max(1) == apart / 2;
        let fault = pick(&FAULTS, number).filter(|_| is_fault);
        let mut random =
            fastrand::Rng::with_seed(SEED ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let refund = match fault {
            Some(fault) => fault.is_of_refund(),
            None => random.u64(0..REFUNDS_ONE_IN) == 0,
        };
        let (trade_type, product) = pick(&TYPES, random.u64(..)).unwrap_or_default();
        let mut digits = |count: u32| {
            let below = 10_u64.pow(count);
            format!(
                "{:0width$}",
                random.u64(0..below),
                width = usize::try_from(count).unwrap_or_default()
            )
        };
        // The payment was made on an earlier day.
        let day = if refund { "20260730" } else { "20260801" };
        let transaction_id = format!("42000{}{day}{position:010}", digits(5));
        let order_no = format!("{day}{}{position:012}", digits(8));
        let refund_id = format!("5030{}20260801{position:012}", digits(4));
        let openid = (0..26).map(|_| random.alphanumeric()).collect::<String>();
        let fen = 1 + random.i64(0..100) * random.i64(0..400);
        let coupon_fen = if !refund && fen > 2000 && random.u64(0..20) == 0 {
            500
        } else {
            0
        };
        Self {
            second: position.saturating_mul(86_400) / rows,
            refund,
            fault,
            appid: pick(&APPIDS, random.u64(..)).unwrap_or_default(),
            trade_type,
            product,
            bank: pick(&BANKS, random.u64(..)).unwrap_or_default(),
            goods: pick(&GOODS, random.u64(..)).unwrap_or_default(),
            out_refund_no: format!("r-{}", refund_name(&mut random)),
            transaction_id,
            order_no,
            openid: format!("oU{openid}"),
            refund_id,
            fen,
            coupon_fen,
            succeeded: random.u64(0..4) > 0,
            shop: random.u64(0..400),
        }
    }

    fn id(&self) -> &str {
        if self.refund {
            &self.out_refund_no
        } else {
            &self.transaction_id
        }
    }

    /// As the benchmark's programs list it: where it was found, and its number.
    fn difference(&self) -> Option<String> {
        let side = match self.fault? {
            InjectedFault::AbsentThere | InjectedFault::RefundAbsentThere => "here",
            InjectedFault::AbsentHere
            | InjectedFault::Amount
            | InjectedFault::Twice
            | InjectedFault::RefundAbsentHere
            | InjectedFault::RefundAmount
            | InjectedFault::RefundState => "there",
        };
        Some(format!("{side} {}\n", self.id()))
    }

    fn row(&self, text: &mut String, sums: &mut BillSums) {
        let off_by = match self.fault {
            Some(InjectedFault::Amount | InjectedFault::RefundAmount) => 100,
            Some(
                InjectedFault::AbsentThere
                | InjectedFault::AbsentHere
                | InjectedFault::Twice
                | InjectedFault::RefundAbsentThere
                | InjectedFault::RefundAbsentHere
                | InjectedFault::RefundState,
            )
            | None => 0,
        };
        let fen = self.fen + off_by;
        let settled = fen - self.coupon_fen;
        // 0.6 %, to the fen.
        let fee_fen = (settled * 6 + 500) / 1000;
        sums.rows += 1;
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        let Self {
            appid,
            transaction_id,
            order_no,
            openid,
            trade_type,
            bank,
            goods,
            shop,
            ..
        } = self;
        let device = if shop % 4 == 0 { "013467007045764" } else { "" };
        text.push_str(&format!(
            "`2026-08-01 {hour:02}:{minute:02}:{second:02},`{appid},`{MCHID},`0,`{device},`{transaction_id},`{order_no},`{openid},`{trade_type}"
        ));
        let what = format!("`{goods},`shop={shop}&channel=wx");
        text.push_str(&if self.refund {
            sums.refund_fen += settled;
            sums.requested_fen += fen;
            sums.fee -= fee_fen * 1000;
            let state = match (self.fault, self.succeeded) {
                (Some(InjectedFault::RefundState), _) => "FAIL",
                (_, true) => "SUCCESS",
                (_, false) => "PROCESSING",
            };
            let (refund_id, out_refund_no) = (&self.refund_id, &self.out_refund_no);
            format!(
                ",`REFUND,`{bank},`CNY,`0.00,`0.00,`{refund_id},`{out_refund_no},`{},`0.00,`ORIGINAL,`{state},{what},`-{}000,`0.60%,`0.00,`{},`\r\n",
                yuan(settled),
                yuan(fee_fen),
                yuan(fen),
            )
        } else {
            sums.settlement_fen += settled;
            sums.total_fen += fen;
            sums.fee += fee_fen * 1000;
            format!(
                ",`SUCCESS,`{bank},`CNY,`{},`{},`0,`0,`0.00,`0.00,`,`,{what},`{}000,`0.60%,`{},`0.00,`\r\n",
                yuan(settled),
                yuan(self.coupon_fen),
                yuan(fee_fen),
                yuan(fen),
            )
        });
    }

    fn booked(&self, shard: u64) -> String {
        let Self {
            order_no,
            appid,
            product,
            transaction_id,
            refund_id,
            fen,
            ..
        } = self;
        let id = self.id();
        if self.refund {
            let state = if self.succeeded {
                "succeeded"
            } else {
                "processing"
            };
            format!(
                "{shard},refund,{id},{order_no},{fen},,{product},{transaction_id},{refund_id},{state}"
            )
        } else {
            format!("{shard},payment,{id},{order_no},{fen},{appid},{product},,,")
        }
    }
}

impl InjectedFault {
    const fn is_of_refund(self) -> bool {
        match self {
            Self::AbsentThere | Self::AbsentHere | Self::Amount | Self::Twice => false,
            Self::RefundAbsentThere
            | Self::RefundAbsentHere
            | Self::RefundAmount
            | Self::RefundState => true,
        }
    }
}

impl BillSums {
    fn row(&self, text: &mut String) {
        text.push_str(&format!(
            "{SUMMARY}\r\n`{}.0,`{},`{},`0.00,`{},`{},`{}\r\n",
            self.rows,
            yuan(self.settlement_fen),
            yuan(self.refund_fen),
            yuan(self.fee / 1000),
            yuan(self.total_fen),
            yuan(self.requested_fen),
        ));
    }
}

fn refund_name(random: &mut fastrand::Rng) -> String {
    (0..38).map(|_| random.lowercase()).collect()
}

fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

fn pick<T: Copy, const N: usize>(from: &[T; N], number: u64) -> Option<T> {
    let number = usize::try_from(number).unwrap_or_default();
    from.get(number.checked_rem(N)?).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_day_has_a_thousand_differences_whatever_its_size() {
        for rows in [1000, 5000, 100_000] {
            let differences: HashSet<String> = (0..rows)
                .filter_map(|position| MeasuredTrade::at(position, rows).difference())
                .collect();
            assert_eq!(differences.len(), 1000, "{rows}");
        }
    }

    #[test]
    fn a_row_has_27_columns_and_a_line_of_the_books_ten() {
        let mut sums = BillSums::default();
        for position in 0..100 {
            let line = MeasuredTrade::at(position, 5000);
            let mut text = String::new();
            line.row(&mut text, &mut sums);
            assert_eq!(text.split(",`").count(), 27, "{text}");
            assert_eq!(line.booked(3).split(',').count(), 10);
        }
        assert_eq!(HEADER.split(',').count(), 27);
        assert_eq!(BOOKS_HEADER.split(',').count(), 10);
    }
}
