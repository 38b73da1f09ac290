//! The channels by which people on call are told of alarms.
//!
//! `channels#<mchid>`, one item, so that one read has them all: `channels` M, by name M of `kind`
//! S, `sealed` B (address and signing secret), `page` N and `ticket` N (its place among the
//! channels that are tried for alarms of that severity, from 1; none where it is not), `set_up_at`
//! N; `version` N, which counts the changes. What is sealed opens under the channel's name alone
//! (`{purpose: operator-channel, mchid, channel}`).

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use operator_channels::{BadCredentials, Credentials, Kind, Severity};
use runtime::{aws::AwsError, kms::Context};
use wechatpay::UnixSeconds;

use super::{KeysTable, error::KeysError, fields::time};
use crate::attributes::{Item, bytes_of, number, number_of, text, text_of};

/// How many channels there may be: they are one item.
const CHANNELS_MAX: usize = 20;
/// The longest name of a channel.
const NAME_MAX: usize = 32;

/// A channel as it was set up. Its address is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Channel {
    /// What people call it.
    pub name: String,
    pub kind: Kind,
    /// Its place among those that are tried for urgent alarms, from 1.
    pub page: Option<u32>,
    /// Its place among those that are tried for alarms that can wait.
    pub ticket: Option<u32>,
    /// When it was set up or changed last.
    pub set_up_at: Option<UnixSeconds>,
    sealed: Sealed,
}

/// What is sealed. Its `Debug` shows nothing.
#[derive(Clone, Eq, PartialEq)]
struct Sealed(Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// A channel that is set up, or changed.
#[derive(Debug)]
pub struct NewChannel<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub credentials: &'a Credentials,
    pub page: Option<u32>,
    pub ticket: Option<u32>,
}

impl Channel {
    /// Its place among the channels of a severity.
    pub fn place(&self, severity: Severity) -> Option<u32> {
        match severity {
            Severity::Page => self.page,
            Severity::Ticket => self.ticket,
        }
    }
}

impl KeysTable {
    /// All channels, at most a minute old, by name.
    ///
    /// # Errors
    /// The item cannot be read, or is damaged.
    pub async fn channels(&self) -> Result<Vec<Channel>, KeysError> {
        let now_ms = self.shared.clock.now_ms();
        if let Some(cached) = self.shared.channels.get(&(), now_ms) {
            return Ok(cached);
        }
        let channels = self.read_channels().await?;
        // That there is none is not kept: one may be set up at this moment because an alarm is on.
        if !channels.is_empty() {
            let until_ms = now_ms.saturating_add(super::FRESH_MS);
            self.shared.channels.put((), channels.clone(), until_ms);
        }
        Ok(channels)
    }

    /// The channels as they are now, by name.
    ///
    /// # Errors
    /// As [`KeysTable::channels`].
    pub async fn read_channels(&self) -> Result<Vec<Channel>, KeysError> {
        let pk = channels_pk(self.mchid());
        match self.read_item(&pk).await? {
            Some(item) => Ok(channels_of(&item, &pk)?.into_values().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// Unseals what lets one into a channel.
    ///
    /// # Errors
    /// KMS does not unseal it, or it is not what is sealed here.
    pub async fn channel_credentials(&self, channel: &Channel) -> Result<Credentials, KeysError> {
        let pk = channels_pk(self.mchid());
        let context = channel_context(self.mchid(), &channel.name);
        let sealed = &channel.sealed.0;
        let plain = self.shared.vault.unseal(&pk, &context, sealed).await?;
        Credentials::from_bytes(channel.kind, &plain).map_err(|source| not_a_channel(pk, source))
    }

    /// Sets a channel up, or changes it as a whole. Its address and secret are sealed.
    ///
    /// # Errors
    /// The name is not usable, there are too many, KMS does not seal, DynamoDB does not write, or
    /// [`KeysError::Changed`] after a concurrent change.
    pub async fn put_channel(&self, new: &NewChannel<'_>) -> Result<(), KeysError> {
        let pk = channels_pk(self.mchid());
        if !is_name(new.name) {
            return Err(damaged(
                &pk,
                "a channel's name has 1 to 32 of a-z, 0-9 and -",
            ));
        }
        let context = channel_context(self.mchid(), new.name);
        let plain = new.credentials.to_bytes();
        let sealed = self.shared.vault.seal(&pk, &context, &plain).await?;
        let mut fields = HashMap::from([
            ("kind".to_owned(), text(new.kind.name())),
            ("sealed".to_owned(), AttributeValue::B(Blob::new(sealed))),
            ("set_up_at".to_owned(), number(self.shared.clock.now().0)),
        ]);
        for (name, place) in [("page", new.page), ("ticket", new.ticket)] {
            if let Some(place) = place {
                fields.insert(name.to_owned(), number(place));
            }
        }
        let channel = AttributeValue::M(fields);
        self.change_channels(&pk, |channels| {
            channels.insert(new.name.to_owned(), channel.clone());
            if channels.len() > CHANNELS_MAX {
                return Err(damaged(
                    &pk,
                    "there are 20 channels already: remove one first",
                ));
            }
            Ok(())
        })
        .await
    }

    /// Removes a channel with its secret. Functions that have it forget it within a minute.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there is none of this name; else as [`KeysTable::put_channel`].
    pub async fn remove_channel(&self, name: &str) -> Result<(), KeysError> {
        let pk = channels_pk(self.mchid());
        self.change_channels(&pk, |channels| match channels.remove(name) {
            Some(_) => Ok(()),
            None => Err(KeysError::NoItem {
                pk: format!("{pk}, {name}"),
            }),
        })
        .await
    }

    /// Writes the map of channels anew, on the version that was read. What a later version added to
    /// a channel that is not changed stays.
    async fn change_channels(
        &self,
        pk: &str,
        change: impl Fn(&mut HashMap<String, AttributeValue>) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        let found = self.read_item(pk).await?;
        let mut channels = found.as_ref().and_then(stored).cloned().unwrap_or_default();
        change(&mut channels)?;
        let seen: Option<u64> = found.as_ref().and_then(|item| number_of(item, "version"));
        let version = seen.unwrap_or_default().saturating_add(1);
        let channels = AttributeValue::M(channels);
        let update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", text(pk))
            .update_expression("SET channels = :channels, version = :version")
            .expression_attribute_values(":channels", channels.clone())
            .expression_attribute_values(":version", number(version))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match seen {
            Some(seen) => update
                .condition_expression("version = :seen")
                .expression_attribute_values(":seen", number(seen)),
            None => update.condition_expression("attribute_not_exists(version)"),
        };
        let written = update.send().await;
        self.shared.channels.put((), Vec::new(), i64::MIN);
        let Err(error) = written else { return Ok(()) };
        match error.as_service_error() {
            // The answer of a first write was lost, and the SDK has met it.
            Some(UpdateItemError::ConditionalCheckFailedException(refused))
                if refused.item().and_then(|item| item.get("channels")) == Some(&channels) =>
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
    item.get("channels")?.as_m().ok()
}

fn channels_of(item: &Item, pk: &str) -> Result<BTreeMap<String, Channel>, KeysError> {
    let stored = stored(item).ok_or_else(|| damaged(pk, "it has no map `channels`"))?;
    let mut channels = BTreeMap::new();
    for (name, value) in stored {
        let fields = value
            .as_m()
            .map_err(|_| damaged(pk, "a channel of it is no map"))?;
        let kind = text_of(fields, "kind")
            .and_then(Kind::parse)
            .ok_or_else(|| damaged(pk, "a channel of it has no known `kind`"))?;
        let sealed = bytes_of(fields, "sealed")
            .ok_or_else(|| damaged(pk, "a channel of it has nothing `sealed`"))?;
        let channel = Channel {
            name: name.clone(),
            kind,
            page: number_of(fields, "page"),
            ticket: number_of(fields, "ticket"),
            set_up_at: time(fields, "set_up_at"),
            sealed: Sealed(sealed.to_vec()),
        };
        channels.insert(name.clone(), channel);
    }
    Ok(channels)
}

fn damaged(pk: &str, what: &'static str) -> KeysError {
    KeysError::Damaged {
        pk: pk.to_owned(),
        what,
    }
}

fn not_a_channel(pk: String, source: BadCredentials) -> KeysError {
    KeysError::NotAKey {
        pk,
        what: "a channel's address",
        source: source.into(),
    }
}

/// Names stand in messages, log lines and keys of items.
fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn channels_pk(mchid: &str) -> String {
    format!("channels#{mchid}")
}

fn channel_context(mchid: &str, name: &str) -> Context {
    Context::of("operator-channel")
        .with("mchid", mchid)
        .with("channel", name)
}
