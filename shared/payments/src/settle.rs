//! Settling: what a piece of news does to an order. There is one path for all sources: a callback,
//! a query, the sweep.

use wechatpay::UnixSeconds;

use crate::{
    due::{self, NextCheck},
    ids::{ClientId, OrderNo, TransactionId},
    journal::{ChangeContext, Event, Subject},
    money::Fen,
    notice::{ReportedPayment, TradeNotice, TradeOutcome, payment_notice_id},
    order::{Order, OrderState, Payment, RefundTally, Rejection},
    refund::{self, ParkedPaymentChange, ParkedState, RefundChange},
    refund_decision::OperatorDecision,
};

/// Values that are fixed for a deployment and needed for decisions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MerchantFacts {
    /// The merchant number.
    pub mchid: String,
    /// Where WeChat Pay sends its callbacks, also for refunds.
    pub notify_url: String,
}

/// What news does to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// Write this change.
    Change(Box<OrderChange>),
    /// The order already says so.
    AlreadyDone,
    /// The news changes nothing: the order is still unpaid.
    StillOpen,
    /// An operator must decide; the payment is parked in its own record and never applied.
    Park(PaymentToPark),
}

/// A change of an order and of its parts, to be written in one transaction on the version that it
/// was decided on.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderChange {
    /// The order before; its version is the one that must still hold.
    pub from: Order,
    /// The state afterwards.
    pub to: OrderState,
    /// The amount to be refunded afterwards.
    pub refunds: RefundTally,
    /// Its events, at least one, with increasing versions.
    pub events: Vec<Event>,
    /// The refund that is created or changed with it.
    pub refund: Option<RefundChange>,
    /// The parked payment that is changed with it.
    pub parked_payment: Option<ParkedPaymentChange>,
    /// The payment that is parked with it, if it is not parked already.
    pub parked: Option<PaymentToPark>,
}

impl PaymentToPark {
    /// Its id in the notices table.
    pub fn notice_id(&self) -> String {
        payment_notice_id(self.transaction_id.as_str())
    }
}

/// A payment that is not applied to an order, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaymentToPark {
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
    /// WeChat Pay says that a part of this payment was refunded, but not by us.
    #[error(
        "the payment was refunded outside this system, in part or whole: look it up at WeChat Pay before anything is delivered"
    )]
    RefundedElsewhere,
    /// The order was never created at WeChat Pay, because another system had used its number there.
    #[error(
        "another system that shares this merchant number has used the order's number: leave the payment to that system and tell the order's client to take a new number; nothing is booked or given back here. If our own record of the order was lost, compare with a backup first"
    )]
    NumberUsedElsewhere,
    /// It was paid before the order was created here.
    #[error(
        "the payment is older than the order: another system that shares this merchant number was paid under its number; find out which, and book or refund it there. If our own record of the order was lost, compare with a backup first"
    )]
    OlderThanOrder,
}

impl ParkReason {
    /// A stable name for tables and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::Differs { field } => field,
            Self::SecondPayment { .. } => "second_payment",
            Self::RefundedElsewhere => "refunded_elsewhere",
            Self::NumberUsedElsewhere => "number_used_elsewhere",
            Self::OlderThanOrder => "older_than_order",
        }
    }
}

/// For an order we do not know: a payment is parked, anything else is ignored.
pub fn settle_unknown_trade(notice: &TradeNotice) -> Settlement {
    match &notice.outcome {
        TradeOutcome::Paid(money) => {
            Settlement::Park(parked(notice, money, ParkReason::UnknownOrder))
        }
        TradeOutcome::Unpaid | TradeOutcome::Closed => Settlement::StillOpen,
    }
}

/// A payment that is older than its order by this much, in seconds, is not the order's. A smaller
/// difference may be due to different clocks.
const OLDER_S: i64 = 60;

/// Decides what a notice does to the order as it was read.
pub fn settle_trade(
    order: &Order,
    facts: &MerchantFacts,
    notice: &TradeNotice,
    context: &ChangeContext,
) -> Settlement {
    match &notice.outcome {
        TradeOutcome::Paid(money) => {
            if let Some(reason) = of_another_system(order, &facts.mchid, notice, money) {
                return park_foreign(order, parked(notice, money, reason), context);
            }
            match first_mismatch(order, &facts.mchid, notice, money) {
                Some(field) => {
                    Settlement::Park(parked(notice, money, ParkReason::Differs { field }))
                }
                None => paid(order, notice, money, facts, context),
            }
        }
        TradeOutcome::Unpaid => Settlement::StillOpen,
        TradeOutcome::Closed => closed(order, context),
    }
}

/// Decides what a notice does to an order that was never sent to WeChat Pay: the order there under
/// this number is another system's, paid or not.
pub fn settle_foreign_trade(
    order: &Order,
    facts: &MerchantFacts,
    notice: &TradeNotice,
    context: &ChangeContext,
) -> Settlement {
    if order.state.payment().is_some() {
        return settle_trade(order, facts, notice, context);
    }
    match (&notice.outcome, &order.state) {
        (TradeOutcome::Paid(money), _) => {
            let parked = parked(notice, money, ParkReason::NumberUsedElsewhere);
            park_foreign(order, parked, context)
        }
        (TradeOutcome::Unpaid | TradeOutcome::Closed, OrderState::Reserved) => {
            Settlement::Change(Box::new(used_elsewhere(order, context)))
        }
        (TradeOutcome::Unpaid | TradeOutcome::Closed, _) => Settlement::AlreadyDone,
    }
}

/// Why a payment under an order's number cannot be for it: several systems may share one merchant
/// number, and each order number exists only once for all of them.
fn of_another_system(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    money: &ReportedPayment,
) -> Option<ParkReason> {
    if notice.order_no != order.order_no || notice.mchid != mchid {
        return None; // it came under another number
    }
    let age_s = order.created_at.0.saturating_sub(money.payment.paid_at.0);
    match &order.state {
        OrderState::Rejected(Rejection::NumberUsedElsewhere) => {
            Some(ParkReason::NumberUsedElsewhere)
        }
        // The order was created for this earlier payment, so that it can be refunded.
        OrderState::Closed if order.client_id.as_str() == ClientId::UNATTRIBUTED => None,
        OrderState::Reserved
        | OrderState::AwaitingPayment(_)
        | OrderState::Closing
        | OrderState::Closed
        | OrderState::Rejected(Rejection::Refused(_)) => {
            (age_s >= OLDER_S).then_some(ParkReason::OlderThanOrder)
        }
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::PaidAfterClose(_) => None,
    }
}

/// Another system's payment is parked. If the order has no prepay value yet, it can never get one
/// under this number.
fn park_foreign(order: &Order, parked: PaymentToPark, context: &ChangeContext) -> Settlement {
    if order.state == OrderState::Reserved {
        let change = used_elsewhere(order, context).with_parked_payment(parked, context);
        Settlement::Change(Box::new(change))
    } else {
        Settlement::Park(parked)
    }
}

fn used_elsewhere(order: &Order, context: &ChangeContext) -> OrderChange {
    let rejected = OrderState::Rejected(Rejection::NumberUsedElsewhere);
    OrderChange::new(order, rejected, context)
}

/// shared/payments/STATES.md, I4: booked means that all of these are equal to ours. Returns the
/// name of the first that differs.
fn first_mismatch(
    order: &Order,
    mchid: &str,
    notice: &TradeNotice,
    money: &ReportedPayment,
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
    money: &ReportedPayment,
    facts: &MerchantFacts,
    context: &ChangeContext,
) -> Settlement {
    // WeChat Pay says `REFUND` from the first refund on, also for ours.
    let refunded_elsewhere = (money.refunded && order.refunds.committed_fen == 0)
        .then(|| parked(notice, money, ParkReason::RefundedElsewhere));
    let change = match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            OrderChange::new(order, OrderState::Paid(money.payment.clone()), context)
        }
        // Owed back to the payer: the order was given up before the payment arrived. What others
        // refunded already is not refunded again.
        OrderState::Closed | OrderState::Rejected(_) => {
            let booked = OrderState::PaidAfterClose(money.payment.clone());
            let change = OrderChange::new(order, booked, context);
            if money.refunded {
                change
            } else {
                refund::add_late_refund(change, &money.payment, &facts.notify_url, context)
            }
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
            return match refunded_elsewhere {
                // Booked, and no refund is known. A parked payment stays parked.
                Some(parked)
                    if matches!(
                        order.state,
                        OrderState::Paid(_) | OrderState::PaidAfterClose(_)
                    ) =>
                {
                    Settlement::Park(parked)
                }
                Some(_) | None => Settlement::AlreadyDone,
            };
        }
    };
    Settlement::Change(Box::new(match refunded_elsewhere {
        Some(parked) => change.with_parked_payment(parked, context),
        None => change,
    }))
}

fn closed(order: &Order, context: &ChangeContext) -> Settlement {
    match &order.state {
        OrderState::Reserved | OrderState::AwaitingPayment(_) | OrderState::Closing => {
            Settlement::Change(Box::new(OrderChange::new(
                order,
                OrderState::Closed,
                context,
            )))
        }
        // An older message never changes a final state (shared/payments/STATES.md, I5).
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_)
        | OrderState::PaidAfterClose(_) => Settlement::AlreadyDone,
    }
}

impl OrderChange {
    /// The change of the order as it was read to another state, with its event; `None` if the state
    /// stays the same.
    pub fn new(order: &Order, to: OrderState, context: &ChangeContext) -> Self {
        let (from, becomes) = (order.state.name(), to.name());
        let refusal = to.rejection().map(Rejection::told);
        let change = Self {
            from: order.clone(),
            to,
            refunds: order.refunds,
            events: Vec::new(),
            refund: None,
            parked_payment: None,
            parked: None,
        };
        if from == becomes {
            change
        } else {
            let mut change = change.with_event(Subject::Order, Some(from), becomes, context);
            if let Some(event) = change.events.last_mut() {
                event.refusal = refusal;
            }
            change
        }
    }

    /// The change that parks a payment and leaves the order unchanged.
    pub fn to_park(order: &Order, parked: PaymentToPark, context: &ChangeContext) -> Self {
        Self::new(order, order.state.clone(), context).with_parked_payment(parked, context)
    }

    /// The change without parking its payment, which is parked already.
    #[must_use]
    pub fn without_parking(mut self) -> Self {
        if self.parked.take().is_some() {
            self.events.pop();
        }
        self
    }

    /// The change that books a payment which was parked before its order was known: it is no longer
    /// parked.
    #[must_use]
    pub fn with_payment_unparked(
        self,
        transaction_id: &TransactionId,
        context: &ChangeContext,
    ) -> Self {
        let parked = ParkedPaymentChange {
            transaction_id: transaction_id.clone(),
            from: ParkedState::Parked,
            to: ParkedState::Booked,
        };
        let mut change = parked.noted(self, context);
        change.parked_payment = Some(parked);
        change
    }

    /// Whether the payment that this change books is older than its order: it may have been parked
    /// because there was no order.
    pub fn books_older_money(&self) -> bool {
        self.books()
            .is_some_and(|payment| payment.paid_at < self.from.created_at)
    }

    /// The change, with a payment to be parked.
    fn with_parked_payment(self, parked: PaymentToPark, context: &ChangeContext) -> Self {
        let subject = Subject::Payment(parked.transaction_id.clone());
        let parked_name = ParkedState::Parked.name();
        Self {
            parked: Some(parked),
            ..self.with_event(subject, None, parked_name, context)
        }
    }

    /// The change with one more event.
    #[must_use]
    pub(crate) fn with_event(
        mut self,
        subject: Subject,
        from: Option<&'static str>,
        to: &'static str,
        context: &ChangeContext,
    ) -> Self {
        let version = self.version().saturating_add(1);
        self.events.push(context.event(version, subject, from, to));
        self
    }

    /// The change as the result of an operator's decision: each of its events names it.
    #[must_use]
    pub(crate) fn decided(mut self, decision: &OperatorDecision) -> Self {
        for event in &mut self.events {
            event.decision = Some(decision.clone());
        }
        self
    }

    /// The version that the order has afterwards.
    pub fn version(&self) -> u64 {
        self.events
            .last()
            .map_or(self.from.version, |event| event.version)
    }

    /// The order after the change is written.
    pub fn order_after(&self) -> Order {
        Order {
            state: self.to.clone(),
            refunds: self.refunds,
            version: self.version(),
            due: self.due(),
            ..self.from.clone()
        }
    }

    /// When the sweep checks the order next, after the change.
    pub fn due(&self) -> Option<NextCheck> {
        let decided_at = self.events.last()?.at;
        due::next_order_check(&self.from, &self.to, decided_at)
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

fn parked(notice: &TradeNotice, money: &ReportedPayment, reason: ParkReason) -> PaymentToPark {
    PaymentToPark {
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
        journal::Cause,
        order::{Fingerprint, IssueLease, PayParams, Prepay, Product},
        refund::PaymentKind,
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
            attempt: IssueLease::none("none".into()),
            issued: false,
            state,
            refunds: RefundTally::NONE,
            version: 5,
            trace: "0af7651916cd43dd8448eb211c80319c".into(),
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
            at: NOW,
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
            let told: Vec<_> = change
                .events
                .iter()
                .map(|event| (event.version, event.to.as_str()))
                .collect();
            assert_eq!(told, [(6, "paid_after_close"), (7, "reserved")]);
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
        let told: Vec<_> = change
            .events
            .iter()
            .map(|event| event.to.as_str())
            .collect();
        assert_eq!(told, ["paid", "booked"]);
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
                client_id: crate::ids::ClientId::new(client),
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
        for (created_at, is_older) in [(paid_at - 1, false), (paid_at, false), (paid_at + 1, true)]
        {
            let order = Order {
                created_at: UnixSeconds(created_at),
                ..order(OrderState::Reserved)
            };
            let notice = notice(TradeOutcome::Paid(money("420001", 100)));
            let Settlement::Change(change) = settle_trade(&order, &facts(), &notice, &context())
            else {
                panic!()
            };
            assert_eq!(change.books_older_money(), is_older, "{created_at}");
        }
    }

    #[test]
    fn what_wechat_pay_has_under_a_number_that_we_never_sent_rejects_the_order_and_pays_nothing() {
        for state in unpaid_states() {
            let judged = |outcome| {
                let judged = settle_foreign_trade(
                    &order(state.clone()),
                    &facts(),
                    &notice(outcome),
                    &context(),
                );
                kept(judged, &state)
            };
            let becomes = unless_reserved(state.clone());
            let (reason, then) = judged(TradeOutcome::Paid(money("420001", 100)));
            assert_eq!(
                (reason, then),
                (Some(ParkReason::NumberUsedElsewhere), becomes.clone())
            );
            for unpaid in [TradeOutcome::Unpaid, TradeOutcome::Closed] {
                assert_eq!(judged(unpaid), (None, becomes.clone()));
            }
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
}
