//! The functions' log, stored for the checks: it must never contain a payer's data.

use std::{cell::RefCell, io, rc::Rc};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
};

/// The crates whose every line is stored; of others, the lines that any deployed setting logs.
const OURS: [&str; 15] = [
    "create_order",
    "flows",
    "manage_order",
    "message_signatures",
    "payments",
    "process_payment",
    "receive_callback",
    "reconcile",
    "runtime",
    "send_webhook",
    "standard_webhooks",
    "stores",
    "webhook_client",
    "wechat_client",
    "wechatpay",
];

thread_local! {
    static WRITTEN: Rc<RefCell<Vec<u8>>> = Rc::default();
}

/// Writes for the thread that logs.
struct LogWriter;

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with(|written| written.borrow_mut().extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `work` with everything that is logged on this thread kept, as lines of JSON like those that
/// are deployed.
pub(crate) fn kept<T>(work: impl FnOnce() -> T) -> T {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_ansi(false)
        .with_span_list(false)
        .without_time()
        .with_writer(|| LogWriter);
    let filter = OURS.iter().fold(
        Targets::new().with_default(LevelFilter::INFO),
        |filter, name| filter.with_target(*name, LevelFilter::TRACE),
    );
    let subscriber = tracing_subscriber::registry().with(lines).with(filter);
    tracing::subscriber::with_default(subscriber, work)
}

/// What was logged on this thread since [`forget`].
pub(crate) fn read() -> String {
    let written = WRITTEN.with(|written| written.borrow().clone());
    String::from_utf8(written).expect("text")
}

/// Forgets what was logged on this thread so far.
pub(crate) fn forget() {
    WRITTEN.with(|written| written.borrow_mut().clear());
}
