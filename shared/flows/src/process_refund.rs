//! Refunds: accepting them, and carrying them out at WeChat Pay.
//!
//! A conditional write reserves the money before WeChat Pay is called. Then the queue or the sweep,
//! whichever is first, claims the refund and sends it. From the second attempt on, WeChat Pay is
//! queried before the refund is sent again, always with the same number and the same bytes. Sending
//! a refund blocks its order for a minute, since WeChat Pay accepts one refund a minute and several
//! postponed refunds may be due at the same time.
//!
//! By what is done: `reserve` accepts a refund; `advance` claims one that is due, and `query`,
//! `send`, `accepted` and `overdue` are its steps; `settle` settles news; `decide` and `redirect`
//! carry out what operators decide, and `note_redirection` notes what news says of that. `flow` is
//! what they share.

mod accepted;
mod advance;
mod decide;
mod flow;
mod note_redirection;
mod overdue;
mod query;
mod redirect;
mod reserve;
mod send;
mod settle;

pub use decide::{DecisionOutcome, RefundRef};
pub use flow::{Advanced, RefundError, RefundFlow};
pub use redirect::RedirectTarget;
pub use reserve::{RefundBy, ReserveRefundOutcome};
