//! `manage-order`: what a client does with an order that exists. So far `GET
//! /v1/orders/{order_no}`.
//!
//! The way of a request: [`handler`].

pub mod app;
pub mod handler;
mod input;
mod route;
pub mod settings;
