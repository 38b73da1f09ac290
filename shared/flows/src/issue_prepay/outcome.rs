//! What an attempt to get a prepay value finds out, and what comes of it.

use payments::{
    model::{
        order::{Order, WrongValue},
        order_refusal::OrderRefusal,
    },
    rules::issue_order::IssueFailure,
};
use stores::order_table::TableError;
use wechat_client::api::NotSent;
use wechatpay::{
    RequestId, UnixSeconds,
    api::{PrepayValue, Refusal},
    sign::SignError,
};

use crate::{problem::Problem, query_order::QueryError, stored_body::BodyError};

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum IssueOutcome {
    /// This attempt got the order a value. Whoever asked for it logs that.
    Issued(IssuedValue),
    /// The present order, which needs no further attempt: another attempt got it a value, or it
    /// changed meanwhile (paid, closed).
    Order(Box<Order>),
    /// The order is rejected: WeChat Pay refused it for good.
    Rejected(OrderRefusal),
    /// The order still needs a prepay value. A later attempt or the sweep continues.
    Later(IssueFailure),
}

/// A prepay value that was got and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedValue {
    /// The order with it.
    pub order: Box<Order>,
    /// Whether it takes the place of an expired one.
    pub is_renewed: bool,
    /// WeChat Pay's `Request-ID` of the answer.
    pub request_id: Option<RequestId>,
}

impl IssueOutcome {
    /// The outcome for an order that others changed meanwhile.
    pub(super) fn of_changed(order: Order, now: UnixSeconds) -> Self {
        match order.state.rejection() {
            Some(why) => Self::Rejected(why.refusal()),
            None if order.needs_prepay(now) => Self::Later(IssueFailure::Unknown(
                "the order was changed and has no value yet".to_owned(),
            )),
            None => Self::Order(Box::new(order)),
        }
    }
}

/// What WeChat Pay's answers say, before it is written.
pub(super) enum Finding {
    /// A value, answered under this `Request-ID`.
    Value {
        value: PrepayValue,
        request_id: Option<RequestId>,
    },
    /// The order is refused for good.
    Refused(Refusal),
    /// A query gave the order's state, which is settled: the stored order is the outcome.
    Settled,
    /// No certain result for now.
    PutOff(IssueFailure),
}

impl Finding {
    /// No answer that decides, for this reason.
    pub(super) fn unknown(reason: &str) -> Self {
        Self::PutOff(IssueFailure::Unknown(reason.to_owned()))
    }
}

/// Why an attempt failed on our side. The order is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The stored body could not be opened or sealed.
    #[error("the order's stored body could not be opened")]
    Body(#[from] BodyError),
    /// The call could not be sent.
    #[error("WeChat Pay could not be called")]
    NotSent(#[from] NotSent),
    /// The client-side parameters could not be signed.
    #[error("the parameters for the payer could not be signed")]
    Sign(#[from] SignError),
    /// WeChat Pay's value does not match the product.
    #[error(transparent)]
    WrongValue(#[from] WrongValue),
    #[error("the order could not be written")]
    Table(#[from] TableError),
    /// The query that decides failed on our side.
    #[error("WeChat Pay's view of the order could not be settled")]
    Query(#[from] QueryError),
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        Self::unavailable(&error)
    }
}
