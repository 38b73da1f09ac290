//! A WeChat Pay APIv3 to develop and test against.
//!
//! WeChat Pay has no sandbox for its v3 API. This one listens on 127.0.0.1, verifies every
//! request's signature, keeps orders, refunds and bills by WeChat Pay's rules, signs its answers,
//! delivers sealed callbacks with the official ladder of repeats, and makes errors on request
//! ([`Fault`]). It shares no cryptographic code with the product it tests, so an error on one side
//! cannot hide on the other.
//!
//! ```no_run
//! use wechatpay_simulator::{Config, PayOptions, Simulator};
//!
//! let simulator = Simulator::start(Config::for_tests())?;
//! println!("{}", simulator.base_url); // takes the place of https://api.mch.weixin.qq.com
//! // ... create an order there, then:
//! simulator.admin().pay("ORDER-1001", &PayOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It runs on threads of its own: a caller may block, or end its own runtime, without stopping it.
#![expect(
    clippy::disallowed_types,
    reason = "signs by `rsa`, which the product does not: on loopback, with keys made for tests"
)]

mod address;
mod admin;
mod admin_answers;
mod admin_http;
mod admin_state;
mod api;
mod authorization;
mod bills;
mod books;
mod callbacks;
mod certificate;
mod clock;
mod config;
mod credentials;
mod details;
mod endpoint;
mod faults;
mod gateway;
mod ids;
mod index;
mod journal;
mod keys;
mod ledger;
mod merchant_platform;
mod notices;
mod order;
mod outbox;
mod phone;
mod post;
mod quota;
mod refund;
mod refunding;
mod refusal;
mod rules;
mod schema;
mod server;
mod settings;
mod signed_callback;
mod sim;
mod start;
mod state_file;
mod stored;
mod v2_notice;
mod views;

pub use admin::Admin;
pub use bills::{
    differences::{InjectedDifference, PlantedDifference, SummaryOf, WantedDifference},
    making::{GenerateDay, GenerateError, GeneratedDay},
    planting::DifferenceError,
};
pub use books::{PayError, PayOptions};
pub use callbacks::{Callback, CallbackStatus, ECHO_LADDER_S, NoticeFormat, PAYMENT_LADDER_S, Try};
pub use certificate::CertificateError;
pub use clock::Time;
pub use config::{Config, GivenMerchant, Keys, Log, Merchant, SigningMode};
pub use credentials::CredentialsError;
pub use details::ClientDetails;
pub use endpoint::{Endpoint, Product};
pub use faults::Fault;
pub use keys::KeyError;
pub use ledger::FundAccount;
pub use merchant_platform::CertificateUse;
pub use notices::ManualNotice;
pub use order::{Attempt, AttemptOutcome, Order, Payment, Prepay, TradeState};
pub use refund::{Refund, RefundEnd, RefundOutcome, RefundSource, RefundStatus};
pub use rules::{ActiveRule, BadRule, Rule};
pub use settings::{BadSettings, ChangedRefund, LineEnds, PaidClose, Settings};
pub use signed_callback::{Damage, SignedCallback};
pub use start::{Running, Simulator, StartError};
pub use state_file::StateError;
pub use views::{ConsoleRefund, ConsoleRefundError, OrderView, PaymentView, SettleError};
