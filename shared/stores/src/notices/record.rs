//! A record of the ledger, and why there is none.

use std::fmt;

use payments::model::ids::OrderNo;
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NoticesError {
    /// DynamoDB did not answer, or refused. What was asked may have happened.
    #[error("the notices table did not answer")]
    Unavailable(#[source] AwsError),
    /// A record is not in the form that this version writes.
    #[error(
        "the record of notice {notice_id} has no usable `{attribute}`: compare it with the table's description in notices/item.rs"
    )]
    Damaged {
        /// The notice, if known.
        notice_id: String,
        attribute: &'static str,
    },
}

impl NoticesError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_transient(),
            Self::Damaged { .. } => false,
        }
    }
}

/// The state of a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeStatus {
    /// It failed, and its message is delivered again, or is in the dead-letter queue after its last
    /// attempt.
    Pending,
    /// It cannot be applied to an order: an operator must decide. A later failure does not make it
    /// `Pending` again.
    Parked,
    /// It settled after all. Only a later failure makes it `Pending` again.
    Settled,
    /// A person has decided. Final, unless what was decided in the console could not be done.
    Decided,
}

/// A record of the ledger.
#[derive(Clone, Eq, PartialEq)]
pub struct Notice {
    /// As [`FailedNotice::notice_id`](super::FailedNotice::notice_id).
    pub notice_id: String,
    /// The order it is about, as far as it is known.
    pub order_no: Option<OrderNo>,
    /// WeChat Pay's event type; empty when it is not known.
    pub event_type: String,
    pub status: NoticeStatus,
    /// How often it has failed.
    pub retries: u32,
    /// When it is tried again, while it is [`NoticeStatus::Pending`].
    pub next_retry_at: Option<UnixSeconds>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What an operator must find out or decide.
    pub what_to_do: Option<String>,
    /// The queue's original message, still encrypted: it is sent again to repeat the notice. Empty
    /// for a payment that was found by a query, until a callback reports it.
    pub message: String,
    /// When it was first written down.
    pub first_seen_at: UnixSeconds,
    /// When the record last changed.
    pub updated_at: UnixSeconds,
    pub decided_by: Option<String>,
    pub decided_why: Option<String>,
}

impl NoticeStatus {
    /// The name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Parked => "parked",
            Self::Settled => "ok",
            Self::Decided => "decided",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Parked, Self::Settled, Self::Decided]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// Leaves out the message, as [`FailedNotice`](super::FailedNotice) does.
impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("notice_id", &self.notice_id)
            .field("order_no", &self.order_no)
            .field("status", &self.status)
            .field("retries", &self.retries)
            .field("last_error", &self.last_error)
            .field("what_to_do", &self.what_to_do)
            .field("updated_at", &self.updated_at)
            .finish_non_exhaustive()
    }
}
