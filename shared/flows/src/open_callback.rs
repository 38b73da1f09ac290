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

/// Verifies a callback as of `now`, and opens it. A serial that is not known makes the keys be read
/// anew, once: it may be the first callback after a rotation.
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
        Err(CallbackError::Verify(VerifyError::UnknownSerial { serial, .. })) => {
            let merchant = keys.refresh_merchant(&serial).await?;
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

/// Opens a callback that was taken out of the queue: signature and keys are checked again, since
/// whoever can write to the queue is not trusted. Its age is not: that was checked at its arrival,
/// and a message that waited in the dead-letter queue for a person, or was moved back from there
/// (which gives it a new time in SQS), is still WeChat Pay's word. Settling it twice changes
/// nothing.
///
/// # Errors
/// [`OpenCallbackError`].
pub async fn reopen_callback(
    keys: &KeysTable,
    headers: &SignedHeaders,
    body: &[u8],
) -> Result<Callback, OpenCallbackError> {
    let signed_at = headers
        .timestamp
        .parse()
        .map_err(|_| CallbackError::Verify(VerifyError::BadTimestamp))?;
    open_callback(keys, headers, body, UnixSeconds(signed_at)).await
}
