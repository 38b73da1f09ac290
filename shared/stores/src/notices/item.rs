//! How a notice is stored.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk` | `<mchid>#<notice_id>` |
//! | `notice_id`, `event_type` | WeChat Pay's; `message#<hash>` and empty for a message that cannot be opened (earlier versions wrote the queue's id of it); `payment#<transaction_id>` or `refund#<refund_id>` of money that waits for a person |
//! | `order_no` | the order it is about; absent while it is not known |
//! | `status` | `pending`, `parked`, `ok`, `decided`; with `updated_at` the index `by_status` |
//! | `retries`, `next_retry_at`, `last_error` | how often it failed, when it comes again, why it failed last |
//! | `what_to_do` | what a person must find out or decide |
//! | `message` | the queue's message as it came, still encrypted; absent while money was found by asking only |
//! | `first_seen_at`, `updated_at` | Unix seconds |
//! | `decided_by`, `decided_why` | who decided, and why so |
//! | `expires_at` | Unix seconds; only with `ok` and `decided` |

use payments::model::ids::OrderNo;
use wechatpay::UnixSeconds;

use crate::attributes::{Item, text_of};

use super::record::{Notice, NoticeStatus, NoticesError};

/// Reads a record.
pub(super) fn read(item: &Item) -> Result<Notice, NoticesError> {
    let order_no = match text_of(item, "order_no") {
        Some(number) => Some(OrderNo::parse(number).map_err(|_not_one| damaged(item, "order_no"))?),
        None => None,
    };
    Ok(Notice {
        notice_id: text(item, "notice_id")?,
        order_no,
        event_type: text(item, "event_type")?,
        status: status(item)?,
        // A notice that was parked at its first try has not failed.
        retries: number(item, "retries")?.unwrap_or(0),
        next_retry_at: number(item, "next_retry_at")?.map(UnixSeconds),
        last_error: text_of(item, "last_error").map(str::to_owned),
        what_to_do: text_of(item, "what_to_do").map(str::to_owned),
        // A payment that was found by a query has none before a callback reports it.
        message: match item.get("message") {
            Some(_) => text(item, "message")?,
            None => String::new(),
        },
        first_seen_at: time(item, "first_seen_at")?,
        updated_at: time(item, "updated_at")?,
        decided_by: text_of(item, "decided_by").map(str::to_owned),
        decided_why: text_of(item, "decided_why").map(str::to_owned),
    })
}

/// The state of a record.
pub(super) fn status(item: &Item) -> Result<NoticeStatus, NoticesError> {
    text_of(item, "status")
        .and_then(NoticeStatus::named)
        .ok_or_else(|| damaged(item, "status"))
}

/// A record's key.
pub(super) fn pk(item: &Item) -> Option<&str> {
    text_of(item, "pk")
}

fn damaged(item: &Item, attribute: &'static str) -> NoticesError {
    NoticesError::Damaged {
        notice_id: text_of(item, "notice_id")
            .or_else(|| pk(item))
            .unwrap_or("?")
            .to_owned(),
        attribute,
    }
}

fn text(item: &Item, name: &'static str) -> Result<String, NoticesError> {
    text_of(item, name)
        .map(str::to_owned)
        .ok_or_else(|| damaged(item, name))
}

fn number<T: std::str::FromStr>(
    item: &Item,
    name: &'static str,
) -> Result<Option<T>, NoticesError> {
    let Some(value) = item.get(name) else {
        return Ok(None);
    };
    let parsed = value.as_n().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| damaged(item, name))
}

fn time(item: &Item, name: &'static str) -> Result<UnixSeconds, NoticesError> {
    number(item, name)?
        .map(UnixSeconds)
        .ok_or_else(|| damaged(item, name))
}
