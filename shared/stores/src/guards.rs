//! The `guards` table: marks that keep things from happening twice or too often: nonces of signed
//! API requests, leases, pauses.
//!
//! | `pk` | what it keeps |
//! |---|---|
//! | `nonce#...` | a signed request that changes something works once |
//! | `submit#...` | one payer's next order waits until the one before is answered |
//! | `ask#...` | limits the queries of an order when its client reads it often |
//! | `resend#...` | a client's undelivered events are sent again at a bounded rate |
//! | `refund#...` | WeChat Pay is sent one refund a minute of each order |
//! | `pause#...` | what rests until a time, such as a merchant's refunds |
//! | `rate#...` | how many requests of a client's key came in a window |
//! | `unknown-serial#...` | a platform certificate was named that is not known here |
//! | `certificates#...` | WeChat Pay is asked for its certificates so often and no oftener |
//!
//! A mark ends by the clock (`expires_at <= now`); DynamoDB's own time-to-live only cleans up
//! later.

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use payments::model::ids::OrderNo;
use runtime::aws::AwsError;
use wechatpay::UnixSeconds;

use crate::attributes::{number, number_of, text};

/// The `guards` table.
#[derive(Clone, Debug)]
pub struct Guards {
    client: Client,
    table: String,
}

/// DynamoDB did not answer, or refused for a reason that passes. The mark may be set or not.
#[derive(Debug, thiserror::Error)]
#[error("the guards table did not answer")]
pub struct GuardsError(#[source] AwsError);

/// Result of consuming a nonce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NonceUse {
    /// First use; it is recorded now.
    FirstUse,
    /// It was used before: the request is a repeat or a replay.
    Replayed,
}

/// Result of requesting a lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lease {
    /// It is ours until it expires or is released.
    Acquired,
    /// Another process has it until then.
    Held {
        /// When it expires.
        until: UnixSeconds,
        /// The holder, as named by the process that took it; empty if unknown.
        holder: String,
    },
}

/// What a lease is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaseKey<'a> {
    /// Submitting orders of one payer, identified by a digest.
    Payer(&'a str),
    /// Querying an order at WeChat Pay because a client requests it.
    StatusQuery {
        /// The merchant number.
        mchid: &'a str,
        /// The order.
        order_no: &'a OrderNo,
    },
    /// Sending WeChat Pay a refund of an order.
    Refund {
        /// The merchant number.
        mchid: &'a str,
        /// The order.
        order_no: &'a OrderNo,
    },
    /// Sending a client's undelivered events again.
    Resend {
        /// The merchant number.
        mchid: &'a str,
        /// Whose events.
        client_id: &'a str,
    },
    /// CallTime WeChat Pay for its certificates because it is time to.
    CertificatesByTime {
        /// The merchant number.
        mchid: &'a str,
    },
    /// CallTime WeChat Pay for its certificates because an unknown one was named.
    CertificatesBySerial {
        /// The merchant number.
        mchid: &'a str,
    },
}

/// What requests are counted together: those of one key to one function in one window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestCount<'a> {
    /// The function, by its name in the template. Its role may count in its own items alone.
    pub function: &'a str,
    /// The key.
    pub keyid: &'a str,
    /// The window, by its number. As it has no `#`, no two counts share an item, whatever is in the
    /// key's id.
    pub window: i64,
}

/// What happens to a mark when its own holder asks for it again.
#[derive(Clone, Copy)]
enum OwnLease {
    /// It keeps its end.
    Unchanged,
    /// Its time starts again.
    Renewed,
}

impl LeaseKey<'_> {
    fn pk(&self) -> String {
        match self {
            Self::Payer(digest) => format!("submit#{digest}"),
            Self::StatusQuery { mchid, order_no } => format!("ask#{mchid}#{order_no}"),
            Self::Refund { mchid, order_no } => format!("refund#{mchid}#{order_no}"),
            Self::Resend { mchid, client_id } => format!("resend#{mchid}#{client_id}"),
            Self::CertificatesByTime { mchid } => format!("certificates#{mchid}#by-time"),
            Self::CertificatesBySerial { mchid } => format!("certificates#{mchid}#by-serial"),
        }
    }
}

impl RequestCount<'_> {
    fn pk(&self) -> String {
        format!("rate#{}#{}#{}", self.function, self.keyid, self.window)
    }
}

impl Guards {
    /// How long a nonce is kept, in seconds: both halves of the signature's window, and a minute
    /// for clocks that differ between sandboxes, so that a replay always finds its mark.
    pub const NONCE_KEPT_S: i64 = 660;

    /// How long an unknown serial is remembered, in seconds: two checks by `reconcile`, which runs
    /// every five minutes.
    pub const UNKNOWN_SERIAL_KEPT_S: i64 = 600;

    /// The table by its name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Consumes a nonce of one key at `now`. `holder` is unique to this request: if the answer to
    /// the first write is lost and the SDK writes again, it recognises the mark as its own.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn consume_nonce(
        &self,
        keyid: &str,
        nonce: &str,
        holder: &str,
        now: UnixSeconds,
    ) -> Result<NonceUse, GuardsError> {
        // The key id's length comes first, so that no two pairs of key id and nonce give the same
        // mark.
        let pk = format!("nonce#{}#{keyid}#{nonce}", keyid.len());
        let marked = self
            .mark(
                "burn a nonce",
                pk,
                holder,
                Self::NONCE_KEPT_S,
                now,
                OwnLease::Unchanged,
            )
            .await?;
        Ok(match marked {
            Lease::Acquired => NonceUse::FirstUse,
            Lease::Held { .. } => NonceUse::Replayed,
        })
    }

    /// Takes a lease for `for_s` seconds from `now` if it is free. If `holder` has it already, it
    /// is renewed.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn lease(
        &self,
        of: &LeaseKey<'_>,
        holder: &str,
        for_s: i64,
        now: UnixSeconds,
    ) -> Result<Lease, GuardsError> {
        self.mark(
            "take a lease",
            of.pk(),
            holder,
            for_s,
            now,
            OwnLease::Renewed,
        )
        .await
    }

    /// Releases a lease if `holder` still has it.
    ///
    /// # Errors
    /// [`GuardsError`]; the lease then ends by the clock.
    pub async fn release(&self, of: &LeaseKey<'_>, holder: &str) -> Result<(), GuardsError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(of.pk()))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", text(holder))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(()) // it expired, and another process has it
            }
            Err(error) => Err(failed("give a lease back", error)),
        }
    }

    /// Adds `requests` to a count that may be deleted after `expires_at`, and returns the sum. The
    /// write is not conditional: if its answer is lost and the SDK repeats it, it counts twice,
    /// which makes the limit a little tighter for one window.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn count_requests(
        &self,
        of: &RequestCount<'_>,
        requests: i64,
        expires_at: UnixSeconds,
    ) -> Result<i64, GuardsError> {
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(of.pk()))
            .update_expression("ADD counted :requests SET expires_at = :expires_at")
            .expression_attribute_values(":requests", number(requests))
            .expression_attribute_values(":expires_at", number(expires_at.0))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|error| failed("count requests", error))?;
        let total = counted
            .attributes()
            .and_then(|item| number_of(item, "counted"));
        Ok(total.unwrap_or(requests))
    }

    /// Pauses a merchant's refunds until `until`.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn pause_refunds(&self, mchid: &str, until: UnixSeconds) -> Result<(), GuardsError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(refund_pause(mchid)))
            .item("expires_at", number(until.0))
            .send()
            .await
            .map_err(|error| failed("pause refunds", error))?;
        Ok(())
    }

    /// Until when a merchant's refunds are paused; `None` if they are not at `now`.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn refunds_paused_until(
        &self,
        mchid: &str,
        now: UnixSeconds,
    ) -> Result<Option<UnixSeconds>, GuardsError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(refund_pause(mchid)))
            .send()
            .await
            .map_err(|error| failed("read a pause of refunds", error))?;
        let until = got.item().and_then(expires_at);
        Ok(until.filter(|until| *until > now))
    }

    /// Records that an unknown platform certificate was named. The record lasts
    /// [`Guards::UNKNOWN_SERIAL_KEPT_S`], however many unknown serials come.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn mark_unknown_serial(
        &self,
        mchid: &str,
        serial: &str,
        now: UnixSeconds,
    ) -> Result<Lease, GuardsError> {
        let operation = "mark an unknown serial";
        let (pk, kept_s) = (unknown_serial(mchid), Self::UNKNOWN_SERIAL_KEPT_S);
        self.mark(operation, pk, serial, kept_s, now, OwnLease::Unchanged)
            .await
    }

    /// The unknown serial that was named last, while it is remembered at `now`.
    ///
    /// # Errors
    /// [`GuardsError`].
    pub async fn unknown_serial(
        &self,
        mchid: &str,
        now: UnixSeconds,
    ) -> Result<Option<String>, GuardsError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(unknown_serial(mchid)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("read an unknown serial", error))?;
        let item = got
            .item()
            .filter(|item| expires_at(item).is_some_and(|until| until > now));
        let serial = item
            .and_then(|item| item.get("holder"))
            .and_then(|value| value.as_s().ok());
        Ok(serial.cloned())
    }

    /// Sets a mark unless one is valid at `now`. A mark of the same `holder` counts as set: the
    /// answer to an earlier write was lost.
    async fn mark(
        &self,
        operation: &'static str,
        pk: String,
        holder: &str,
        for_s: i64,
        now: UnixSeconds,
        own: OwnLease,
    ) -> Result<Lease, GuardsError> {
        let until = now.0.saturating_add(for_s);
        let is_free = "attribute_not_exists(pk) OR expires_at <= :now";
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(pk))
            .item("holder", text(holder))
            .item("expires_at", number(until))
            .expression_attribute_values(":now", number(now.0))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        put = match own {
            OwnLease::Unchanged => put.condition_expression(is_free),
            OwnLease::Renewed => put
                .condition_expression(format!("{is_free} OR holder = :holder"))
                .expression_attribute_values(":holder", text(holder)),
        };
        let Err(error) = put.send().await else {
            return Ok(Lease::Acquired);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => {
                let found_holder = found
                    .item()
                    .and_then(|item| item.get("holder"))
                    .and_then(|value| value.as_s().ok());
                Ok(if found_holder.is_some_and(|found| found == holder) {
                    Lease::Acquired
                } else {
                    Lease::Held {
                        until: found
                            .item()
                            .and_then(expires_at)
                            .unwrap_or(UnixSeconds(until)),
                        holder: found_holder.cloned().unwrap_or_default(),
                    }
                })
            }
            Some(_) | None => Err(failed(operation, error)),
        }
    }
}

fn refund_pause(mchid: &str) -> String {
    format!("pause#refunds#{mchid}")
}

fn unknown_serial(mchid: &str) -> String {
    format!("unknown-serial#{mchid}")
}

fn expires_at(item: &std::collections::HashMap<String, AttributeValue>) -> Option<UnixSeconds> {
    let seconds = item.get("expires_at")?.as_n().ok()?;
    seconds.parse().ok().map(UnixSeconds)
}

fn failed<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> GuardsError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    GuardsError(AwsError::new(operation, error))
}
