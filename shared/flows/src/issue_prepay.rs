//! Getting a prepay value for an order: from `reserved` to `awaiting_payment`, or a fresh value for
//! an expired one.
//!
//! `attempt` has the steps in their order. First WeChat Pay is asked: `query` asks about what is
//! not known, `call` asks for the value. Then what was found is written: `store` writes a value,
//! `reject` a refusal, and `no_value` ends an attempt in any other case. `flow` is what they share.

mod attempt;
mod call;
mod flow;
mod no_value;
mod outcome;
mod query;
mod reject;
mod store;

pub use flow::IssueFlow;
pub use outcome::{IssueError, IssueOutcome, IssuedValue};
