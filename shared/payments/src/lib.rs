//! The rules of the bundle: money, numbers, the states of an order, and what each piece of news
//! does to them.
//!
//! Pure rules: no network, table, queue, `async` or clock. Input: what was read, the news and the
//! time. Output: what to write and what to answer. So a test can reach every rule about money with
//! literals.
//!
//! The way through the files follows an order's life: [`create`] reads a merchant's request,
//! [`reserve`] judges what the table already holds under that number, [`issue`] judges WeChat Pay's
//! answer to the prepay call, [`notice`] reads news about money, [`settle`] says what that news
//! does to the order, [`journal`] is what is written about it. [`refund`] takes refunds on,
//! [`refund_news`] says what WeChat Pay's word does to them, [`close`] what its answer to a close
//! means, and [`webhook`] what the merchant's system is told.

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
