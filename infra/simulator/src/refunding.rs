//! The rules for every new refund: sum, number, interval, age, balance.

use serde_json::Value;

use crate::{
    clock::DAY_MS,
    ledger,
    order::{Order, Payment},
    refund::{Refund, RefundEnd, RefundOutcome, RefundSource, RefundStatus},
    refusal::Refusal,
    sim::{MutableState, Shared},
};

const REFUNDS_MAX: usize = 50;
const BETWEEN_REFUNDS_MS: i64 = 60_000;
const REFUNDABLE_FOR_MS: i64 = 365 * DAY_MS;

/// A requested refund.
pub(crate) struct NewRefund {
    pub(crate) out_refund_no: String,
    pub(crate) transaction_id: String,
    pub(crate) refund_fen: i64,
    /// What the asker says that the order's total is.
    pub(crate) total_fen: i64,
    pub(crate) notify_url: Option<String>,
    pub(crate) request: Value,
    pub(crate) source: RefundSource,
    pub(crate) outcome: RefundOutcome,
}

/// Holds a new refund to the rules, and puts it into the books. Its number must be free.
pub(crate) fn accept(
    sim: &Shared,
    world: &mut MutableState,
    wanted: NewRefund,
) -> Result<Refund, Refusal> {
    let now_ms = sim.now_ms();
    let (order, payment) = world
        .books
        .orders
        .with_transaction(&wanted.transaction_id)
        .ok_or_else(no_such_payment)?;
    let payer_refund_fen = check(sim, world, order, payment, &wanted)?;
    let refund = Refund {
        refund_id: world.ids.refund_id(now_ms),
        out_trade_no: order.out_trade_no.clone(),
        out_refund_no: wanted.out_refund_no,
        transaction_id: wanted.transaction_id,
        refund_fen: wanted.refund_fen,
        payer_refund_fen,
        notify_url: wanted.notify_url,
        request: wanted.request,
        redirected: None,
        source: wanted.source,
        created_ms: now_ms,
        status: RefundStatus::Processing,
        success_ms: None,
        ends: end(sim, wanted.outcome, now_ms),
    };
    let (books, mut tools) = world.parts(&sim.clock);
    books.open_refund(refund.clone(), &mut tools);
    Ok(refund)
}

/// The rules, in WeChat Pay's order; gives the part that the payer gets.
fn check(
    sim: &Shared,
    world: &MutableState,
    order: &Order,
    payment: &Payment,
    wanted: &NewRefund,
) -> Result<i64, Refusal> {
    let now_ms = sim.now_ms();
    let earlier = || world.books.refunds.of(&payment.transaction_id);
    let standing = || earlier().filter(|refund| refund.status != RefundStatus::Closed);
    let refunded_fen: i64 = standing().map(|refund| refund.refund_fen).sum();
    let payer_refunded_fen: i64 = standing().map(|refund| refund.payer_refund_fen).sum();

    if wanted.total_fen != order.total_fen {
        return Err(Refusal::invalid(
            "订单金额或退款金额与之前请求不一致，请核实后再试",
            "amount.total is not the order's total",
        ));
    }
    if wanted.refund_fen.saturating_add(refunded_fen) > order.total_fen {
        return Err(Refusal::invalid(
            "申请退款金额大于订单可退金额",
            "The refunds together would exceed the order's total",
        ));
    }
    if earlier().count() >= REFUNDS_MAX {
        return Err(Refusal::invalid(
            "退款次数超过50次限制",
            "The order has its 50 refunds already",
        ));
    }
    if now_ms > payment.paid_ms.saturating_add(REFUNDABLE_FOR_MS) {
        return Err(Refusal::new(
            403,
            "TRADE_OVERDUE",
            268_498_690,
            "订单已经超过可退款的最大期限",
            "The payment is more than 365 days old",
        ));
    }
    let last_ms = earlier().map(|refund| refund.created_ms).max();
    let next_ms =
        last_ms.map(|last_ms| last_ms.saturating_add(sim.clock.sped_up(BETWEEN_REFUNDS_MS)));
    if next_ms.is_some_and(|next_ms| now_ms < next_ms) {
        return Err(Refusal::frequency_limited());
    }
    if wanted.outcome == RefundOutcome::Refused {
        return Err(Refusal::new(
            403,
            "USER_ACCOUNT_ABNORMAL",
            268_447_916,
            "用户账户异常或已注销",
            "The payer's account is abnormal or gone; give the money back by other means",
        ));
    }
    let payer_total_fen = order.payer_total_fen(payment);
    let payer_refund_fen = ledger::share(
        wanted.refund_fen,
        payer_total_fen.into(),
        order.total_fen.into(),
    )
    .min(payer_total_fen.saturating_sub(payer_refunded_fen));
    if payer_refund_fen > world.books.ledger.balance_fen {
        return Err(Refusal::new(
            403,
            "NOT_ENOUGH",
            268_447_915,
            "基本账户余额不足，请充值后重新发起",
            "The merchant's balance is too low; top it up and send the same refund again",
        ));
    }
    Ok(payer_refund_fen)
}

/// When and how a refund of that outcome ends, if it is left alone.
pub(crate) fn end(sim: &Shared, outcome: RefundOutcome, now_ms: i64) -> Option<RefundEnd> {
    outcome.end(now_ms.saturating_add(sim.clock.sped_up(sim.refund_takes_ms)))
}

/// 404 for an order that is unknown or not paid.
pub(crate) fn no_such_payment() -> Refusal {
    Refusal::new(
        404,
        "RESOURCE_NOT_EXISTS",
        268_512_771,
        "订单不存在或未支付",
        "There is no paid order with this number",
    )
}
