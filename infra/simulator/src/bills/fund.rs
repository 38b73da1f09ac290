//! Fund bills: every movement on one of the merchant's accounts.

use super::{
    day::BillDay,
    differences::{PlantedDifference, SummaryOf},
    injected::InjectedDifferences,
    rows::TradeRow,
    sheet::Sheet,
};
use crate::{
    books::Store,
    ledger::{FundAccount, Movement, Reason},
};

const SUMMARY: [&str; 5] = [
    "资金流水总笔数",
    "收入笔数",
    "收入金额",
    "支出笔数",
    "支出金额",
];

/// The fund bill of an account; `None` if nothing moved.
pub(crate) fn text(books: &Store, day: &BillDay, account: FundAccount) -> Option<String> {
    let planted = InjectedDifferences::of(books);
    let on_the_day = || {
        let day = day.range();
        let all = books.ledger.movements.iter();
        all.filter(move |movement| movement.account == account && day.contains(&movement.at_ms))
    };
    let first = on_the_day().next()?;
    // Calculated again, so that the balances match altered amounts.
    let mut balance_fen = first.balance_fen.saturating_sub(first.amount_fen);
    let rows: Vec<(&Movement, i64)> = on_the_day()
        .filter_map(|movement| Some((movement, recorded_fen(books, &planted, movement)?)))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let format = books.settings.bill_format();
    let mut sheet = Sheet::new(format);
    let (amount, balance) = if format.full_width_brackets {
        ("收支金额（元）", "账户结余（元）")
    } else {
        ("收支金额(元)", "账户结余(元)")
    };
    let headers = [
        "记账时间",
        "微信支付业务单号",
        "资金流水单号",
        "业务名称",
        "业务类型",
        "收支类型",
        amount,
        balance,
        "资金变更提交申请人",
        "备注",
        "业务凭证号",
    ];
    sheet.headers(headers.into_iter());
    for (movement, amount_fen) in &rows {
        balance_fen = balance_fen.saturating_add(*amount_fen);
        let (name, kind) = movement.reason.names();
        sheet.begin_line();
        sheet.put_time(movement.at_ms);
        sheet.put(&movement.business_id);
        sheet.put(&movement.flow_id);
        sheet.put(name);
        sheet.put(kind);
        sheet.put(if *amount_fen > 0 { "收入" } else { "支出" });
        sheet.put_yuan(amount_fen.saturating_abs());
        sheet.put_yuan(balance_fen);
        sheet.put("system");
        sheet.put("");
        sheet.put(&movement.voucher);
    }
    let total = |income: bool| -> (i64, i64) {
        let those = || rows.iter().filter(|(_, fen)| (*fen > 0) == income);
        let count = i64::try_from(those().count()).unwrap_or(i64::MAX);
        (count, those().map(|(_, fen)| fen.saturating_abs()).sum())
    };
    let ((in_count, in_fen), (out_count, out_fen)) = (total(true), total(false));
    let off = planted.summary_off(&day.name, SummaryOf::Fund);
    sheet.headers(SUMMARY.into_iter());
    sheet.begin_line();
    sheet.put_count(in_count.saturating_add(out_count).saturating_add(off.count));
    sheet.put_count(in_count);
    sheet.put_yuan(in_fen.saturating_add(off.fen));
    sheet.put_count(out_count);
    sheet.put_yuan(out_fen);
    Some(sheet.finish())
}

/// What the bill says of a movement: what the trade bill says of its payment or refund; `None` if
/// it is left out.
fn recorded_fen(
    books: &Store,
    planted: &InjectedDifferences<'_>,
    movement: &Movement,
) -> Option<i64> {
    let id = movement.business_id.as_str();
    let Some(differences) = planted.on(id) else {
        return Some(movement.amount_fen);
    };
    if differences.contains(&&PlantedDifference::TradeWithoutFund) {
        return None;
    }
    let Some(row) = row_of(books, id) else {
        return Some(movement.amount_fen);
    };
    let row = planted.alter(row)?;
    let payer_fen = row.refund.as_ref().map_or(0, |refund| refund.payer_fen);
    let fen = match movement.reason {
        Reason::Payment => row.settled_fen,
        // For a refund that was closed: the fee is charged again.
        Reason::Fee if row.refund.is_some() => row.fee_fen,
        Reason::Fee | Reason::RefundedFee => row.fee_fen.saturating_neg(),
        Reason::Refund => payer_fen.saturating_neg(),
        Reason::RefundClosed => payer_fen,
        Reason::Adjustment => movement.amount_fen,
    };
    Some(fen).filter(|fen| *fen != 0)
}

/// The trade bill's row about the payment or refund with this number.
fn row_of<'a>(books: &'a Store, id: &str) -> Option<TradeRow<'a>> {
    if let Some((order, payment)) = books.orders.with_transaction(id) {
        return Some(TradeRow::of_payment(order, payment));
    }
    let refund = books.refunds.with_id(id)?;
    let (order, payment) = books.orders.with_transaction(&refund.transaction_id)?;
    Some(TradeRow::of_refund(order, payment, refund))
}
