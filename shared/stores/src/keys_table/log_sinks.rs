//! The systems outside AWS that log lines are forwarded to.
//!
//! `log-sinks#<mchid>`, one item, so that one read has them all: `sinks` M, by kind M of `sealed` B
//! (address and what lets one in) and `set_up_at` N; `version` N, which counts the changes. What is
//! sealed opens under the sink's kind alone (`{purpose: log-sink, mchid, sink}`).

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use log_sinks::{BadSecret, Kind, Sink};
use runtime::{aws::AwsError, kms::Context};
use wechatpay::UnixSeconds;

use super::{KeysTable, error::KeysError, fields::time};
use crate::attributes::{Item, bytes_of, number, number_of, text};

/// A sink as it was set up. Its address is sealed.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredSink {
    pub kind: Kind,
    /// When it was set up or changed last.
    pub set_up_at: Option<UnixSeconds>,
    sealed: Vec<u8>,
}

impl std::fmt::Debug for StoredSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSink")
            .field("kind", &self.kind)
            .field("set_up_at", &self.set_up_at)
            .finish_non_exhaustive()
    }
}

impl KeysTable {
    /// All sinks, at most a minute old.
    ///
    /// # Errors
    /// The item cannot be read, or is damaged.
    pub async fn log_sinks(&self) -> Result<Vec<StoredSink>, KeysError> {
        let now_ms = self.shared.clock.now_ms();
        if let Some(cached) = self.shared.log_sinks.get(&(), now_ms) {
            return Ok(cached);
        }
        let sinks = self.read_log_sinks().await?;
        // That there is none is not kept: one may be set up at this moment.
        if !sinks.is_empty() {
            let until_ms = now_ms.saturating_add(super::FRESH_MS);
            self.shared.log_sinks.put((), sinks.clone(), until_ms);
        }
        Ok(sinks)
    }

    /// The sinks as they are now.
    ///
    /// # Errors
    /// As [`KeysTable::log_sinks`].
    pub async fn read_log_sinks(&self) -> Result<Vec<StoredSink>, KeysError> {
        let pk = sinks_pk(self.mchid());
        match self.read_item(&pk).await? {
            Some(item) => sinks_of(&item, &pk),
            None => Ok(Vec::new()),
        }
    }

    /// Unseals a sink's address and what lets one in.
    ///
    /// # Errors
    /// KMS does not unseal it, or it is not what is sealed here.
    pub async fn open_log_sink(&self, sink: &StoredSink) -> Result<Sink, KeysError> {
        let pk = sinks_pk(self.mchid());
        let context = sink_context(self.mchid(), sink.kind);
        let plain = self
            .shared
            .vault
            .unseal(&pk, &context, &sink.sealed)
            .await?;
        Sink::from_bytes(sink.kind, &plain).map_err(|source| not_a_sink(pk, source))
    }

    /// Sets a sink up, in the place of the one of its kind.
    ///
    /// # Errors
    /// KMS does not seal, DynamoDB does not write, or [`KeysError::Changed`] after a concurrent
    /// change.
    pub async fn put_log_sink(&self, sink: &Sink) -> Result<(), KeysError> {
        let pk = sinks_pk(self.mchid());
        let context = sink_context(self.mchid(), sink.kind());
        let sealed = self
            .shared
            .vault
            .seal(&pk, &context, &sink.to_bytes())
            .await?;
        let fields = HashMap::from([
            ("sealed".to_owned(), AttributeValue::B(Blob::new(sealed))),
            ("set_up_at".to_owned(), number(self.shared.clock.now().0)),
        ]);
        self.change_log_sinks(&pk, |sinks| {
            let name = sink.kind().name().to_owned();
            sinks.insert(name, AttributeValue::M(fields.clone()));
            Ok(())
        })
        .await
    }

    /// Removes a sink with its secret. Functions that have it forget it within a minute.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there is none of this kind; else as [`KeysTable::put_log_sink`].
    pub async fn remove_log_sink(&self, kind: Kind) -> Result<(), KeysError> {
        let pk = sinks_pk(self.mchid());
        self.change_log_sinks(&pk, |sinks| match sinks.remove(kind.name()) {
            Some(_) => Ok(()),
            None => Err(KeysError::NoItem {
                pk: format!("{pk}, {}", kind.name()),
            }),
        })
        .await
    }

    /// Writes the map of sinks anew, on the version that was read.
    async fn change_log_sinks(
        &self,
        pk: &str,
        change: impl Fn(&mut HashMap<String, AttributeValue>) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        let found = self.read_item(pk).await?;
        let mut sinks = found.as_ref().and_then(stored).cloned().unwrap_or_default();
        change(&mut sinks)?;
        let seen: Option<u64> = found.as_ref().and_then(|item| number_of(item, "version"));
        let version = seen.unwrap_or_default().saturating_add(1);
        let sinks = AttributeValue::M(sinks);
        let update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", text(pk))
            .update_expression("SET sinks = :sinks, version = :version")
            .expression_attribute_values(":sinks", sinks.clone())
            .expression_attribute_values(":version", number(version))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match seen {
            Some(seen) => update
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", number(seen)),
            None => update.condition_expression("attribute_not_exists(version)"),
        };
        let written = update.send().await;
        self.shared.log_sinks.put((), Vec::new(), i64::MIN);
        let Err(error) = written else { return Ok(()) };
        match error.as_service_error() {
            // The answer of a first write was lost, and the SDK has met it.
            Some(UpdateItemError::ConditionalCheckFailedException(refused))
                if refused.item().and_then(|item| item.get("sinks")) == Some(&sinks) =>
            {
                Ok(())
            }
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => {
                Err(KeysError::Changed { pk: pk.to_owned() })
            }
            Some(_) | None => Err(KeysError::Table(AwsError::new("UpdateItem", error))),
        }
    }
}

fn stored(item: &Item) -> Option<&HashMap<String, AttributeValue>> {
    item.get("sinks")?.as_m().ok()
}

/// In the sequence of [`Kind::ALL`]. A kind that a later version knows is not read.
fn sinks_of(item: &Item, pk: &str) -> Result<Vec<StoredSink>, KeysError> {
    let damaged = |what| KeysError::Damaged {
        pk: pk.to_owned(),
        what,
    };
    let stored = stored(item).ok_or_else(|| damaged("it has no map `sinks`"))?;
    let mut sinks = Vec::new();
    for kind in Kind::ALL {
        let Some(value) = stored.get(kind.name()) else {
            continue;
        };
        let fields = value
            .as_m()
            .map_err(|_| damaged("a log sink of it is no map"))?;
        let sealed = bytes_of(fields, "sealed")
            .ok_or_else(|| damaged("a log sink of it has nothing `sealed`"))?;
        sinks.push(StoredSink {
            kind,
            set_up_at: time(fields, "set_up_at"),
            sealed: sealed.to_vec(),
        });
    }
    Ok(sinks)
}

fn not_a_sink(pk: String, source: BadSecret) -> KeysError {
    KeysError::NotAKey {
        pk,
        what: "a log sink's secret",
        source: source.into(),
    }
}

fn sinks_pk(mchid: &str) -> String {
    format!("log-sinks#{mchid}")
}

fn sink_context(mchid: &str, kind: Kind) -> Context {
    Context::of("log-sink")
        .with("mchid", mchid)
        .with("sink", kind.name())
}
