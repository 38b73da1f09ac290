//! `manage-order`: what a client does with an order that exists. So far `GET /v1/orders/{order_no}`.
//!
//! The way of a request: [`handler`].

mod asked;
pub mod desk;
pub mod handler;
mod route;
pub mod settings;
