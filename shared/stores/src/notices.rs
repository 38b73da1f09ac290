//! The `notices` table: records callbacks that did not settle at the first attempt, callbacks that
//! wait for an operator, and parked payments, however they were found.
//!
//! `process-payment` writes callbacks, and every function that parks a payment writes its record.
//! An operator reads them, sends a notice again, or records a decision, here or in the console. A
//! callback that settles at once has no record, so normal traffic costs nothing here. A callback
//! whose first attempt crashed before it wrote anything gets its record once it settles. No order
//! is changed from this table: it is a record only. The queue message does the work.
//!
//! Every write is one conditional update, which may be repeated. [`NoticeStatus`] says which status
//! follows which.

mod decide;
mod item;
pub mod money;
mod read;
mod record;
mod write;

use std::fmt;

use aws_lc_rs::digest;
use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{
        UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder,
    },
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use payments::model::ids::OrderNo;
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

use crate::attributes::{Item, number, text};

pub use record::{Notice, NoticeStatus, NoticesError};

/// The state of a parked record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParkedStatus {
    /// Not decided yet. Log it each time: the process that wrote the record may have crashed before
    /// logging.
    Waiting,
    /// A person has decided.
    Decided,
}

/// The `notices` table of one merchant.
#[derive(Clone, Debug)]
pub struct Notices {
    client: Client,
    table: String,
    mchid: String,
}

/// The name of a message that cannot be opened, `message#<hash>`. It is the hash of its text, since
/// SQS gives a moved message another id.
#[must_use]
pub fn id_of_message(message: &str) -> String {
    let hash = digest::digest(&digest::SHA256, message.as_bytes());
    let half = hash.as_ref().iter().take(16);
    half.fold("message#".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

/// The prefix of every message of our own self-tests.
const OWN_ECHO: &str = "doctor-";

/// The longest message of a self-test that is written down, in bytes.
const ECHO_MAX: usize = 64;

/// The name of the callback of our own self-test, `echo#<message>`: the program that made the test
/// reads it here. `None` for any other.
#[must_use]
pub fn id_of_echo(message: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_ours =
        message.len() <= ECHO_MAX && message.starts_with(OWN_ECHO) && message.bytes().all(is_plain);
    is_ours.then(|| format!("echo#{message}"))
}

/// A notice that failed and will be tried again.
#[derive(Clone, Copy)]
pub struct FailedNotice<'a> {
    /// WeChat Pay's id of the notice, or [`id_of_message`] when it cannot be opened.
    pub notice_id: &'a str,
    /// The order it is about, as far as it is known.
    pub order_no: Option<&'a OrderNo>,
    /// WeChat Pay's event type; empty when it is not known.
    pub event_type: &'a str,
    /// The queue's message as it came, still encrypted.
    pub message: &'a str,
    /// How often it has failed.
    pub retries: u32,
    /// When it is tried again.
    pub next_retry_at: UnixSeconds,
    /// What went wrong, without personal data.
    pub last_error: &'a str,
    /// The present time.
    pub now: UnixSeconds,
}

/// A notice that settled, but not at its first try.
#[derive(Clone, Copy)]
pub struct SettledNotice<'a> {
    /// As [`FailedNotice::notice_id`].
    pub notice_id: &'a str,
    /// The order it is about, as far as it is known.
    pub order_no: Option<&'a OrderNo>,
    /// WeChat Pay's event type.
    pub event_type: &'a str,
    /// The queue's message as it came, still encrypted.
    pub message: &'a str,
    /// How often it has failed.
    pub retries: u32,
    /// The present time.
    pub now: UnixSeconds,
}

/// A notice that no repeat can settle.
#[derive(Clone, Copy)]
pub struct ParkedNotice<'a> {
    /// As [`FailedNotice::notice_id`].
    pub notice_id: &'a str,
    /// The order it is about, as far as it is known.
    pub order_no: Option<&'a OrderNo>,
    /// WeChat Pay's event type; empty when it is not known.
    pub event_type: &'a str,
    /// The queue's message as it came, still encrypted.
    pub message: &'a str,
    /// What an operator must find out or decide, without personal data.
    pub what_to_do: &'a str,
    /// The present time.
    pub now: UnixSeconds,
}

/// A piece of a list.
#[derive(Debug)]
pub struct NoticePage {
    /// The notices, the one that has not changed for longest first. The index lags behind the table
    /// by moments.
    pub notices: Vec<Notice>,
    /// Where the next piece begins, if there may be one.
    pub next: Option<NextPage>,
}

/// Where a piece of a list begins.
#[derive(Clone, Debug)]
pub struct NextPage(Item);

/// Result of recording a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DecideOutcome {
    Written,
    /// There is nothing to decide: the notice settled, or was decided already.
    Closed(Box<Notice>),
    /// There is no such notice.
    Unknown,
}

impl Notices {
    /// How long a settled or decided notice is kept, in seconds.
    pub const KEPT_S: i64 = 90 * 86_400;

    /// How many notices are read at once: a page of DynamoDB's holds 1 MB, a callback up to 64 KB.
    const PAGE: i32 = 16;

    /// How many pages of DynamoDB's are counted.
    const COUNTED_PAGES_MAX: usize = 8;

    /// The table by its name, for one merchant number.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
        }
    }

    /// The update of one record, with the values that [`set_expression`] names.
    fn write(
        &self,
        notice_id: &str,
        order_no: Option<&OrderNo>,
        now: UnixSeconds,
    ) -> UpdateItemFluentBuilder {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(notice_id)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":notice_id", text(notice_id))
            .expression_attribute_values(":now", number(now.0));
        match order_no {
            Some(order_no) => {
                update.expression_attribute_values(":order_no", text(order_no.as_str()))
            }
            None => update,
        }
    }

    fn pk_prefix(&self) -> String {
        format!("{}#", self.mchid)
    }

    fn pk(&self, notice_id: &str) -> String {
        format!("{}#{notice_id}", self.mchid)
    }
}

/// Every write sets these. An order number that was known once is not forgotten when a later try
/// ends before it is read.
fn set_expression(order_no: Option<&OrderNo>, more: &str) -> String {
    let order_no = order_no.map_or("", |_| "order_no = :order_no, ");
    format!("SET #status = :status, notice_id = :notice_id, updated_at = :now, {order_no}{more}")
}

/// Result of a conditional update.
enum UpdateOutcome {
    Updated,
    /// The condition did not hold; this was found, or nothing.
    ConditionFailed(Item),
}

fn written(
    operation: &'static str,
    sent: Result<UpdateItemOutput, SdkError<UpdateItemError, HttpResponse>>,
) -> Result<UpdateOutcome, NoticesError> {
    let Err(error) = sent else {
        return Ok(UpdateOutcome::Updated);
    };
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(found)) => Ok(
            UpdateOutcome::ConditionFailed(found.item().cloned().unwrap_or_default()),
        ),
        Some(_) | None => Err(unavailable(operation, error)),
    }
}

fn unavailable<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> NoticesError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    NoticesError::Unavailable(AwsError::new(operation, error))
}

fn status(status: NoticeStatus) -> AttributeValue {
    text(status.name())
}

fn expires_at(now: UnixSeconds) -> AttributeValue {
    number(now.plus_s(Notices::KEPT_S).0)
}

/// Leaves out the message: it is encrypted, but carries WeChat Pay's signature, which does not
/// belong into a log.
impl fmt::Debug for FailedNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedNotice")
            .field("notice_id", &self.notice_id)
            .field("order_no", &self.order_no)
            .field("retries", &self.retries)
            .field("last_error", &self.last_error)
            .finish_non_exhaustive()
    }
}

/// Leaves out the message, as [`FailedNotice`] does.
impl fmt::Debug for SettledNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettledNotice")
            .field("notice_id", &self.notice_id)
            .field("order_no", &self.order_no)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Leaves out the message, as [`FailedNotice`] does.
impl fmt::Debug for ParkedNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParkedNotice")
            .field("notice_id", &self.notice_id)
            .field("order_no", &self.order_no)
            .field("what_to_do", &self.what_to_do)
            .finish_non_exhaustive()
    }
}
