//! What the books know: money, numbers, orders, refunds, parked payments and their events.

pub mod bill_date;
mod cause;
pub mod decision;
pub mod fingerprint;
pub mod ids;
pub mod journal;
pub mod merchant;
pub mod money;
pub mod next_check;
pub mod order;
pub mod order_refusal;
pub mod parked;
pub mod permissions;
pub mod refund;
pub mod trace;
