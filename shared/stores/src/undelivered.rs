//! Events that were not delivered to a client's webhook: because it is disabled, or because all
//! attempts failed.
//!
//! `pk` S `<mchid>#<client_id>`; `sk` S `<at, ten digits>#<order_no>#<version, ten digits>`, so
//! that a client's events are in time order and an event has one key, however often it is stored;
//! `event` S (the JSON of [`OutgoingEvent`], as on the bus); `why` S; `kept_at` N (Unix seconds);
//! `expires_at` N, when DynamoDB may drop it.
//!
//! An event is deleted once it is delivered. It may be delivered twice, for example if a late
//! duplicate of its message stores it again; the receiver recognises it by its id.

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use payments::rules::webhook::{OutgoingEvent, UNDELIVERED_KEPT_S};
use runtime::aws::AwsError;
use strict_json::Null;
use wechatpay::UnixSeconds;

use crate::attributes::{number, text};

/// The table of undelivered events, for one merchant.
#[derive(Clone, Debug)]
pub struct UndeliveredEvents {
    client: Client,
    table: String,
    mchid: String,
}

/// Undelivered events were not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum UndeliveredError {
    /// The call to DynamoDB failed, or its answer was lost.
    #[error("the table of undelivered events did not answer")]
    Unavailable(#[source] AwsError),
    /// An item does not hold what it must.
    #[error("the undelivered event {sk} of client {client_id} has no usable {what}")]
    Damaged {
        /// Whose event it is.
        client_id: String,
        /// The item.
        sk: String,
        /// What is missing or wrong.
        what: &'static str,
    },
}

/// Why an event is not delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UndeliveredReason {
    /// The webhook is disabled: it was not sent.
    WebhookDisabled,
    /// The receiver accepted none of the attempts.
    GivenUp,
}

impl UndeliveredReason {
    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebhookDisabled => "webhook_disabled",
            Self::GivenUp => "given_up",
        }
    }
}

/// Some of a client's undelivered events, oldest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UndeliveredPage {
    pub events: Vec<OutgoingEvent>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<EventCursor>,
}

/// A place behind an event in the list of a client's undelivered events. Its text goes to the
/// client and comes back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventCursor(String);

impl EventCursor {
    /// A position as a client sends it back; `None` if it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'-' | b'_'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UndeliveredEvents {
    /// The table by its name.
    pub fn new(client: Client, table: impl Into<String>, mchid: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            mchid: mchid.into(),
        }
    }

    /// Stores an event. One that is stored already stays, with a new expiry counted from `now`.
    ///
    /// # Errors
    /// [`UndeliveredError::Unavailable`]: it may be stored or not.
    pub async fn keep(
        &self,
        event: &OutgoingEvent,
        because: UndeliveredReason,
        now: UnixSeconds,
    ) -> Result<(), UndeliveredError> {
        let json = serde_json::to_string(event).map_err(|_| UndeliveredError::Damaged {
            client_id: event.client_id.as_str().to_owned(),
            sk: sk(event),
            what: "JSON",
        })?;
        self.client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(self.pk(event.client_id.as_str())))
            .item("sk", text(sk(event)))
            .item("event", text(json))
            .item("why", text(because.name()))
            .item("kept_at", number(now.0))
            .item("expires_at", number(now.plus_s(UNDELIVERED_KEPT_S).0))
            .send()
            .await
            .map_err(|error| unavailable("keep an undelivered event", error))?;
        Ok(())
    }

    /// Drops an event, since it is delivered. Does nothing when it is not there.
    ///
    /// # Errors
    /// [`UndeliveredError::Unavailable`].
    pub async fn delivered(&self, event: &OutgoingEvent) -> Result<(), UndeliveredError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(event.client_id.as_str())))
            .key("sk", text(sk(event)))
            .send()
            .await
            .map_err(|error| unavailable("drop a delivered event", error))?;
        Ok(())
    }

    /// A client's undelivered events that happened from `from` to `to`, both included: up to
    /// `most`, oldest first, behind `after` if that is given.
    ///
    /// # Errors
    /// [`UndeliveredError`].
    pub async fn page(
        &self,
        client_id: &str,
        from: UnixSeconds,
        to: UnixSeconds,
        after: Option<&EventCursor>,
        most: usize,
    ) -> Result<UndeliveredPage, UndeliveredError> {
        // `!` sorts before anything that follows in another key, and `$` after the `#` that ends a
        // second.
        let from = seconds(from);
        let first = after.map_or(from.clone(), |EventCursor(after)| {
            from.max(format!("{after}!"))
        });
        let last = format!("{}$", seconds(to));
        let nothing = UndeliveredPage {
            events: Vec::new(),
            next: None,
        };
        if first > last {
            return Ok(nothing); // DynamoDB refuses such bounds
        }
        let limit = i32::try_from(most).unwrap_or(i32::MAX);
        let found = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(self.pk(client_id)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .limit(limit)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read undelivered events", error))?;
        let mut page = nothing;
        let mut last_sk = None;
        for item in found.items() {
            let text_of = |name: &str| item.get(name)?.as_s().ok();
            let sk = text_of("sk").cloned().unwrap_or_default();
            let event = text_of("event")
                .and_then(|json| strict_json::read(json.as_bytes(), Null::Absent).ok());
            page.events
                .push(event.ok_or_else(|| UndeliveredError::Damaged {
                    client_id: client_id.to_owned(),
                    sk: sk.clone(),
                    what: "event",
                })?);
            last_sk = Some(sk);
        }
        if found.last_evaluated_key().is_some() {
            page.next = last_sk.map(EventCursor);
        }
        Ok(page)
    }

    /// When the oldest undelivered event of a client happened; `None` if it has them all.
    ///
    /// # Errors
    /// [`UndeliveredError`].
    pub async fn oldest(&self, client_id: &str) -> Result<Option<UnixSeconds>, UndeliveredError> {
        let all = (UnixSeconds(0), UnixSeconds(i64::MAX));
        let page = self.page(client_id, all.0, all.1, None, 1).await?;
        Ok(page.events.first().map(|event| event.at))
    }

    fn pk(&self, client_id: &str) -> String {
        format!("{}#{client_id}", self.mchid)
    }
}

fn sk(event: &OutgoingEvent) -> String {
    format!(
        "{}#{}#{:010}",
        seconds(event.at),
        event.order_no,
        event.version
    )
}

/// Ten digits reach to the year 2286.
fn seconds(at: UnixSeconds) -> String {
    format!("{:010}", at.0.clamp(0, 9_999_999_999))
}

fn unavailable<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> UndeliveredError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    UndeliveredError::Unavailable(AwsError::new(operation, error))
}
