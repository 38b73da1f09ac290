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

mod item;
pub mod money;
mod record;

use std::fmt;

use aws_lc_rs::digest;
use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{
        UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder,
    },
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure, Select},
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
/// looks for it here. `None` for any other.
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

    /// Writes down that a notice failed. One that is parked or decided stays so, and so does one
    /// that settled meanwhile.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn failed(&self, notice: &FailedNotice<'_>) -> Result<(), NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = :event_type, message = :message, retries = :retries, \
                 next_retry_at = :next_retry_at, last_error = :last_error, \
                 first_seen_at = if_not_exists(first_seen_at, :now) REMOVE expires_at",
            ))
            .condition_expression(
                "attribute_not_exists(pk) OR #status = :status OR (#status = :ok AND updated_at < :now)",
            )
            .expression_attribute_values(":status", status(NoticeStatus::Pending))
            .expression_attribute_values(":ok", status(NoticeStatus::Settled))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":retries", number(notice.retries))
            .expression_attribute_values(":next_retry_at", number(notice.next_retry_at.0))
            .expression_attribute_values(":last_error", text(notice.last_error));
        written("write down a failed notice", update.send().await).map(drop)
    }

    /// Parks a notice once; an existing record keeps its text. Returns whether an operator has
    /// decided.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn parked(&self, notice: &ParkedNotice<'_>) -> Result<ParkedStatus, NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = :event_type, message = :message, what_to_do = :what_to_do, \
                 first_seen_at = if_not_exists(first_seen_at, :now) REMOVE next_retry_at, expires_at",
            ))
            .condition_expression(
                "attribute_not_exists(pk) OR #status IN (:pending, :ok) \
                 OR (#status = :status AND attribute_not_exists(message))",
            )
            .expression_attribute_values(":status", status(NoticeStatus::Parked))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":ok", status(NoticeStatus::Settled))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":what_to_do", text(notice.what_to_do));
        Ok(match written("park a notice", update.send().await)? {
            UpdateOutcome::Updated => ParkedStatus::Waiting,
            UpdateOutcome::ConditionFailed(found) => match item::status(&found)? {
                NoticeStatus::Decided => ParkedStatus::Decided,
                NoticeStatus::Pending | NoticeStatus::Parked | NoticeStatus::Settled => {
                    ParkedStatus::Waiting
                }
            },
        })
    }

    /// Records that a notice which may have failed before has settled. Does nothing if it has no
    /// record, or if the record waits for an operator.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn settled(
        &self,
        notice_id: &str,
        order_no: Option<&OrderNo>,
        now: UnixSeconds,
    ) -> Result<(), NoticesError> {
        let update = self
            .write(notice_id, order_no, now)
            .update_expression(set_expression(
                order_no,
                "expires_at = :expires_at REMOVE next_retry_at",
            ))
            .condition_expression("#status = :pending")
            .expression_attribute_values(":status", status(NoticeStatus::Settled))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":expires_at", expires_at(now));
        written("write down a settled notice", update.send().await).map(drop)
    }

    /// Records that a notice has settled which had an earlier attempt, whether that attempt left a
    /// record or crashed before. An existing text stays; a record that waits for an operator or was
    /// decided is unchanged.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn settled_at_last(&self, notice: &SettledNotice<'_>) -> Result<(), NoticesError> {
        let update = self
            .write(notice.notice_id, notice.order_no, notice.now)
            .update_expression(set_expression(
                notice.order_no,
                "event_type = if_not_exists(event_type, :event_type), \
                 message = if_not_exists(message, :message), \
                 retries = if_not_exists(retries, :retries), \
                 first_seen_at = if_not_exists(first_seen_at, :now), expires_at = :expires_at \
                 REMOVE next_retry_at",
            ))
            .condition_expression("attribute_not_exists(pk) OR #status = :pending")
            .expression_attribute_values(":status", status(NoticeStatus::Settled))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":event_type", text(notice.event_type))
            .expression_attribute_values(":message", text(notice.message))
            .expression_attribute_values(":retries", number(notice.retries))
            .expression_attribute_values(":expires_at", expires_at(notice.now));
        written("write down a settled notice", update.send().await).map(drop)
    }

    /// Notices of one status, from the beginning or from where a page before ended.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn list(
        &self,
        of: NoticeStatus,
        from: Option<NextPage>,
    ) -> Result<NoticePage, NoticesError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_status")
            .key_condition_expression("#status = :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", status(of))
            .set_exclusive_start_key(from.map(|page| page.0))
            .limit(Self::PAGE)
            .send()
            .await
            .map_err(|error| unavailable("list notices", error))?;
        let ours = self.pk_prefix();
        let notices = page
            .items()
            .iter()
            // The index holds the notices of every merchant that shares the table.
            .filter(|found| item::pk(found).is_some_and(|pk| pk.starts_with(&ours)))
            .map(item::read)
            .collect::<Result<_, _>>()?;
        Ok(NoticePage {
            notices,
            next: page.last_evaluated_key.map(NextPage),
        })
    }

    /// How many notices wait for an operator. DynamoDB counts: none is read into memory. It reads
    /// at most [`Self::COUNTED_PAGES_MAX`] pages of a megabyte, so for very many notices the result
    /// is a lower bound: at least 1 while pages are left, because other merchants' notices may fill
    /// those that were read.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn count_parked(&self) -> Result<u64, NoticesError> {
        let (mut count, mut from) = (0_u64, None);
        for _ in 0..Self::COUNTED_PAGES_MAX {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("by_status")
                .select(Select::Count)
                .key_condition_expression("#status = :status")
                // The index holds the notices of every merchant that shares the table.
                .filter_expression("begins_with(pk, :ours)")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", status(NoticeStatus::Parked))
                .expression_attribute_values(":ours", text(self.pk_prefix()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| unavailable("count notices", error))?;
            count = count.saturating_add(u64::try_from(page.count).unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(count);
            }
        }
        Ok(count.max(1))
    }

    /// Reads one notice consistently.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn get(&self, notice_id: &str) -> Result<Option<Notice>, NoticesError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(notice_id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read a notice", error))?;
        got.item().map(item::read).transpose()
    }

    /// Records an operator's decision about a pending or parked notice. It changes nothing else:
    /// refunds move money, the API changes orders.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn decide(
        &self,
        notice_id: &str,
        who: &str,
        why: &str,
        now: UnixSeconds,
    ) -> Result<DecideOutcome, NoticesError> {
        let update = self
            .write(notice_id, None, now)
            .update_expression(set_expression(
                None,
                "decided_by = :who, decided_why = :why, expires_at = :expires_at REMOVE next_retry_at",
            ))
            .condition_expression("#status IN (:pending, :parked)")
            .expression_attribute_values(":status", status(NoticeStatus::Decided))
            .expression_attribute_values(":pending", status(NoticeStatus::Pending))
            .expression_attribute_values(":parked", status(NoticeStatus::Parked))
            .expression_attribute_values(":who", text(who))
            .expression_attribute_values(":why", text(why))
            .expression_attribute_values(":expires_at", expires_at(now));
        let found = match written("write down a decision", update.send().await)? {
            UpdateOutcome::Updated => return Ok(DecideOutcome::Written),
            UpdateOutcome::ConditionFailed(found) if found.is_empty() => {
                return Ok(DecideOutcome::Unknown);
            }
            UpdateOutcome::ConditionFailed(found) => item::read(&found)?,
        };
        // The first answer was lost and the SDK asked again: what is found is what we wrote.
        let is_ours = found.decided_by.as_deref() == Some(who)
            && found.decided_why.as_deref() == Some(why)
            && found.updated_at == now;
        Ok(if is_ours {
            DecideOutcome::Written
        } else {
            DecideOutcome::Closed(Box::new(found))
        })
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
