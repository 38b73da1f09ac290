//! The journal: one event for every change of an order, its refunds and its further payments,
//! written with the change itself.

use wechatpay::{RequestId, UnixSeconds};

use crate::model::{
    decision::OperatorDecision,
    ids::{OrderNo, RefundNo, TransactionId},
    order_refusal::OrderRefusal,
    trace::{SpanOf, span_id},
};

pub use crate::model::cause::Cause;

/// What an event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    Order,
    Refund(RefundNo),
    /// A payment other than the order's booked one.
    Payment(TransactionId),
}

impl Subject {
    /// The name of its kind in tables, the API and events.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Refund(_) => "refund",
            Self::Payment(_) => "payment",
        }
    }

    /// Its number, under this order.
    pub fn id<'a>(&'a self, order_no: &'a OrderNo) -> &'a str {
        match self {
            Self::Order => order_no.as_str(),
            Self::Refund(refund_no) => refund_no.as_str(),
            Self::Payment(transaction_id) => transaction_id.as_str(),
        }
    }
}

/// How long a message that caused a change had waited, and was worked on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// From its sending until the work on it began.
    pub queued_ms: u32,
    /// From there until the change was decided.
    pub worked_ms: u32,
    /// How often it was received by then: from 2 on it had failed before.
    pub received: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The order's version after the change. Each change of anything under an order increments its
    /// version.
    pub version: u64,
    pub subject: Subject,
    /// The state before it; `None` for the first.
    pub from: Option<String>,
    /// The state after it.
    pub to: String,
    pub cause: Cause,
    /// When, by our clock (Unix seconds).
    pub at: UnixSeconds,
    /// The millisecond within that second. Events of earlier versions have none.
    pub millisecond: Option<u16>,
    /// Of the message that caused it, if one did. Events of earlier versions have none.
    pub delivery: Option<Delivery>,
    /// The trace it happened under.
    pub trace: String,
    /// Whether the trace's spans are kept. Events of earlier versions say that they are.
    pub is_sampled: bool,
    /// WeChat Pay's `Request-ID` of the answer or callback that reported this: its support asks for
    /// it.
    pub request_id: Option<RequestId>,
    /// For a rejected order: WeChat Pay's refusal.
    pub refusal: Option<OrderRefusal>,
    /// For a refund that is to be sent to WeChat Pay: the planned time.
    pub next_try_at: Option<UnixSeconds>,
    /// The operator's decision that caused the change, if any.
    pub decision: Option<OperatorDecision>,
}

impl Event {
    /// When, in Unix milliseconds. An event of an earlier version is as exact as its second.
    pub fn at_ms(&self) -> i64 {
        let within = i64::from(self.millisecond.unwrap_or_default());
        self.at.0.saturating_mul(1000).saturating_add(within)
    }

    /// The span that stands for it in its trace.
    pub fn span_id(&self, order_no: &OrderNo) -> String {
        let version = self.version;
        span_id(&self.trace, SpanOf::Event { order_no, version })
    }

    /// The span of the work that caused it.
    pub fn parent_span_id(&self) -> String {
        let received = self.delivery.map_or(1, |delivery| delivery.received);
        let cause = &self.cause;
        span_id(&self.trace, SpanOf::Work { cause, received })
    }
}

/// Why, when and under which trace something changes: shared by all events of one change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangeContext {
    pub cause: Cause,
    pub trace: String,
    /// Whether the trace's spans are kept.
    pub is_sampled: bool,
    /// When, by our clock.
    pub at: UnixSeconds,
    /// The millisecond within that second.
    pub millisecond: Option<u16>,
    /// Of the message that is the cause, if one is.
    pub delivery: Option<Delivery>,
    /// The `Request-ID` with which WeChat Pay reported it, if it did.
    pub request_id: Option<RequestId>,
}

impl ChangeContext {
    /// The same, as reported by WeChat Pay with this `Request-ID`.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<&RequestId>) -> Self {
        self.request_id = request_id.cloned();
        self
    }

    /// The event of one change that follows `version`.
    pub fn event(
        &self,
        version: u64,
        subject: Subject,
        from: Option<&'static str>,
        to: &'static str,
    ) -> Event {
        Event {
            version,
            subject,
            from: from.map(str::to_owned),
            to: to.to_owned(),
            cause: self.cause.clone(),
            at: self.at,
            millisecond: self.millisecond,
            delivery: self.delivery,
            trace: self.trace.clone(),
            is_sampled: self.is_sampled,
            request_id: self.request_id.clone(),
            refusal: None,
            next_try_at: None,
            decision: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_kept_by_these_names_and_read_again_as_it_was() {
        let id = || "the-id".to_owned();
        for (cause, kind) in [
            (Cause::Request(id()), "request"),
            (Cause::Message(id()), "message"),
            (Cause::Notice(id()), "notice"),
            (Cause::Sweep(id()), "sweep"),
            (Cause::Reconciliation(id()), "reconciliation"),
        ] {
            assert_eq!((cause.kind(), cause.id()), (kind, "the-id"));
            assert_eq!(Cause::of(kind, id()), Some(cause));
        }
        assert_eq!(Cause::of("weather", id()), None);
    }

    #[test]
    fn a_subject_is_kept_by_these_names_and_by_its_own_number() {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let refund_no = RefundNo::parse("R1").expect("a number");
        let transaction_id = TransactionId::parse("4200").expect("an id");
        for (subject, kind, id) in [
            (Subject::Order, "order", "ORDER-1"),
            (Subject::Refund(refund_no), "refund", "R1"),
            (Subject::Payment(transaction_id), "payment", "4200"),
        ] {
            assert_eq!((subject.kind(), subject.id(&order_no)), (kind, id));
        }
    }

    #[test]
    fn an_event_names_its_own_span_and_the_span_of_the_work_that_caused_it() {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let context = ChangeContext {
            cause: Cause::Message("m1".to_owned()),
            trace: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            is_sampled: true,
            at: UnixSeconds(1),
            millisecond: None,
            delivery: None,
            request_id: None,
        };
        let event = context.event(2, Subject::Order, Some("reserved"), "paid");
        assert_eq!(event.span_id(&order_no), "b769827d5fe15f09");
        let work = SpanOf::Work {
            cause: &context.cause,
            received: 1,
        };
        assert_eq!(event.parent_span_id(), span_id(&context.trace, work));
    }
}
