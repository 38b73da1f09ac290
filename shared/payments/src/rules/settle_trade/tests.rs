mod number_used_elsewhere;

use wechatpay::UnixSeconds;

use super::*;
use crate::{
    model::{
        fingerprint::Fingerprint,
        ids::{OrderNo, TransactionId},
        journal::Cause,
        money::Fen,
        order::{IssueLease, PayParams, Payment, Prepay, Product, RefundTally},
        parked::ParkedState,
        refund::PaymentKind,
    },
    rules::change::RefundChange,
};

const MCHID: &str = "1900000001";
const NOW: UnixSeconds = UnixSeconds(1_000_000);

pub(crate) fn payment(transaction_id: &str) -> Payment {
    Payment {
        transaction_id: TransactionId::parse(transaction_id).unwrap(),
        paid_at: UnixSeconds(999_990),
    }
}

pub(crate) fn order(state: OrderState) -> Order {
    Order {
        order_no: OrderNo::parse("ORDER-1").unwrap(),
        client_id: ClientId::new("shop"),
        product: Product::Native,
        appid: "wxa".into(),
        amount: Fen::new(100).unwrap(),
        fingerprint: Fingerprint([1; 32]),
        sealed_body: None,
        created_at: UnixSeconds(999_000),
        expires_at: UnixSeconds(1_007_200),
        issue_lease: IssueLease::none("none".into()),
        issued: false,
        state,
        refunds: RefundTally::NONE,
        version: 5,
        latest_event: None,
        due: None,
    }
}

fn notice(outcome: TradeOutcome) -> TradeNotice {
    TradeNotice {
        mchid: MCHID.into(),
        appid: "wxa".into(),
        order_no: OrderNo::parse("ORDER-1").unwrap(),
        outcome,
        request_id: None,
    }
}

fn money(transaction_id: &str, fen: i64) -> ReportedPayment {
    ReportedPayment {
        payment: payment(transaction_id),
        total: Fen::new(fen).unwrap(),
        currency: "CNY".into(),
        refunded: false,
    }
}

fn settle(state: &OrderState, notice: &TradeNotice) -> Settlement {
    settle_trade(&order(state.clone()), &facts(), notice, &context())
}

fn facts() -> MerchantFacts {
    MerchantFacts {
        mchid: MCHID.into(),
        notify_url: "https://n".into(),
    }
}

fn context() -> ChangeContext {
    ChangeContext {
        cause: Cause::Notice("EV-1".into()),
        trace: "t".into(),
        is_sampled: true,
        at: NOW,
        millisecond: None,
        delivery: None,
        request_id: None,
    }
}

pub(crate) fn awaiting() -> OrderState {
    OrderState::AwaitingPayment(Prepay {
        params: PayParams::CodeUrl("weixin://x".into()),
        expires_at: NOW,
    })
}

fn every_state() -> [OrderState; 9] {
    let paid = payment("420001");
    [
        OrderState::Reserved,
        awaiting(),
        OrderState::Paid(paid.clone()),
        OrderState::PartiallyRefunded(paid.clone()),
        OrderState::Refunded(paid.clone()),
        OrderState::Closing,
        OrderState::Closed,
        OrderState::Rejected(Rejection::Refused(None)),
        OrderState::PaidAfterClose(paid),
    ]
}

#[test]
fn money_does_to_each_state_what_states_md_says() {
    let becomes = [
        "paid",
        "paid",
        "",
        "",
        "",
        "paid",
        "paid_after_close",
        "paid_after_close",
        "",
    ];
    for (state, becomes) in every_state().iter().zip(becomes) {
        match settle(state, &notice(TradeOutcome::Paid(money("420001", 100)))) {
            Settlement::Change(change) => {
                assert_eq!(change.to.name(), becomes, "from {}", state.name());
                assert_eq!(change.events[0].version, 6);
                assert_eq!(change.events[0].from.as_deref(), Some(state.name()));
                assert_eq!(change.books(), Some(&payment("420001")));
            }
            other @ (Settlement::AlreadyDone | Settlement::StillOpen | Settlement::Park(_)) => {
                assert_eq!(
                    (other, becomes),
                    (Settlement::AlreadyDone, ""),
                    "from {}",
                    state.name()
                );
            }
        }
    }
}

#[test]
fn late_money_is_booked_and_given_back_in_one_change_under_the_same_number_each_time() {
    for state in [
        OrderState::Closed,
        OrderState::Rejected(Rejection::Refused(None)),
    ] {
        let late = || match settle(&state, &notice(TradeOutcome::Paid(money("420001", 100)))) {
            Settlement::Change(change) => change,
            other @ (Settlement::AlreadyDone | Settlement::StillOpen | Settlement::Park(_)) => {
                panic!("{other:?}")
            }
        };
        let change = late();
        let Some(RefundChange::New(refund)) = &change.refund else {
            panic!("{:?}", change.refund)
        };
        assert_eq!(refund.refund_no.as_str(), "auto-420001");
        assert_eq!((refund.amount.get(), refund.of), (100, PaymentKind::Booked));
        assert!(refund.due.is_some());
        assert_eq!(change.refunds.committed_fen, 100);
        let kinds: Vec<_> = change
            .events
            .iter()
            .map(|event| (event.version, event.to.as_str()))
            .collect();
        assert_eq!(kinds, [(6, "paid_after_close"), (7, "reserved")]);
        assert_eq!(late().refund, change.refund);
    }
}

#[test]
fn late_money_that_was_refunded_elsewhere_is_not_given_back_twice() {
    let refunded = ReportedPayment {
        refunded: true,
        ..money("420001", 100)
    };
    let Settlement::Change(change) =
        settle(&OrderState::Closed, &notice(TradeOutcome::Paid(refunded)))
    else {
        panic!()
    };
    assert_eq!(change.refund, None);
    assert_eq!(
        change.parked.map(|parked| parked.reason),
        Some(ParkReason::RefundedElsewhere)
    );
}

#[test]
fn money_that_is_kept_already_is_booked_without_being_kept_again() {
    let refunded = ReportedPayment {
        refunded: true,
        ..money("420001", 100)
    };
    let Settlement::Change(change) = settle(&awaiting(), &notice(TradeOutcome::Paid(refunded)))
    else {
        panic!()
    };
    assert_eq!(change.version(), 7, "booked, and parked");
    let change = change.without_parking();
    assert_eq!((change.version(), change.parked), (6, None));
    assert_eq!(change.to.name(), "paid");
}

#[test]
fn money_that_was_parked_before_its_order_was_known_is_parked_no_longer_once_booked() {
    let mut order = order(OrderState::Reserved);
    order.created_at = UnixSeconds(payment("420001").paid_at.0 + 1);
    let notice = notice(TradeOutcome::Paid(money("420001", 100)));
    let Settlement::Change(change) = settle_trade(&order, &facts(), &notice, &context()) else {
        panic!()
    };
    assert!(change.books_older_money());
    let transaction_id = TransactionId::parse("420001").unwrap();
    let change = change.with_payment_unparked(&transaction_id, &context());
    assert_eq!(
        change.parked_payment.map(|parked| (parked.from, parked.to)),
        Some((ParkedState::Parked, ParkedState::Booked))
    );
    let kinds: Vec<_> = change
        .events
        .iter()
        .map(|event| event.to.as_str())
        .collect();
    assert_eq!(kinds, ["paid", "booked"]);
}

/// Each state that the order can have without a payment.
fn unpaid_states() -> impl Iterator<Item = OrderState> {
    let used_elsewhere = OrderState::Rejected(Rejection::NumberUsedElsewhere);
    every_state()
        .into_iter()
        .filter(|state| state.payment().is_none())
        .chain([used_elsewhere])
}

/// The same state, except for an order that has no value yet: that is rejected.
fn unless_reserved(state: OrderState) -> OrderState {
    if state == OrderState::Reserved {
        OrderState::Rejected(Rejection::NumberUsedElsewhere)
    } else {
        state
    }
}

/// The result for a payment, the reason if it was parked, and the order's state afterwards.
fn kept(settlement: Settlement, state: &OrderState) -> (Option<ParkReason>, OrderState) {
    match settlement {
        Settlement::Change(change) => {
            assert_eq!(change.books(), None, "from {}", state.name());
            (change.parked.map(|parked| parked.reason), change.to)
        }
        Settlement::Park(parked) => (Some(parked.reason), state.clone()),
        Settlement::AlreadyDone | Settlement::StillOpen => (None, state.clone()),
    }
}

#[test]
fn our_own_refund_on_its_way_is_no_refund_from_elsewhere() {
    let mut order = order(OrderState::Paid(payment("420001")));
    order.refunds.committed_fen = 40;
    let refunded = ReportedPayment {
        refunded: true,
        ..money("420001", 100)
    };
    let notice = notice(TradeOutcome::Paid(refunded));
    assert_eq!(
        settle_trade(&order, &facts(), &notice, &context()),
        Settlement::AlreadyDone
    );
}

#[test]
fn a_second_payment_is_parked_and_never_booked() {
    for state in every_state()
        .iter()
        .filter(|state| state.payment().is_some())
    {
        let Settlement::Park(parked) =
            settle(state, &notice(TradeOutcome::Paid(money("420002", 100))))
        else {
            panic!("{}", state.name())
        };
        assert_eq!(
            parked.reason,
            ParkReason::SecondPayment {
                paid_by: TransactionId::parse("420001").unwrap()
            }
        );
    }
}

#[test]
fn money_that_differs_in_anything_is_parked_whatever_the_state() {
    let good = notice(TradeOutcome::Paid(money("420001", 100)));
    let in_dollars = ReportedPayment {
        currency: "USD".into(),
        ..money("420001", 100)
    };
    for (notice, field) in [
        (notice(TradeOutcome::Paid(money("420001", 99))), "amount"),
        (notice(TradeOutcome::Paid(money("420001", 101))), "amount"),
        (notice(TradeOutcome::Paid(in_dollars)), "currency"),
        (
            TradeNotice {
                mchid: "1900000002".into(),
                ..good.clone()
            },
            "mchid",
        ),
        (
            TradeNotice {
                appid: "wxb".into(),
                ..good.clone()
            },
            "appid",
        ),
        (
            TradeNotice {
                order_no: OrderNo::parse("ORDER-2").unwrap(),
                ..good
            },
            "out_trade_no",
        ),
    ] {
        for state in every_state() {
            let Settlement::Park(parked) = settle(&state, &notice) else {
                panic!("{field} in {}", state.name())
            };
            assert_eq!(parked.reason, ParkReason::Differs { field });
        }
    }
}

#[test]
fn unpaid_news_changes_nothing_in_any_state() {
    for state in every_state() {
        assert_eq!(
            settle(&state, &notice(TradeOutcome::Unpaid)),
            Settlement::StillOpen
        );
    }
}

#[test]
fn a_close_at_wechat_closes_open_orders_and_leaves_final_states_alone() {
    for state in every_state() {
        let open = matches!(
            state,
            OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing
        );
        match settle(&state, &notice(TradeOutcome::Closed)) {
            Settlement::Change(change) => assert!(
                open && change.to == OrderState::Closed,
                "from {}",
                state.name()
            ),
            other @ (Settlement::AlreadyDone | Settlement::StillOpen | Settlement::Park(_)) => {
                assert!(
                    !open && other == Settlement::AlreadyDone,
                    "from {}",
                    state.name()
                );
            }
        }
    }
}

#[test]
fn money_that_was_refunded_elsewhere_is_booked_and_shown_to_a_person() {
    let refunded = ReportedPayment {
        refunded: true,
        ..money("420001", 100)
    };
    for state in every_state() {
        let reason = match settle(&state, &notice(TradeOutcome::Paid(refunded.clone()))) {
            Settlement::Change(change) => change.parked.map(|parked| parked.reason),
            Settlement::Park(parked) => Some(parked.reason),
            Settlement::AlreadyDone => None,
            Settlement::StillOpen => panic!("{}", state.name()),
        };
        let known = matches!(
            state,
            OrderState::PartiallyRefunded(_) | OrderState::Refunded(_)
        );
        assert_eq!(
            reason,
            (!known).then_some(ParkReason::RefundedElsewhere),
            "from {}",
            state.name()
        );
    }
}

#[test]
fn money_for_an_unknown_order_is_parked() {
    let Settlement::Park(parked) =
        settle_unknown_trade(&notice(TradeOutcome::Paid(money("420001", 100))))
    else {
        panic!()
    };
    assert_eq!(parked.reason, ParkReason::UnknownOrder);
    assert_eq!(
        settle_unknown_trade(&notice(TradeOutcome::Unpaid)),
        Settlement::StillOpen
    );
}

#[test]
fn only_the_news_that_an_order_is_not_paid_yet_changes_no_order() {
    assert!(is_still_open(&notice(TradeOutcome::Unpaid)));
    assert!(!is_still_open(&notice(TradeOutcome::Closed)));
    assert!(!is_still_open(&notice(TradeOutcome::Paid(money(
        "420001", 100
    )))));
}
