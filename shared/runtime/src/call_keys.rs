//! The merchant's keys as the WeChat Pay client needs them. It does not know where they are stored:
//! they come from a [`KeySource`].

use std::{error::Error, fmt, pin::Pin, sync::Arc};

use wechatpay::{FieldKey, resource::ApiV3Key, verify::VerificationKeys};

use crate::signer::{MerchantSigner, SignWith};

/// Where the merchant's keys come from.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The keys as they are now. A source caches them: this is asked before each call.
    fn current(&self) -> KeysFuture<'_, Arc<dyn CallKeys>>;

    /// The keys read again, because an answer names `serial`, which is not among them.
    fn refreshed<'a>(&'a self, serial: &'a str) -> KeysFuture<'a, Arc<dyn CallKeys>>;
}

/// The keys of one call, as they were when they were read.
pub trait CallKeys: fmt::Debug + Send + Sync {
    /// WeChat Pay's keys, which verify the answer.
    fn verification(&self) -> &VerificationKeys;

    /// Which of them a request names in `Wechatpay-Serial`, so that the answer is signed with it.
    fn response_serial(&self) -> &str;

    /// The key that personal fields are encrypted to: the one that `response_serial` names.
    ///
    /// # Errors
    /// There is no such key, or it cannot be read.
    fn field_key(&self) -> Result<FieldKey, KeysUnavailable>;

    /// The APIv3 keys that open what WeChat Pay encrypts, newest first.
    fn apiv3(&self) -> KeysFuture<'_, &[ApiV3Key]>;

    /// The signer that the settings chose.
    fn signer<'a>(&'a self, with: &'a SignWith) -> KeysFuture<'a, MerchantSigner>;
}

/// What a source gives once it has read or unsealed a key.
pub type KeysFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeysUnavailable>> + Send + 'a>>;

/// Keys that a source does not have. It says what the source says.
#[derive(Debug)]
pub struct KeysUnavailable {
    cause: Box<dyn Error + Send + Sync>,
    is_transient: bool,
}

impl KeysUnavailable {
    /// With the source's own error, and whether the same may succeed later.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>, is_transient: bool) -> Self {
        Self {
            cause: cause.into(),
            is_transient,
        }
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl fmt::Display for KeysUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for KeysUnavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}
