//! Opening a callback: at its arrival, and once more when it is taken out of the queue.

use adapters::keys_table::{KeysError, KeysTable};
use wechatpay::{
    UnixSeconds,
    callback::{self, Callback, CallbackError},
    verify::{SignedHeaders, VerifyError},
};

/// Why a callback does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenCallbackError {
    /// It is not WeChat Pay's, or our keys do not open it.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The keys could not be read.
    #[error("the keys could not be read")]
    Keys(#[from] KeysError),
}

/// Verifies a callback as of `now`, and opens it. A serial that is not known makes the keys be read anew, once: it may be the
/// first callback after a rotation.
///
/// # Errors
/// [`OpenCallbackError`].
pub async fn open_callback(
    keys: &KeysTable,
    headers: &SignedHeaders,
    body: &[u8],
    now: UnixSeconds,
) -> Result<Callback, OpenCallbackError> {
    let merchant = keys.merchant().await?;
    match callback::open(
        headers,
        body,
        &merchant.verification,
        merchant.apiv3().await?,
        now,
    ) {
        Err(CallbackError::Verify(VerifyError::UnknownSerial { .. })) => {
            let merchant = keys.refresh_merchant().await?;
            Ok(callback::open(
                headers,
                body,
                &merchant.verification,
                merchant.apiv3().await?,
                now,
            )?)
        }
        opened => Ok(opened?),
    }
}
