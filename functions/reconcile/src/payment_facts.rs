//! Facts from our books and from WeChat Pay about the payment of a difference: its numbers, whether
//! it is booked, and whether it was refunded.

use payments::{
    model::{
        ids::{OrderNo, RefundNo, TransactionId},
        order::Order,
        refund::{PaymentKind, Refund, RefundState},
    },
    news::trade::{TradeNotice, TradeOutcome},
    reconcile::difference::Difference,
};

use crate::{app::App, error::DayError};

/// The order and the payment that a difference is about, if our books can hold such numbers.
pub(crate) fn numbers(difference: &Difference) -> Option<(OrderNo, TransactionId)> {
    let transaction_id = TransactionId::parse(difference.about.transaction_id.as_deref()?).ok()?;
    Some((order_no(difference)?, transaction_id))
}

pub(crate) fn order_no(difference: &Difference) -> Option<OrderNo> {
    OrderNo::parse(difference.about.order_no.as_deref()?).ok()
}

pub(crate) fn is_booked(order: &Order, transaction_id: &TransactionId) -> bool {
    let booked = order.state.payment();
    booked.is_some_and(|payment| payment.transaction_id == *transaction_id)
}

/// The refund that gives a second payment back, or has: ours, or one that was made in WeChat Pay's
/// console.
pub(crate) async fn refund_of_second(
    app: &App,
    order_no: &OrderNo,
    transaction_id: &TransactionId,
) -> Result<Option<Refund>, DayError> {
    let refunds = app.orders.refunds(order_no).await?;
    Ok(refunds.into_iter().find(|refund| {
        refund.transaction_id == *transaction_id
            && refund.of == PaymentKind::Parked
            && refund.state != RefundState::Closed
    }))
}

/// Why we must not give a second payment back any more, if so: a person released a refund of it, or
/// it was refunded in part in WeChat Pay's console.
pub(crate) async fn is_over(
    app: &App,
    notice: &TradeNotice,
    transaction_id: &TransactionId,
) -> Result<Option<String>, DayError> {
    let refunds = app.orders.refunds(&notice.order_no).await?;
    if let Some(why) = why_released(&refunds, transaction_id) {
        return Ok(Some(why));
    }
    // WeChat Pay says so of every payment that a refund was ever asked for, of one that failed too.
    let asked_for = refunds
        .iter()
        .any(|refund| refund.transaction_id == *transaction_id);
    let elsewhere = !asked_for && was_refunded(notice);
    Ok(elsewhere.then(|| GIVEN_BACK.to_owned()))
}

/// The same of the refund of a payment that a person released, if one did: whatever requested that
/// refund, and under whichever number. `refunds` are those of its order.
pub(crate) fn why_released(refunds: &[Refund], transaction_id: &TransactionId) -> Option<String> {
    let mut of_it = refunds.iter();
    of_it
        .find(|refund| refund.is_released() && refund.transaction_id == *transaction_id)
        .map(|refund| released(&refund.refund_no))
}

/// The text about a refund that a person released.
fn released(refund_no: &RefundNo) -> String {
    format!(
        "a person released refund {refund_no}, so the payer was paid another way, or will be: explain the difference with that"
    )
}

/// The text about money that was refunded without us.
pub(crate) const GIVEN_BACK: &str = "WeChat Pay says that it was given back already, in part at least: compare with its console, then explain it";

/// Whether WeChat Pay says of a payment that some of it was given back.
pub(crate) fn was_refunded(notice: &TradeNotice) -> bool {
    match &notice.outcome {
        TradeOutcome::Paid(money) => money.refunded,
        TradeOutcome::Unpaid | TradeOutcome::Closed => false,
    }
}
