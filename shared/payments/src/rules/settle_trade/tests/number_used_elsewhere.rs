//! Money and orders of another system under the same number.

use super::*;

#[test]
fn money_that_is_older_than_its_order_is_another_systems_and_books_nothing() {
    let used_elsewhere = OrderState::Rejected(Rejection::NumberUsedElsewhere);
    // Its amount does not matter: it is not this order's payment, and no client may refund it.
    for (state, fen) in unpaid_states().flat_map(|state| [(state.clone(), 100), (state, 99)]) {
        let mut order = order(state.clone());
        let notice = notice(TradeOutcome::Paid(money("420001", fen)));
        order.created_at = UnixSeconds(payment("420001").paid_at.0 + OLDER_S);
        let (reason, then) = kept(settle_trade(&order, &facts(), &notice, &context()), &state);
        let expected = if state == used_elsewhere {
            ParkReason::NumberUsedElsewhere
        } else {
            ParkReason::OlderThanOrder
        };
        assert_eq!((reason, then), (Some(expected), unless_reserved(state)));
    }
    let mut order = order(OrderState::Reserved);
    order.created_at = UnixSeconds(payment("420001").paid_at.0 + OLDER_S - 1);
    let notice = notice(TradeOutcome::Paid(money("420001", 100)));
    let Settlement::Change(change) = settle_trade(&order, &facts(), &notice, &context()) else {
        panic!("two clocks may differ by that much")
    };
    assert_eq!(change.to.name(), "paid");
}

/// All combinations of the order's client, its state and the payment's age.
#[test]
fn money_before_its_order_is_the_orders_only_where_it_was_taken_on_for_it() {
    let older = UnixSeconds(payment("420001").paid_at.0 + OLDER_S);
    let refused = OrderState::Rejected(Rejection::Refused(None));
    for (client, state, reason) in [
        (ClientId::UNATTRIBUTED, OrderState::Closed, None),
        ("shop", OrderState::Closed, Some(ParkReason::OlderThanOrder)),
        (
            ClientId::UNATTRIBUTED,
            refused.clone(),
            Some(ParkReason::OlderThanOrder),
        ),
        (
            ClientId::UNATTRIBUTED,
            OrderState::Closing,
            Some(ParkReason::OlderThanOrder),
        ),
        (
            ClientId::UNATTRIBUTED,
            OrderState::Rejected(Rejection::NumberUsedElsewhere),
            Some(ParkReason::NumberUsedElsewhere),
        ),
    ] {
        let order = Order {
            client_id: crate::model::ids::ClientId::new(client),
            created_at: older,
            ..order(state.clone())
        };
        let notice = notice(TradeOutcome::Paid(money("420001", 100)));
        let (kept, then) = match settle_trade(&order, &facts(), &notice, &context()) {
            Settlement::Change(change) => (change.parked.map(|one| one.reason), change.to),
            Settlement::Park(parked) => (Some(parked.reason), state.clone()),
            other @ (Settlement::AlreadyDone | Settlement::StillOpen) => panic!("{other:?}"),
        };
        assert_eq!(kept, reason, "{client} {}", state.name());
        let is_booked = then.payment().is_some();
        assert_eq!(is_booked, reason.is_none(), "{client} {}", state.name());
    }
    // For a paid order the payment's age does not matter: it is either the booked payment or a
    // second one.
    let paid = Order {
        created_at: older,
        ..order(OrderState::Paid(payment("420001")))
    };
    let again = notice(TradeOutcome::Paid(money("420001", 100)));
    assert_eq!(
        settle_trade(&paid, &facts(), &again, &context()),
        Settlement::AlreadyDone
    );
}

#[test]
fn only_money_from_before_its_order_may_have_been_parked_for_want_of_it() {
    let paid_at = payment("420001").paid_at.0;
    for (created_at, is_older) in [(paid_at - 1, false), (paid_at, false), (paid_at + 1, true)] {
        let order = Order {
            created_at: UnixSeconds(created_at),
            ..order(OrderState::Reserved)
        };
        let notice = notice(TradeOutcome::Paid(money("420001", 100)));
        let Settlement::Change(change) = settle_trade(&order, &facts(), &notice, &context()) else {
            panic!()
        };
        assert_eq!(change.books_older_money(), is_older, "{created_at}");
    }
}

#[test]
fn an_order_at_wechat_pay_under_a_number_that_we_never_sent_rejects_ours_and_pays_nothing() {
    for state in unpaid_states() {
        let settled = |outcome| {
            let settled = settle_foreign_trade(
                &order(state.clone()),
                &facts(),
                &notice(outcome),
                &context(),
            );
            kept(settled, &state)
        };
        let becomes = unless_reserved(state.clone());
        let (reason, then) = settled(TradeOutcome::Paid(money("420001", 100)));
        assert_eq!(
            (reason, then),
            (Some(ParkReason::NumberUsedElsewhere), becomes.clone())
        );
        for unpaid in [TradeOutcome::Unpaid, TradeOutcome::Closed] {
            assert_eq!(settled(unpaid), (None, becomes.clone()));
        }
    }
}
