//! Trade bills.

use super::{
    day::BillDay, differences::SummaryOf, injected::InjectedDifferences, rows::TradeRow,
    sheet::Sheet,
};
use crate::books::Store;

/// `bill_type` of a trade bill.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum TradeBill {
    All,
    Success,
    Refund,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Column {
    Time,
    Appid,
    Mchid,
    SubMchid,
    Device,
    TransactionId,
    OutTradeNo,
    Openid,
    TradeType,
    State,
    Bank,
    Currency,
    Settled,
    Coupon,
    RefundAcceptedAt,
    RefundDoneAt,
    RefundId,
    OutRefundNo,
    Refunded,
    RefundedCoupon,
    RefundChannel,
    RefundState,
    Description,
    Attach,
    Fee,
    Rate,
    Ordered,
    RefundAsked,
    RateNote,
}

/// All columns in their order. Each kind of bill leaves some out.
const COLUMNS: [Column; 29] = [
    Column::Time,
    Column::Appid,
    Column::Mchid,
    Column::SubMchid,
    Column::Device,
    Column::TransactionId,
    Column::OutTradeNo,
    Column::Openid,
    Column::TradeType,
    Column::State,
    Column::Bank,
    Column::Currency,
    Column::Settled,
    Column::Coupon,
    Column::RefundAcceptedAt,
    Column::RefundDoneAt,
    Column::RefundId,
    Column::OutRefundNo,
    Column::Refunded,
    Column::RefundedCoupon,
    Column::RefundChannel,
    Column::RefundState,
    Column::Description,
    Column::Attach,
    Column::Fee,
    Column::Rate,
    Column::Ordered,
    Column::RefundAsked,
    Column::RateNote,
];

/// A name in the summary, and the column that it is the sum of; `None` counts the rows.
type Sum = (&'static str, Option<Column>);

const SUMS: &[Sum] = &[
    ("总交易单数", None),
    ("应结订单总金额", Some(Column::Settled)),
    ("退款总金额", Some(Column::Refunded)),
    ("充值券退款总金额", Some(Column::RefundedCoupon)),
    ("手续费总金额", Some(Column::Fee)),
    ("订单总金额", Some(Column::Ordered)),
    ("申请退款总金额", Some(Column::RefundAsked)),
];
const SUMS_OF_SUCCESS: &[Sum] = &[
    ("总交易单数", None),
    ("应结订单总金额", Some(Column::Settled)),
    ("手续费总金额", Some(Column::Fee)),
    ("订单总金额", Some(Column::Ordered)),
];
const OLD_SUMS: &[Sum] = &[
    ("总交易单数", None),
    ("总交易额", Some(Column::Settled)),
    ("总退款金额", Some(Column::Refunded)),
    ("总企业红包退款金额", Some(Column::RefundedCoupon)),
    ("手续费总金额", Some(Column::Fee)),
];
const OLD_SUMS_OF_SUCCESS: &[Sum] = &[
    ("总交易单数", None),
    ("总交易额", Some(Column::Settled)),
    ("手续费总金额", Some(Column::Fee)),
];

impl TradeBill {
    pub(crate) const KINDS: [Self; 3] = [Self::All, Self::Success, Self::Refund];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
        }
    }

    fn columns(self, old: bool) -> Vec<Column> {
        let mut columns = COLUMNS.to_vec();
        columns.retain(|column| match column {
            Column::RefundAcceptedAt | Column::RefundDoneAt => self == Self::Refund,
            Column::RefundId
            | Column::OutRefundNo
            | Column::Refunded
            | Column::RefundedCoupon
            | Column::RefundChannel
            | Column::RefundState => self != Self::Success,
            Column::RefundAsked => self != Self::Success && !old,
            Column::Ordered | Column::RateNote => !old,
            Column::Time
            | Column::Appid
            | Column::Mchid
            | Column::SubMchid
            | Column::Device
            | Column::TransactionId
            | Column::OutTradeNo
            | Column::Openid
            | Column::TradeType
            | Column::State
            | Column::Bank
            | Column::Currency
            | Column::Settled
            | Column::Coupon
            | Column::Description
            | Column::Attach
            | Column::Fee
            | Column::Rate => true,
        });
        columns
    }

    fn sums(self, old: bool) -> &'static [Sum] {
        match (self, old) {
            (Self::All | Self::Refund, false) => SUMS,
            (Self::Success, false) => SUMS_OF_SUCCESS,
            (Self::All | Self::Refund, true) => OLD_SUMS,
            (Self::Success, true) => OLD_SUMS_OF_SUCCESS,
        }
    }
}

/// The trade bill of a day; `None` if it has no rows.
pub(crate) fn text(books: &Store, day: &BillDay, kind: TradeBill) -> Option<String> {
    let planted = InjectedDifferences::of(books);
    let rows = rows(books, day, kind, &planted);
    if rows.is_empty() {
        return None;
    }
    let format = books.settings.bill_format();
    let mut sheet = Sheet::new(format);
    let columns = kind.columns(format.old);
    sheet.headers(columns.iter().map(|column| column.name(format.old)));
    for row in &rows {
        sheet.begin_line();
        for column in &columns {
            put(&mut sheet, *column, row);
        }
    }
    let sums = kind.sums(format.old);
    sheet.headers(sums.iter().map(|(name, _)| *name));
    sheet.begin_line();
    let off = planted.summary_off(&day.name, SummaryOf::Trade);
    for (at, (_, column)) in sums.iter().enumerate() {
        match column {
            None => {
                let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                sheet.put_count(count.saturating_add(off.count));
            }
            Some(column) => {
                let sum_fen: i64 = rows.iter().map(|row| column.fen(row, format.old)).sum();
                let off_fen = if at == 1 { off.fen } else { 0 };
                let sum_fen = sum_fen.saturating_add(off_fen);
                // Old files have five decimals here too.
                if format.old && *column == Column::Fee {
                    sheet.put_fee(sum_fen);
                } else {
                    sheet.put_yuan(sum_fen);
                }
            }
        }
    }
    Some(sheet.finish())
}

fn rows<'a>(
    books: &'a Store,
    day: &BillDay,
    kind: TradeBill,
    planted: &InjectedDifferences<'a>,
) -> Vec<TradeRow<'a>> {
    let day = day.range();
    let payments = books
        .orders
        .iter()
        .filter(|_| kind != TradeBill::Refund)
        .flat_map(|order| order.payments().map(move |payment| (order, payment)))
        .filter(|(_, payment)| day.contains(&payment.paid_ms))
        .filter_map(|(order, payment)| planted.alter(TradeRow::of_payment(order, payment)));
    let refunds = books
        .refunds
        .iter()
        .filter(|refund| kind != TradeBill::Success && day.contains(&refund.created_ms))
        .filter_map(|refund| {
            let (order, payment) = books.orders.with_transaction(&refund.transaction_id)?;
            planted.alter(TradeRow::of_refund(order, payment, refund))
        });
    let mut rows: Vec<TradeRow<'_>> = payments.chain(refunds).collect();
    rows.sort_by_key(|row| row.at_ms);
    rows
}

impl Column {
    fn name(self, old: bool) -> &'static str {
        match self {
            Self::Time => "交易时间",
            Self::Appid => "公众账号ID",
            Self::Mchid => "商户号",
            Self::SubMchid if old => "子商户号",
            Self::SubMchid => "特约商户号",
            Self::Device => "设备号",
            Self::TransactionId => "微信订单号",
            Self::OutTradeNo => "商户订单号",
            Self::Openid => "用户标识",
            Self::TradeType => "交易类型",
            Self::State => "交易状态",
            Self::Bank => "付款银行",
            Self::Currency => "货币种类",
            Self::Settled if old => "总金额",
            Self::Settled => "应结订单金额",
            Self::Coupon if old => "企业红包金额",
            Self::Coupon => "代金券金额",
            Self::RefundAcceptedAt => "退款申请时间",
            Self::RefundDoneAt => "退款成功时间",
            Self::RefundId => "微信退款单号",
            Self::OutRefundNo => "商户退款单号",
            Self::Refunded => "退款金额",
            Self::RefundedCoupon if old => "企业红包退款金额",
            Self::RefundedCoupon => "充值券退款金额",
            Self::RefundChannel => "退款类型",
            Self::RefundState => "退款状态",
            Self::Description => "商品名称",
            Self::Attach => "商户数据包",
            Self::Fee => "手续费",
            Self::Rate => "费率",
            Self::Ordered => "订单金额",
            Self::RefundAsked => "申请退款金额",
            Self::RateNote => "费率备注",
        }
    }

    /// The columns that hold money; 0 for the others. The old format has the whole amounts where
    /// the new one has what is left after the coupon. Coupons here are always free-of-charge ones,
    /// so the new format has nothing prepaid to refund.
    fn fen(self, row: &TradeRow<'_>, old: bool) -> i64 {
        let refund = row.refund.as_ref();
        match self {
            Self::Settled if old => row.order_fen,
            Self::Settled => row.settled_fen,
            Self::Coupon => row.coupon_fen,
            Self::Ordered => row.order_fen,
            Self::Refunded if old => refund.map_or(0, |refund| refund.asked_fen),
            Self::Refunded => refund.map_or(0, |refund| refund.payer_fen),
            Self::RefundedCoupon if old => {
                refund.map_or(0, |part| part.asked_fen.saturating_sub(part.payer_fen))
            }
            Self::RefundAsked => refund.map_or(0, |refund| refund.asked_fen),
            Self::Fee => row.fee_fen,
            Self::Time
            | Self::Appid
            | Self::Mchid
            | Self::SubMchid
            | Self::Device
            | Self::TransactionId
            | Self::OutTradeNo
            | Self::Openid
            | Self::TradeType
            | Self::State
            | Self::Bank
            | Self::Currency
            | Self::RefundAcceptedAt
            | Self::RefundDoneAt
            | Self::RefundId
            | Self::OutRefundNo
            | Self::RefundedCoupon
            | Self::RefundChannel
            | Self::RefundState
            | Self::Description
            | Self::Attach
            | Self::Rate
            | Self::RateNote => 0,
        }
    }
}

fn or_empty(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn put(sheet: &mut Sheet, column: Column, row: &TradeRow<'_>) {
    let refund = row.refund.as_ref();
    let made = refund.map(|part| part.refund);
    match column {
        Column::Time => sheet.put_time(row.at_ms),
        Column::Appid => sheet.put(row.appid),
        Column::Mchid => sheet.put(row.mchid),
        Column::SubMchid => sheet.put("0"),
        Column::Device => sheet.put_escaped(or_empty(&row.order.device_id), refund.is_some()),
        Column::TransactionId => sheet.put(row.transaction_id),
        Column::OutTradeNo => sheet.put(&row.order.out_trade_no),
        Column::Openid => sheet.put(&row.payment.openid),
        Column::TradeType => sheet.put(row.trade_type),
        Column::State => sheet.put(row.state),
        Column::Bank => sheet.put(&row.payment.bank_type),
        Column::Currency => sheet.put(row.currency),
        Column::RefundAcceptedAt => match made {
            Some(refund) => sheet.put_time(refund.created_ms),
            None => sheet.put(""),
        },
        Column::RefundDoneAt => match made.and_then(|refund| refund.success_ms) {
            Some(success_ms) => sheet.put_time(success_ms),
            None => sheet.put(""),
        },
        Column::RefundId => sheet.put(made.map_or("0", |refund| &refund.refund_id)),
        Column::OutRefundNo => sheet.put(made.map_or("0", |refund| &refund.out_refund_no)),
        Column::RefundChannel => sheet.put(made.map_or("", |_| "ORIGINAL")),
        Column::RefundState => sheet.put(refund.map_or("", |refund| refund.status)),
        Column::Description => sheet.put_escaped(&row.order.description, refund.is_some()),
        Column::Attach => sheet.put_escaped(or_empty(&row.order.attach), refund.is_some()),
        Column::Fee => sheet.put_fee(row.fee_fen),
        Column::Rate => sheet.put("0.60%"),
        Column::RateNote => sheet.put(""),
        Column::Settled
        | Column::Coupon
        | Column::Refunded
        | Column::RefundedCoupon
        | Column::Ordered
        | Column::RefundAsked => {
            let old = sheet.format().old;
            sheet.put_yuan(column.fen(row, old));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_have_27_20_and_29_columns_and_the_old_format_24() {
        let counts = |old| TradeBill::KINDS.map(|kind| kind.columns(old).len());
        assert_eq!(counts(false), [27, 20, 29]);
        assert_eq!(counts(true), [24, 18, 26]);
        let names: Vec<&str> = TradeBill::Refund.columns(false)[13..17]
            .iter()
            .map(|column| column.name(false))
            .collect();
        assert_eq!(
            names,
            ["代金券金额", "退款申请时间", "退款成功时间", "微信退款单号"]
        );
    }
}
