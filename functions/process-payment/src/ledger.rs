//! Writes to the ledger of notices: every callback that did not settle at the first attempt. Others
//! have no record, so the usual case costs no write.

use flows::{problem::ErrorChain, sqs_event::SqsRecord, verdict::Verdict};
use payments::{model::ids::OrderNo, rules::retry::retry_after_s};
use runtime::telemetry::emf::HELD;
use stores::{
    notices::{
        FailedNotice, NoticeStatus, NoticesError, ParkedNotice, SettledNotice, id_of_echo,
        id_of_message,
    },
    order_table::ParkedStatus,
    queues::Queue,
};
use tracing::{error, info, warn};
use wechatpay::callback::{Callback, Plaintext};

use crate::app::App;

/// A callback as the ledger names it.
pub(crate) struct LedgerEntry<'a> {
    notice_id: String,
    order_no: Option<OrderNo>,
    event_type: &'a str,
    record: &'a SqsRecord,
}

impl<'a> LedgerEntry<'a> {
    /// A callback that was opened.
    pub(crate) fn of(record: &'a SqsRecord, callback: &'a Callback) -> Self {
        let number = match &callback.plaintext {
            Plaintext::Transaction(transaction) => Some(&transaction.out_trade_no),
            Plaintext::Refund(refund) => Some(&refund.out_trade_no),
            Plaintext::CombinedTransaction(_)
            | Plaintext::ProfitSharing(_)
            | Plaintext::SecurityEcho(_)
            | Plaintext::Unknown(_) => None,
        };
        Self {
            notice_id: callback.id.clone(),
            order_no: number.and_then(|number| OrderNo::parse(number).ok()),
            event_type: &callback.event_type,
            record,
        }
    }

    /// A callback that does not open. Only its message is known.
    pub(crate) fn unopened(record: &'a SqsRecord) -> Self {
        Self {
            notice_id: id_of_message(&record.body),
            order_no: None,
            event_type: "",
            record,
        }
    }

    /// How often it was received before: those attempts failed (recorded or not), or had no time
    /// left to start.
    fn failed_before(&self) -> u32 {
        self.record.receive_count().saturating_sub(1)
    }

    /// Whether an operator sent it again, so that there is a record of it.
    fn is_redriven(&self) -> bool {
        self.record.message_attributes.contains_key(Queue::REDRIVEN)
    }
}

/// It must be delivered again, even if the notices table cannot be written.
pub(crate) async fn failed(app: &App, entry: &LedgerEntry<'_>, problem: &str) {
    info!(target: HELD, status = NoticeStatus::Pending.name(), NoticesRecorded = 1);
    let now = app.clock.now();
    let retries = entry.record.receive_count();
    let next_retry_at = now.plus_s(i64::from(retry_after_s(retries)));
    let written = app
        .notices
        .failed(&FailedNotice {
            notice_id: &entry.notice_id,
            order_no: entry.order_no.as_ref(),
            event_type: entry.event_type,
            message: &entry.record.body,
            retries,
            next_retry_at,
            last_error: problem,
            now,
        })
        .await;
    if let Err(error) = written {
        warn!(notice_id = entry.notice_id, error = %ErrorChain(&error), "a failure was not recorded in the ledger");
    }
}

/// It is settled. Only a notice that failed before has a record, or gets one now if the failed
/// attempt crashed before writing one.
pub(crate) async fn settled(app: &App, entry: &LedgerEntry<'_>) {
    let retries = entry.failed_before();
    if retries == 0 && !entry.is_redriven() {
        return;
    }
    info!(target: HELD, status = NoticeStatus::Settled.name(), NoticesRecorded = 1);
    let (order_no, now) = (entry.order_no.as_ref(), app.clock.now());
    let notice_id = entry.notice_id.as_str();
    let written = if retries == 0 {
        app.notices.settled(notice_id, order_no, now).await
    } else {
        let notice = SettledNotice {
            notice_id,
            order_no,
            event_type: entry.event_type,
            message: &entry.record.body,
            retries,
            now,
        };
        app.notices.settled_at_last(&notice).await
    };
    // Before it opened, its record was named by its message, and by earlier versions by the queue's
    // id.
    let mut errors: Vec<_> = written.err().into_iter().collect();
    let of_queue = format!("message#{}", entry.record.message_id);
    for unopened in [id_of_message(&entry.record.body), of_queue] {
        let written = app.notices.settled(&unopened, order_no, now).await;
        errors.extend(written.err());
    }
    for error in errors {
        warn!(notice_id, error = %ErrorChain(&error), "a success was not recorded in the ledger");
    }
}

/// Our own self-test arrived. The program that requested it reads this record; records of other
/// self-tests are not read.
pub(crate) async fn echoed(
    app: &App,
    entry: &LedgerEntry<'_>,
    echo_message: &str,
) -> Result<(), NoticesError> {
    let Some(notice_id) = id_of_echo(echo_message) else {
        return Ok(());
    };
    app.notices
        .settled_at_last(&SettledNotice {
            notice_id: &notice_id,
            order_no: None,
            event_type: entry.event_type,
            message: &entry.record.body,
            retries: entry.failed_before(),
            now: app.clock.now(),
        })
        .await
}

/// An operator must decide: the message is done once the notices table has it, and it is logged
/// each time until it is decided. `money` is the id of its payment: a payment has one record,
/// however many callbacks report it, and that record gets their message.
pub(crate) async fn parked(
    app: &App,
    entry: &LedgerEntry<'_>,
    money: Option<&str>,
    what_to_do: &str,
) -> Verdict {
    let kept = app
        .notices
        .parked(&ParkedNotice {
            notice_id: money.unwrap_or(&entry.notice_id),
            order_no: entry.order_no.as_ref(),
            event_type: entry.event_type,
            message: &entry.record.body,
            what_to_do,
            now: app.clock.now(),
        })
        .await;
    if money.is_some() && kept.is_ok() {
        // The record of its earlier failure is replaced by the record of its payment.
        settled(app, entry).await;
    }
    match kept {
        Ok(ParkedStatus::Waiting) => {
            error!(
                notice_id = entry.notice_id,
                event_type = entry.event_type,
                order_no = entry.order_no.as_ref().map(OrderNo::as_str),
                what_to_do,
                status = NoticeStatus::Parked.name(),
                NoticesRecorded = 1,
                // Money has a line of its own, which counts it.
                MoneyParked = u32::from(money.is_none()),
                "notice parked for a person"
            );
            Verdict::Done
        }
        Ok(ParkedStatus::Decided) => Verdict::Done,
        Err(error) => error.into(),
    }
}
