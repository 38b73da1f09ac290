//! The text of bills: four parts, a backtick before each value, a comma between them, CRLF, a BOM at the start.

use crate::{
    books::Books,
    clock::{self, DAY_MS},
    ledger,
    order::{Order, Payment, trade_type},
    refund::{Refund, RefundStatus},
};

const BOM: char = '\u{feff}';

/// Columns of the `ALL` bill. The other two kinds leave some out or put two in.
const ALL: [&str; 27] = [
    "交易时间",
    "公众账号ID",
    "商户号",
    "特约商户号",
    "设备号",
    "微信订单号",
    "商户订单号",
    "用户标识",
    "交易类型",
    "交易状态",
    "付款银行",
    "货币种类",
    "应结订单金额",
    "代金券金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "商品名称",
    "商户数据包",
    "手续费",
    "费率",
    "订单金额",
    "申请退款金额",
    "费率备注",
];
const OF_REFUNDS: [&str; 7] = [
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "申请退款金额",
];
const REFUND_TIMES: [&str; 2] = ["退款申请时间", "退款成功时间"];
const FUND: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号";
const FUND_SUMMARY: &str = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额";

/// `bill_type` of a trade bill.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum TradeBill {
    All,
    Success,
    Refund,
}

impl TradeBill {
    pub(crate) const KINDS: [Self; 3] = [Self::All, Self::Success, Self::Refund];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
        }
    }

    fn columns(self) -> Vec<&'static str> {
        let mut columns = ALL.to_vec();
        match self {
            Self::All => {}
            Self::Success => columns.retain(|column| !OF_REFUNDS.contains(column)),
            Self::Refund => {
                let after_coupons = columns.iter().position(|column| *column == "代金券金额");
                let at = after_coupons.map_or(columns.len(), |at| at.saturating_add(1));
                columns.splice(at..at, REFUND_TIMES);
            }
        }
        columns
    }

    fn summary(self) -> &'static [&'static str] {
        match self {
            Self::All | Self::Refund => &[
                "总交易单数",
                "应结订单总金额",
                "退款总金额",
                "充值券退款总金额",
                "手续费总金额",
                "订单总金额",
                "申请退款总金额",
            ],
            Self::Success => &["总交易单数", "应结订单总金额", "手续费总金额", "订单总金额"],
        }
    }
}

/// What a row is about.
enum Row<'a> {
    Payment(&'a Order, &'a Payment),
    Refund(&'a Order, &'a Payment, &'a Refund),
}

/// The trade bill of the Beijing day that begins at `start_ms`; `None` if it has no rows.
pub(crate) fn trade(books: &Books, mchid: &str, start_ms: i64, kind: TradeBill) -> Option<String> {
    let day = start_ms..start_ms.saturating_add(DAY_MS);
    let paid = books
        .orders
        .iter()
        .flat_map(|order| order.payments().map(move |payment| (order, payment)));
    let payments = paid
        .filter(|(_, payment)| kind != TradeBill::Refund && day.contains(&payment.paid_ms))
        .map(|(order, payment)| (payment.paid_ms, Row::Payment(order, payment)));
    let refunds = books
        .refunds
        .iter()
        .filter(|refund| kind != TradeBill::Success && day.contains(&refund.created_ms))
        .filter_map(|refund| {
            let (order, payment) = books.orders.with_transaction(&refund.transaction_id)?;
            Some((refund.created_ms, Row::Refund(order, payment, refund)))
        });
    let mut rows: Vec<(i64, Row<'_>)> = payments.chain(refunds).collect();
    if rows.is_empty() {
        return None;
    }
    rows.sort_by_key(|(at_ms, _)| *at_ms);

    let columns = kind.columns();
    let mut text = format!("{BOM}{}\r\n", columns.join(","));
    for (_, row) in &rows {
        let values: Vec<String> = columns
            .iter()
            .map(|column| row.value(column, mchid))
            .collect();
        text.push_str(&line(&values));
    }
    text.push_str(&format!("{}\r\n", kind.summary().join(",")));
    let sums: Vec<String> = kind.summary().iter().map(|name| sum(&rows, name)).collect();
    text.push_str(&line(&sums));
    Some(text)
}

/// The fund bill of the basic account; `None` if nothing moved.
pub(crate) fn fund(books: &Books, start_ms: i64) -> Option<String> {
    let day = start_ms..start_ms.saturating_add(DAY_MS);
    let movements = || {
        books
            .ledger
            .movements
            .iter()
            .filter(|movement| day.contains(&movement.at_ms))
    };
    movements().next()?;
    let mut text = format!("{BOM}{FUND}\r\n");
    for movement in movements() {
        let (name, kind) = movement.reason.names();
        text.push_str(&line(&[
            clock::bill_time(movement.at_ms),
            movement.business_id.clone(),
            movement.flow_id.clone(),
            name.to_owned(),
            kind.to_owned(),
            if movement.amount_fen > 0 {
                "收入"
            } else {
                "支出"
            }
            .to_owned(),
            yuan(movement.amount_fen.saturating_abs()),
            yuan(movement.balance_fen),
            "system".to_owned(),
            String::new(),
            movement.voucher.clone(),
        ]));
    }
    let total = |income: bool| -> (usize, i64) {
        let those = || movements().filter(|movement| (movement.amount_fen > 0) == income);
        (
            those().count(),
            those()
                .map(|movement| movement.amount_fen.saturating_abs())
                .sum(),
        )
    };
    let ((in_count, in_fen), (out_count, out_fen)) = (total(true), total(false));
    text.push_str(&format!("{FUND_SUMMARY}\r\n"));
    text.push_str(&line(&[
        count(in_count.saturating_add(out_count)),
        count(in_count),
        yuan(in_fen),
        count(out_count),
        yuan(out_fen),
    ]));
    Some(text)
}

impl Row<'_> {
    fn parts(&self) -> (&Order, &Payment, Option<&Refund>) {
        match self {
            Row::Payment(order, payment) => (order, payment, None),
            Row::Refund(order, payment, refund) => (order, payment, Some(refund)),
        }
    }

    fn value(&self, column: &str, mchid: &str) -> String {
        let (order, payment, refund) = self.parts();
        let escaped = |text: Option<&str>| escape(text.unwrap_or_default(), refund.is_some());
        match column {
            "交易时间" => {
                clock::bill_time(refund.map_or(payment.paid_ms, |refund| refund.created_ms))
            }
            "公众账号ID" => order.appid.clone(),
            "商户号" => mchid.to_owned(),
            "特约商户号" => "0".to_owned(),
            "设备号" => escaped(order.device_id.as_deref()),
            "微信订单号" => payment.transaction_id.clone(),
            "商户订单号" => order.out_trade_no.clone(),
            "用户标识" => payment.openid.clone(),
            "交易类型" => trade_type(order.product).to_owned(),
            "交易状态" => if refund.is_some() {
                "REFUND"
            } else {
                "SUCCESS"
            }
            .to_owned(),
            "付款银行" => payment.bank_type.clone(),
            "货币种类" => "CNY".to_owned(),
            "微信退款单号" => {
                refund.map_or("0".to_owned(), |refund| refund.refund_id.clone())
            }
            "商户退款单号" => {
                refund.map_or("0".to_owned(), |refund| refund.out_refund_no.clone())
            }
            "退款类型" => refund.map_or("", |_| "ORIGINAL").to_owned(),
            "退款状态" => refund
                .map_or("", |refund| in_bills(refund.status))
                .to_owned(),
            "退款申请时间" => {
                refund.map_or(String::new(), |refund| clock::bill_time(refund.created_ms))
            }
            "退款成功时间" => refund
                .and_then(|refund| refund.success_ms)
                .map_or(String::new(), clock::bill_time),
            "商品名称" => escaped(Some(&order.description)),
            "商户数据包" => escaped(order.attach.as_deref()),
            "手续费" => format!("{}000", yuan(self.fee_fen())),
            "费率" => "0.60%".to_owned(),
            "费率备注" => String::new(),
            _ => yuan(self.amount_fen(column)),
        }
    }

    fn fee_fen(&self) -> i64 {
        let (order, payment, refund) = self.parts();
        match refund {
            Some(refund) => ledger::fee_fen(refund.payer_refund_fen).saturating_neg(),
            None => ledger::fee_fen(order.payer_total_fen(payment)),
        }
    }

    /// The columns that hold money. Coupons here are always free-of-charge ones, so nothing prepaid is refunded.
    fn amount_fen(&self, column: &str) -> i64 {
        let (order, payment, refund) = self.parts();
        match (column, refund) {
            ("应结订单金额", None) => order.payer_total_fen(payment),
            ("代金券金额", None) => payment.coupon_fen,
            ("订单金额", None) => order.total_fen,
            ("退款金额", Some(refund)) => refund.payer_refund_fen,
            ("申请退款金额", Some(refund)) => refund.refund_fen,
            _ => 0,
        }
    }
}

fn sum(rows: &[(i64, Row<'_>)], name: &str) -> String {
    let column = match name {
        "总交易单数" => return count(rows.len()),
        "手续费总金额" => return yuan(rows.iter().map(|(_, row)| row.fee_fen()).sum()),
        "应结订单总金额" => "应结订单金额",
        "退款总金额" => "退款金额",
        "订单总金额" => "订单金额",
        "申请退款总金额" => "申请退款金额",
        _ => "充值券退款金额",
    };
    yuan(rows.iter().map(|(_, row)| row.amount_fen(column)).sum())
}

/// Refund states as bills write them, which is not how the API does.
fn in_bills(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
        RefundStatus::Closed => "FAIL",
        RefundStatus::Abnormal => "CHANGE",
    }
}

fn line(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("`{value}")).collect();
    format!("{}\r\n", values.join(","))
}

fn count(count: usize) -> String {
    format!("{count}.0")
}

/// Fen as yuan with two decimals.
fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    let (yuan, rest) = (
        fen.checked_div(100).unwrap_or(0),
        fen.checked_rem(100).unwrap_or(0),
    );
    format!("{sign}{yuan}.{rest:02}")
}

/// Text that the merchant wrote; a comma is lost, so that commas always separate.
fn escape(text: &str, in_refund: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match (character, in_refund) {
            ('\\', _) => escaped.push_str("\\\\"),
            ('\'', false) => escaped.push_str("\\'"),
            ('"', _) => escaped.push_str("\\\""),
            ('`', false) => escaped.push_str("\\`"),
            ('`', true) => escaped.push_str("\\140"),
            (',' | '\u{e000}', _) => escaped.push_str("\\ "),
            ('\n', _) => escaped.push_str("\\n"),
            ('\r', _) => escaped.push_str("\\r"),
            ('\t', _) => escaped.push_str("\\t"),
            ('\u{1a}', _) => escaped.push_str("\\\u{1a}"),
            (other, _) => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merchant_text_is_escaped_as_in_real_bills() {
        assert_eq!(escape("a,b`c'd\\e\nf", false), "a\\ b\\`c\\'d\\\\e\\nf");
        assert_eq!(escape("a,b`c'd", true), "a\\ b\\140c'd");
    }

    #[test]
    fn fen_are_written_as_yuan() {
        assert_eq!(
            [yuan(0), yuan(7), yuan(1200), yuan(-105)],
            ["0.00", "0.07", "12.00", "-1.05"]
        );
    }

    #[test]
    fn the_three_kinds_have_27_20_and_29_columns() {
        assert_eq!(
            TradeBill::KINDS.map(|kind| kind.columns().len()),
            [27, 20, 29]
        );
        assert_eq!(
            TradeBill::Refund.columns()[13..17],
            ["代金券金额", "退款申请时间", "退款成功时间", "微信退款单号"]
        );
    }
}
