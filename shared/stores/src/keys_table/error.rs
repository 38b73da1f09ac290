//! Why keys are not to be had.

use std::time::Duration;

use payments::model::ids::BadClientId;
use runtime::{aws::AwsError, kms::KmsError};

/// Keys that were not read, not unsealed or not written. Holds no key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// DynamoDB did not do as asked.
    #[error("the keys table is not to be had")]
    Table(#[source] AwsError),
    /// KMS did not seal or unseal.
    #[error("a secret of {pk} was not sealed or unsealed")]
    Secret {
        /// The item.
        pk: String,
        /// What KMS said.
        #[source]
        source: KmsError,
    },
    /// Table and KMS together did not answer in time.
    #[error("the merchant's keys were not read and unsealed within {} ms", limit.as_millis())]
    TooSlow {
        /// See [`KeysTable::for_callbacks`](super::KeysTable::for_callbacks).
        limit: Duration,
    },
    /// There is no item for the merchant.
    #[error("the keys table has no item {pk}; run the set-up that writes it")]
    NoMerchant {
        /// The item.
        pk: String,
    },
    /// An item does not hold what it must.
    #[error("item {pk} of the keys table: {what}")]
    Damaged {
        /// The item.
        pk: String,
        /// What is missing or wrong.
        what: &'static str,
    },
    /// A key to be written, or an unsealed one, is not valid.
    #[error("{what} for {pk} is not usable")]
    NotAKey {
        /// The item.
        pk: String,
        /// Which key.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A client cannot be registered under such an id.
    #[error("nothing is registered for this client: {0}")]
    Client(#[from] BadClientId),
    /// There is no such item to be changed or removed.
    #[error("the keys table has no item {pk}; `cargo client setup show` lists what it has")]
    NoItem {
        /// The item.
        pk: String,
    },
    /// A conditional write found a newer item.
    #[error("item {pk} was changed meanwhile; read it again and decide again")]
    Changed {
        /// The item.
        pk: String,
    },
}

impl KeysError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Table(error) => error.is_transient(),
            Self::Secret { source, .. } => source.is_transient(),
            Self::TooSlow { .. } => true,
            Self::NoMerchant { .. }
            | Self::Damaged { .. }
            | Self::NotAKey { .. }
            | Self::Client(_)
            | Self::NoItem { .. }
            | Self::Changed { .. } => false,
        }
    }

    /// Whether a write with this failure may have succeeded: if a call's answer was lost, the
    /// result is unknown.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Table(_) | Self::TooSlow { .. } => true,
            Self::Secret { .. }
            | Self::NoMerchant { .. }
            | Self::Damaged { .. }
            | Self::NotAKey { .. }
            | Self::Client(_)
            | Self::NoItem { .. }
            | Self::Changed { .. } => false,
        }
    }
}
