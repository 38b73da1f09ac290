//! A change of an order and of its parts, which is written whole or not at all.

use crate::{
    model::{
        decision::OperatorDecision,
        ids::TransactionId,
        journal::{ChangeContext, Event, Subject},
        next_check::NextCheck,
        order::{Order, OrderState, Payment, RefundTally, Rejection},
        parked::{ParkedState, PaymentToPark},
        refund::Refund,
    },
    rules::{
        close_order::{CloseEligibility, close_eligibility},
        schedule,
    },
};

/// The effect of a change on a refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefundChange {
    /// It comes into being.
    New(Box<Refund>),
    /// It goes from the first to the second.
    Updated(Box<Refund>, Box<Refund>),
}

/// The effect of a change on a parked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParkedPaymentChange {
    pub transaction_id: TransactionId,
    /// The state that it must still have.
    pub from: ParkedState,
    /// The state that it has then.
    pub to: ParkedState,
}

impl ParkedPaymentChange {
    /// The change of an order with the event of this one.
    pub(crate) fn noted(&self, change: OrderChange, context: &ChangeContext) -> OrderChange {
        change.with_event(
            Subject::Payment(self.transaction_id.clone()),
            Some(self.from.name()),
            self.to.name(),
            context,
        )
    }
}

/// A change of an order and of its parts, to be written at once, on the version that it was decided
/// on.
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
    pub parked_payment: Option<ParkedPaymentChange>,
    /// The payment that is parked with it, if it is not parked already.
    pub parked: Option<PaymentToPark>,
}

impl OrderChange {
    /// The change of the order as it was read to another state, with its event; `None` if the state
    /// stays the same.
    pub fn new(order: &Order, to: OrderState, context: &ChangeContext) -> Self {
        let (from, becomes) = (order.state.name(), to.name());
        let refusal = to.rejection().map(Rejection::refusal);
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

    pub(crate) fn with_parked_payment(
        self,
        parked: PaymentToPark,
        context: &ChangeContext,
    ) -> Self {
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

    /// The event that the order's item embeds: this change then is one conditional write of that
    /// item, where an event's own item takes a transaction, which DynamoDB charges twice. `None`
    /// where other items change with the order, and for orders of earlier versions.
    ///
    /// The Pipe in `template.yaml` publishes an embedded event by the step of the order's state, so
    /// these steps are those of its filters.
    pub fn embedded_event(&self) -> Option<&Event> {
        self.from.latest_event.as_ref()?;
        let [event] = self.events.as_slice() else {
            return None;
        };
        let is_alone =
            self.refund.is_none() && self.parked_payment.is_none() && self.parked.is_none();
        let is_published = match &self.to {
            OrderState::Paid(_) | OrderState::Closed | OrderState::Rejected(_) => {
                match close_eligibility(&self.from) {
                    CloseEligibility::Open | CloseEligibility::Closing => true,
                    CloseEligibility::Over | CloseEligibility::Paid => false,
                }
            }
            OrderState::Closing => close_eligibility(&self.from) == CloseEligibility::Open,
            OrderState::Reserved
            | OrderState::AwaitingPayment(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::PaidAfterClose(_) => false,
        };
        (is_alone && is_published && event.subject == Subject::Order).then_some(event)
    }

    /// The order after the change is written.
    pub fn order_after(&self) -> Order {
        let latest_event = self.embedded_event().or(self.from.latest_event.as_ref());
        Order {
            state: self.to.clone(),
            refunds: self.refunds,
            version: self.version(),
            due: self.due(),
            latest_event: latest_event.cloned(),
            ..self.from.clone()
        }
    }

    /// When the sweep checks the order next, after the change.
    pub fn due(&self) -> Option<NextCheck> {
        let decided_at = self.events.last()?.at;
        schedule::next_order_check(&self.from, &self.to, decided_at)
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

#[cfg(test)]
mod tests;
