//! Query by either number, and close.

use super::{Call, Reply};
use crate::{
    books::PayOptions,
    endpoint::{self, Endpoint},
    order::{Order, TradeState},
    refusal::Refusal,
    schema::{self, Kind, required},
    sim::{Sim, World},
};

pub(super) fn query(sim: &Sim, world: &World, call: &Call<'_>) -> Result<Reply, Refusal> {
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
    let order = if call.route.endpoint == Endpoint::QueryByTransactionId {
        let has_it = |order: &&Order| {
            order
                .payment
                .as_ref()
                .is_some_and(|payment| payment.transaction_id == *number)
        };
        world.books.orders.values().find(has_it)
    } else {
        world.books.orders.get(number)
    };
    let order = order.ok_or_else(Refusal::order_not_exist)?;
    let state = world.books.state(order, sim.now_ms());
    Ok(Reply::Json(order.transaction(state)))
}

pub(super) fn close(sim: &Sim, world: &mut World, call: &Call<'_>) -> Result<Reply, Refusal> {
    let request = schema::read(call.body, &[required("mchid", Kind::Text(32))])?;
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
        TradeState::Success | TradeState::Refund => Err(Refusal::new(
            403,
            "TRADE_ERROR",
            268_498_689,
            "该订单已支付，无法关闭",
            "The order is paid, it cannot be closed",
        )),
        TradeState::NotPay | TradeState::Closed => {
            if let Some(order) = world.books.orders.get_mut(&call.route.number) {
                order.closed_ms.get_or_insert(now_ms);
            }
            Ok(Reply::Nothing)
        }
    }
}

/// The payer's half of a close race: the money arrives at that very moment, unless it was there already.
pub(crate) fn pay_at_close(sim: &Sim, world: &mut World, out_trade_no: &str, moment: Moment) {
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
