use wechatpay::UnixSeconds;

use super::*;
use crate::{
    model::refund::RefundState,
    rules::{
        reserve_refund::tests::{context, refund},
        settle_trade::tests::{awaiting, order, payment},
    },
};

/// An order in this state whose item has the latest event.
fn with_latest(state: OrderState) -> Order {
    let event = context().event(5, Subject::Order, None, state.name());
    Order {
        latest_event: Some(event),
        ..order(state)
    }
}

fn paid() -> OrderState {
    OrderState::Paid(payment("420001"))
}

fn rejected() -> OrderState {
    OrderState::Rejected(Rejection::NumberUsedElsewhere)
}

fn late() -> OrderState {
    OrderState::PaidAfterClose(payment("420001"))
}

/// The Pipe in `template.yaml` publishes exactly these steps from the order's own item.
#[test]
fn an_orders_item_has_the_events_that_the_pipe_publishes_from_it() {
    for (from, to, is_embedded) in [
        (OrderState::Reserved, paid(), true),
        (awaiting(), paid(), true),
        (OrderState::Closing, paid(), true),
        (awaiting(), OrderState::Closing, true),
        (OrderState::Reserved, rejected(), true),
        (OrderState::Closing, OrderState::Closed, true),
        (OrderState::Reserved, awaiting(), false),
        (OrderState::Closed, late(), false),
        (rejected(), paid(), false),
        (OrderState::Closed, paid(), false),
        (OrderState::Closed, OrderState::Closing, false),
        (paid(), OrderState::Refunded(payment("420001")), false),
        (
            paid(),
            OrderState::PartiallyRefunded(payment("420001")),
            false,
        ),
    ] {
        let step = format!("{} to {}", from.name(), to.name());
        let change = OrderChange::new(&with_latest(from.clone()), to.clone(), &context());
        let event = is_embedded.then(|| change.events[0].clone());
        assert_eq!(change.embedded_event(), event.as_ref(), "{step}");
        // An earlier version wrote the order without one, and goes on so.
        let of_earlier = OrderChange::new(&order(from), to, &context());
        assert_eq!(of_earlier.embedded_event(), None, "{step}");
    }
}

#[test]
fn an_event_is_an_item_of_its_own_when_anything_changes_with_the_order() {
    let alone = OrderChange::new(&with_latest(awaiting()), paid(), &context());
    assert!(alone.embedded_event().is_some());
    let parked = OrderChange::to_park(&order(awaiting()), other_payment(), &context());
    let with_parked = OrderChange {
        parked: parked.parked,
        ..alone.clone()
    };
    let with_refund = OrderChange {
        refund: Some(RefundChange::New(Box::new(refund(RefundState::Reserved)))),
        ..alone.clone()
    };
    let with_parked_payment = OrderChange {
        parked_payment: Some(ParkedPaymentChange {
            transaction_id: payment("420002").transaction_id,
            from: ParkedState::Parked,
            to: ParkedState::Booked,
        }),
        ..alone.clone()
    };
    let mut of_two = alone.clone();
    of_two.events.push(alone.events[0].clone());
    let mut of_a_payment = alone;
    of_a_payment.events[0].subject = Subject::Payment(payment("420001").transaction_id);
    for change in [
        with_parked,
        with_refund,
        with_parked_payment,
        of_two,
        of_a_payment,
    ] {
        assert_eq!(change.embedded_event(), None, "{change:?}");
    }
}

fn other_payment() -> PaymentToPark {
    let of = order(awaiting());
    PaymentToPark {
        order_no: of.order_no,
        transaction_id: payment("420002").transaction_id,
        amount: of.amount,
        paid_at: UnixSeconds(5),
        reason: crate::model::parked::ParkReason::UnknownOrder,
    }
}

#[test]
fn the_order_after_a_change_has_what_the_change_writes() {
    let before = Order {
        due: Some(NextCheck {
            shard: 1,
            at: UnixSeconds(1),
        }),
        ..with_latest(awaiting())
    };
    let mut change = OrderChange::new(&before, OrderState::Closing, &context());
    change.refunds.count = 7;
    let after = change.order_after();
    let event = change.events[0].clone();
    assert_eq!((after.version, event.version), (6, 6));
    assert_eq!(after.refunds.count, 7);
    assert_eq!(after.latest_event, Some(event));
    let due = schedule::next_order_check(&before, &OrderState::Closing, context().at);
    assert!(due.is_some());
    assert_eq!((change.due(), after.due), (due, due));
    // What the change does not touch stays.
    assert_eq!(
        (after.order_no, after.created_at),
        (before.order_no, before.created_at)
    );
}
