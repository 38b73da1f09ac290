//! What a simulator is started with.

use std::{fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// Everything a simulator is started with. [`Config::default`] suits a person at a terminal,
/// [`Config::for_tests`] a test.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// From it every random choice is drawn: ids, faults, nonces. `None` takes one at random (and
    /// shows it).
    pub seed: Option<u64>,
    /// Whose simulator it is.
    pub merchant: Merchant,
    /// The keys that WeChat Pay (and a generated merchant) uses.
    pub keys: Keys,
    /// Which clock it follows.
    pub time: Time,
    /// The file that keeps orders, refunds and generated keys over a restart; a journal of changes
    /// is beside it while the simulator runs. `None` keeps nothing.
    pub state_file: Option<PathBuf>,
    /// Where [`ClientDetails`](crate::ClientDetails) are written as JSON; a generated merchant's
    /// private key and certificate are written beside it. `None` writes none of them.
    pub details_file: Option<PathBuf>,
    /// The scheme and host by which clients reach it through a tunnel or a proxy
    /// (`https://sim.example`): links begin with it, and the details name it. Without it links
    /// follow the request.
    pub public_url: Option<String>,
    /// The key that signs callbacks, and answers to requests without a `Wechatpay-Serial` header.
    pub signing_mode: SigningMode,
    /// Whether this merchant has platform certificates. New merchants have none and get 404 from
    /// `/v3/certificates`.
    pub platform_certificates: bool,
    /// Whether a bill of the running day may be asked for. WeChat refuses that; a developer cannot
    /// wait for tomorrow.
    pub bills_of_today: bool,
    /// Milliseconds from a refund's acceptance to its end (divided by the speed).
    pub refund_takes_ms: i64,
    /// Is handed one line for each request, callback and click.
    pub log: Option<Log>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 8081,
            seed: None,
            merchant: Merchant::Generated,
            keys: Keys::Generated,
            time: Time::System { speed: 1 },
            state_file: None,
            details_file: None,
            public_url: None,
            signing_mode: SigningMode::PublicKey,
            platform_certificates: true,
            bills_of_today: false,
            refund_takes_ms: 5_000,
            log: None,
        }
    }
}

impl Config {
    /// A free port, the published keys (starts in milliseconds), the same seed each time, nothing
    /// on disk.
    pub fn for_tests() -> Self {
        Self {
            port: 0,
            seed: Some(1),
            keys: Keys::Published,
            ..Self::default()
        }
    }
}

/// Receives the log's lines; clones share one receiver.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// A log that hands each line to `receiver`.
    pub fn new(receiver: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receiver))
    }

    pub(crate) fn line(&self, text: &str) {
        (self.0)(text);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// Whose simulator it is.
#[derive(Clone, Debug)]
pub enum Merchant {
    /// A merchant is made up: number, appids, key and APIv3 key.
    Generated,
    /// The merchant that the developer already has.
    Given(GivenMerchant),
}

/// A merchant that exists already. The simulator needs its public key only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenMerchant {
    /// Merchant number, 8 to 10 digits.
    pub mchid: String,
    /// The appids bound to it; the first is shown as the default.
    pub appids: Vec<String>,
    /// Serial of the merchant certificate, 40 hex digits.
    pub merchant_serial: String,
    /// The merchant's public key as SPKI PEM (`-----BEGIN PUBLIC KEY-----`).
    pub merchant_public_key: String,
    /// The path of its private key; only copied into the JSON file, never read.
    #[serde(default)]
    pub merchant_private_key_file: Option<PathBuf>,
    /// The APIv3 key: 32 characters of `[0-9A-Za-z]`.
    pub apiv3_key: String,
}

/// Where RSA keys come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keys {
    /// Generated (a second or so each), or read from the state file.
    Generated,
    /// The ones in `test-keys/`, which are public. For tests.
    Published,
}

/// The two ways in which WeChat Pay signs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SigningMode {
    /// With the key whose id begins with `PUB_KEY_ID_`.
    PublicKey,
    /// With the platform certificate's key.
    Certificate,
}
