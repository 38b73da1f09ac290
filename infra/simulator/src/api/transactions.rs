//! Query by either number, and close.

use super::call::{Reply, VerifiedCall};
use crate::{
    books::PayOptions,
    endpoint::{self, Endpoint},
    order::TradeState,
    refusal::Refusal,
    schema::{self, ValueKind, required},
    settings::PaidClose,
    sim::{MutableState, Shared},
};

pub(super) fn query(
    sim: &Shared,
    world: &MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    match endpoint::query_value(call.query, "mchid") {
        Some(mchid) if mchid == sim.merchant.mchid => {}
        Some(_) => {
            return Err(Refusal::query(
                "mchid",
                "与Authorization中的商户号不一致 (differs from the mchid in Authorization)",
            ));
        }
        None => {
            return Err(Refusal::query(
                "mchid",
                "缺少必填参数 (required, but missing)",
            ));
        }
    }
    let number = &call.route.number;
    let orders = &world.books.orders;
    if call.route.endpoint == Endpoint::QueryByTransactionId {
        let (order, payment) = orders
            .with_transaction(number)
            .ok_or_else(Refusal::order_not_exist)?;
        let state = world.books.payment_state(payment);
        return Ok(Reply::Json(order.transaction(state, Some(payment))));
    }
    // Paid twice, it answers with the first payment.
    let order = orders.get(number).ok_or_else(Refusal::order_not_exist)?;
    let state = world.books.state(order, sim.now_ms());
    Ok(Reply::Json(
        order.transaction(state, order.payment.as_ref()),
    ))
}

pub(super) fn close(
    sim: &Shared,
    world: &mut MutableState,
    call: &VerifiedCall<'_>,
) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, &[required("mchid", ValueKind::Text(32))])?;
    if schema::text(&request, "/mchid") != sim.merchant.mchid {
        return Err(Refusal::field(
            "/mchid",
            request.pointer("/mchid"),
            "与Authorization中的商户号不一致 (differs from the mchid in Authorization)",
        ));
    }
    let now_ms = sim.now_ms();
    let order = world
        .books
        .orders
        .get(&call.route.number)
        .ok_or_else(Refusal::order_not_exist)?;
    match world.books.state(order, now_ms) {
        TradeState::Success | TradeState::Refund => {
            let (status, code) = match world.books.settings.paid_close {
                PaidClose::TradeError => (403, "TRADE_ERROR"),
                PaidClose::OrderPaid => (400, "ORDERPAID"),
            };
            Err(Refusal::new(
                status,
                code,
                268_498_689,
                "该订单已支付，无法关闭",
                "The order is paid, it cannot be closed",
            ))
        }
        TradeState::NotPay | TradeState::Closed => {
            world.books.orders.close(&call.route.number, now_ms);
            Ok(Reply::Nothing)
        }
    }
}

/// The payer's half of a close race: the money arrives at that very moment, unless it was there
/// already.
pub(crate) fn pay_at_close(
    sim: &Shared,
    world: &mut MutableState,
    out_trade_no: &str,
    moment: Moment,
) {
    let races = world
        .books
        .orders
        .get(out_trade_no)
        .is_some_and(|order| match moment {
            Moment::Before => world.books.state(order, sim.now_ms()) == TradeState::NotPay,
            Moment::After => order.payment.is_none(),
        });
    if races {
        let (books, mut tools) = world.parts(&sim.clock);
        // Cannot fail: the order is there and there is no coupon.
        let _booked = books.book_payment(out_trade_no, &PayOptions::default(), &mut tools);
    }
}

/// On which side of the close the money arrives.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    Before,
    After,
}
