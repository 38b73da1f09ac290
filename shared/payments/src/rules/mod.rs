//! What a request, a piece of news or the time does to an order and its refunds.

pub mod change;
pub mod close_order;
pub mod create_order;
pub mod decide_refund;
pub mod issue_order;
pub mod overdue_refund;
pub mod request;
pub mod reserve_order;
pub mod reserve_refund;
pub mod retry;
pub mod schedule;
pub mod settle_refund;
pub mod settle_trade;
pub mod transition;
pub mod waterfall;
pub mod webhook;
