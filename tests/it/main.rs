//! Tests across crates. Everything of ours is real: the handlers as they are deployed, the stores,
//! the clients, the AWS SDK. AWS is in the process, one for each test; WeChat Pay is the simulator,
//! over real HTTP. Clocks stand still until a test moves them. Only what proves commands and
//! documents (`documents`, `one_command`) runs the local engine.
//!
//! [`support`] sets up what a test needs. Each other module has the tests of one part.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed set-up ends the test and says what failed"
)]

mod alarms;
mod all_faults;
mod api_signatures;
mod batches;
mod blocked;
mod callbacks;
mod calls_counted;
mod certificates;
mod channels;
mod client_limits;
mod close;
mod console;
mod console_memory;
mod console_page;
mod contract;
mod cost;
mod crashes;
mod create_order;
mod days;
mod deployed;
mod documents;
mod error_lines;
mod forwarder;
mod late_money;
mod late_news;
mod leases;
mod ledger;
mod log_safety;
mod metrics;
mod odd_shapes;
mod one_command;
mod order_reads;
mod payer_owed;
mod refunds;
mod request_ids;
mod restore;
mod rotation;
mod runbooks;
mod scopes;
mod service_map;
mod settings;
mod shared_number;
mod spans;
mod strain;
mod strict_json;
mod support;
mod sweep;
mod time_limits;
mod traces;
mod two_releases;
mod unsigned;
mod webhooks;
mod what_is_sent;
