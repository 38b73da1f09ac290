//! The rules: money, numbers, the states of an order, and what each piece of news does to them.
//!
//! Pure rules: no network, table, queue, `async` or clock. Input: what was read, the news and the
//! time. Output: what to write and what to answer. So a test can reach every rule about money with
//! literals.
//!
//! - [`model`] is what the books hold: orders, refunds, parked payments, events, and the numbers
//!   and money in them. It uses nothing of the others.
//! - [`news`] is what WeChat Pay sends, parsed into types of ours.
//! - [`rules`] decide. The files follow an order's life: `create_order` parses a merchant's
//!   request, `reserve_order` compares it with an order that exists, `issue_order` decides about
//!   WeChat Pay's answer to the prepay call, `settle_trade` about news of a payment, `close_order`
//!   about its answer to a close. `reserve_refund` accepts a refund, `settle_refund` decides about
//!   news of one, `decide_refund` about what an operator wants with it, `overdue_refund` when
//!   nothing comes. What they decide is a `change`; `schedule` says when the sweep checks again,
//!   and `webhook` what the merchant's system is sent.
//! - [`reconcile`] compares the days' bills with the books.

pub mod model;
pub mod news;
pub mod reconcile;
pub mod rules;
