//! What the state file holds.

use serde::{Deserialize, Serialize};

use crate::{books::Store, keys::StoredKey};

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Stored {
    /// Which journal continues it. Versions that had none wrote no such number.
    #[serde(default)]
    pub(crate) journal_id: u64,
    /// The generated merchant, if there is one.
    pub(crate) merchant: Option<StoredMerchant>,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) books: Store,
}

#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct StoredMerchant {
    pub(crate) mchid: String,
    pub(crate) appids: Vec<String>,
    pub(crate) serial: String,
    pub(crate) private_key: String,
    pub(crate) apiv3_key: String,
    /// X.509 PEM; issued when it is first written for clients.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
}
