//! The rules: money, numbers, the states of an order, and what each piece of news does to them.
//!
//! Pure rules: no network, table, queue, `async` or clock. Input: what was read, the news and the
//! time. Output: what to write and what to answer. So a test can reach every rule about money with
//! literals.
//!
//! The files follow an order's life: [`create`] parses a merchant's request, [`reserve`] decides
//! about an existing order under that number, [`issue`] about WeChat Pay's answer to the prepay
//! call. [`notice`] parses news about payments, [`settle`] decides what that news does to the
//! order, [`journal`] defines the events for it. [`refund`] accepts refunds, [`refund_news`]
//! decides what WeChat Pay's news does to them, [`close`] what its answer to a close means, and
//! [`webhook`] what is sent to the merchant's system.

pub mod close;
pub mod create;
pub mod due;
pub mod ids;
pub mod issue;
pub mod journal;
pub mod money;
pub mod notice;
pub mod order;
pub mod overdue;
pub mod reconcile;
pub mod refund;
pub mod refund_decision;
pub mod refund_news;
pub mod request;
pub mod reserve;
pub mod settle;
pub mod webhook;
