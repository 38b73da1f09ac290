//! Settling: what a piece of news does to an order. One path, whoever brought the news: a callback, a query, the sweep.

use wechatpay::UnixSeconds;

use crate::{
    ids::{OrderNo, TransactionId},
    journal::{Cause, Event},
    money::Fen,
    notice::{Money, Outcome, TradeNotice},
    order::{Order, OrderState, Payment},
};

/// What news does to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// Write this change.
    Change(Box<Change>),
    /// The order already says so.
    AlreadyDone,
    /// The news changes nothing: the order is still to be paid.
    StillOpen,
    /// A person has to decide; the money is kept in a record of its own and never applied.
    Park(Parked),
}

/// A change of an order, to be written in one transaction on the version it was decided on.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The state before; its version is the one that must still hold.
    pub from: Order,
    /// The state afterwards.
    pub to: OrderState,
    /// The event that goes with it.
    pub event: Event,
    /// What a person has to see besides. It is kept before the change is written, so that a crash in between loses neither.
    pub parked: Option<Parked>,
}

/// Money that is not applied to an order, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parked {
    /// The order that WeChat Pay names.
    pub order_no: OrderNo,
    /// The payment.
    pub transaction_id: TransactionId,
    /// What was paid, as reported.
    pub amount: Fen,
    /// When it was paid.
    pub paid_at: UnixSeconds,
    /// Why it was not applied.
    pub reason: ParkReason,
}

/// Why money was parked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParkReason {
    /// Nothing is known of the order.
    #[error(
        "no order has this number: find out who made it at WeChat Pay, then book or refund it by hand"
    )]
    UnknownOrder,
    /// A value differs from the order's.
    #[error("{field} differs from the order's: compare both sides, then book or refund it by hand")]
    Differs {
        /// Which one.
        field: &'static str,
    },
    /// The order is paid by another payment.
    #[error("the order is already paid by {paid_by}: refund this second payment")]
    SecondPayment {
        /// The payment that is booked.
        paid_by: TransactionId,
    },
    /// WeChat Pay says that money of this payment was given back, and it was not us.
    #[error(
        "the payment was refunded outside this system, in part or whole: look it up at WeChat Pay before anything is delivered"
    )]
    RefundedElsewhere,
}

impl ParkReason {
    /// A stable name for tables and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::Differs { field } => field,
            Self::SecondPayment { .. } => "second_payment",
            Self::RefundedElsewhere => "refunded_elsewhere",
        }
    }
}

/// Judges a notice about an order that nobody here knows: money is parked, anything else concerns us not.
pub fn judge_unknown(notice: &TradeNotice) -> Settlement {
    match &notice.outcome {
        Outcome::Paid(money) => Settlement::Park(parked(notice, money, ParkReason::UnknownOrder)),
        Outcome::Unpaid | Outcome::Closed => Settlement::StillOpen,
    }
}

/// Judges what a notice does to the order as it was read, at `now`. `mchid` is ours.
pub fn judge(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    cause: Cause,
    trace: &str,
    now: UnixSeconds,
) -> Settlement {
    match &notice.outcome {
        Outcome::Paid(money) => match difference(order, mchid, notice, money) {
            Some(field) => Settlement::Park(parked(notice, money, ParkReason::Differs { field })),
            None => paid(order, notice, money, cause, trace, now),
        },
        Outcome::Unpaid => Settlement::StillOpen,
        Outcome::Closed => closed(order, cause, trace, now),
    }
}

/// Invariant 4: booked means that all of these are equal to ours. The first that is not, by name.
fn difference(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    money: &Money,
) -> Option<&'static str> {
    [
        (notice.order_no == order.order_no, "out_trade_no"),
        (notice.mchid == mchid, "mchid"),
        (notice.appid == order.appid, "appid"),
        (money.total == order.amount, "amount"),
        (money.currency == "CNY", "currency"),
    ]
    .into_iter()
    .find_map(|(equal, field)| (!equal).then_some(field))
}

fn paid(
    order: &Order,
    notice: &TradeNotice,
    money: &Money,
    cause: Cause,
    trace: &str,
    now: UnixSeconds,
) -> Settlement {
    let refunded = money
        .refunded
        .then(|| parked(notice, money, ParkReason::RefundedElsewhere));
    let to = match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            OrderState::Paid(money.payment.clone())
        }
        // Owed back to the payer: the order was given up before the money came.
        OrderState::Closed | OrderState::Rejected => {
            OrderState::PaidAfterClose(money.payment.clone())
        }
        OrderState::Paid(booked)
        | OrderState::PartiallyRefunded(booked)
        | OrderState::Refunded(booked)
        | OrderState::PaidAfterClose(booked) => {
            if booked.transaction_id != money.payment.transaction_id {
                let paid_by = booked.transaction_id.clone();
                return Settlement::Park(parked(
                    notice,
                    money,
                    ParkReason::SecondPayment { paid_by },
                ));
            }
            // Only in `paid` does a refund surprise us; the other states know of one.
            return match refunded {
                Some(parked) if matches!(order.state, OrderState::Paid(_)) => {
                    Settlement::Park(parked)
                }
                Some(_) | None => Settlement::AlreadyDone,
            };
        }
    };
    let change = Change::new(order, to, cause, trace, now);
    Settlement::Change(Box::new(Change {
        parked: refunded,
        ..change
    }))
}

fn closed(order: &Order, cause: Cause, trace: &str, now: UnixSeconds) -> Settlement {
    match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            change(order, OrderState::Closed, cause, trace, now)
        }
        // Final states are never left by an older message (invariant 5).
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected
        | OrderState::PaidAfterClose(_) => Settlement::AlreadyDone,
    }
}

fn change(
    order: &Order,
    to: OrderState,
    cause: Cause,
    trace: &str,
    now: UnixSeconds,
) -> Settlement {
    Settlement::Change(Box::new(Change::new(order, to, cause, trace, now)))
}

impl Change {
    /// The change from the order as it was read to another state, with its event.
    pub fn new(order: &Order, to: OrderState, cause: Cause, trace: &str, now: UnixSeconds) -> Self {
        let event = Event {
            version: order.version.saturating_add(1),
            from: Some(order.state.name().to_owned()),
            to: to.name().to_owned(),
            cause,
            at: now,
            trace: trace.to_owned(),
        };
        Self {
            from: order.clone(),
            to,
            event,
            parked: None,
        }
    }

    /// The payment that this change books, if it books one.
    pub fn books(&self) -> Option<&Payment> {
        if self.from.state.payment().is_some() {
            None
        } else {
            self.to.payment()
        }
    }
}

fn parked(notice: &TradeNotice, money: &Money, reason: ParkReason) -> Parked {
    Parked {
        order_no: notice.order_no.clone(),
        transaction_id: money.payment.transaction_id.clone(),
        amount: money.total,
        paid_at: money.payment.paid_at,
        reason,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        ids::ClientId,
        order::{Attempt, Fingerprint, PayParams, Prepay, Product},
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
            sealed_body: Vec::new(),
            created_at: UnixSeconds(999_000),
            expires_at: UnixSeconds(1_007_200),
            attempt: Attempt::none("none".into()),
            state,
            version: 4,
            trace: "0af7651916cd43dd8448eb211c80319c".into(),
            due: None,
        }
    }

    fn notice(outcome: Outcome) -> TradeNotice {
        TradeNotice {
            mchid: MCHID.into(),
            appid: "wxa".into(),
            order_no: OrderNo::parse("ORDER-1").unwrap(),
            outcome,
        }
    }

    fn money(transaction_id: &str, fen: i64) -> Money {
        Money {
            payment: payment(transaction_id),
            total: Fen::new(fen).unwrap(),
            currency: "CNY".into(),
            refunded: false,
        }
    }

    fn settle(state: &OrderState, notice: &TradeNotice) -> Settlement {
        judge(
            &order(state.clone()),
            MCHID,
            notice,
            Cause::Notice("EV-1".into()),
            "t",
            NOW,
        )
    }

    fn awaiting() -> OrderState {
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
            OrderState::Rejected,
            OrderState::PaidAfterClose(paid),
        ]
    }

    #[test]
    fn money_does_to_each_state_what_the_design_says() {
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
            match settle(state, &notice(Outcome::Paid(money("420001", 100)))) {
                Settlement::Change(change) => {
                    assert_eq!(change.to.name(), becomes, "from {}", state.name());
                    assert_eq!(change.event.version, 5);
                    assert_eq!(change.event.from.as_deref(), Some(state.name()));
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
    fn a_second_payment_is_parked_and_never_booked() {
        for state in every_state()
            .iter()
            .filter(|state| state.payment().is_some())
        {
            let Settlement::Park(parked) =
                settle(state, &notice(Outcome::Paid(money("420002", 100))))
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
        let good = notice(Outcome::Paid(money("420001", 100)));
        let in_dollars = Money {
            currency: "USD".into(),
            ..money("420001", 100)
        };
        for (notice, field) in [
            (notice(Outcome::Paid(money("420001", 99))), "amount"),
            (notice(Outcome::Paid(money("420001", 101))), "amount"),
            (notice(Outcome::Paid(in_dollars)), "currency"),
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
                settle(&state, &notice(Outcome::Unpaid)),
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
            match settle(&state, &notice(Outcome::Closed)) {
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
        let refunded = Money {
            refunded: true,
            ..money("420001", 100)
        };
        for state in every_state() {
            let reason = match settle(&state, &notice(Outcome::Paid(refunded.clone()))) {
                Settlement::Change(change) => change.parked.map(|parked| parked.reason),
                Settlement::Park(parked) => Some(parked.reason),
                Settlement::AlreadyDone => None,
                Settlement::StillOpen => panic!("{}", state.name()),
            };
            let known = matches!(
                state,
                OrderState::PartiallyRefunded(_)
                    | OrderState::Refunded(_)
                    | OrderState::PaidAfterClose(_)
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
        let Settlement::Park(parked) = judge_unknown(&notice(Outcome::Paid(money("420001", 100))))
        else {
            panic!()
        };
        assert_eq!(parked.reason, ParkReason::UnknownOrder);
        assert_eq!(
            judge_unknown(&notice(Outcome::Unpaid)),
            Settlement::StillOpen
        );
    }
}
