//! Verifies and decrypts a callback: when it arrives, and again when it is received from the queue.

use stores::keys_table::{KeysError, KeysTable};
use wechatpay::{
    UnixSeconds,
    callback::{self, Callback, CallbackError},
    verify::{SignedHeaders, VerifyError, check_without_keys},
};

/// Why a callback was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OpenCallbackError {
    /// It is not from WeChat Pay, or our keys do not decrypt it.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The keys could not be read.
    #[error("the keys could not be read")]
    Keys(#[from] KeysError),
}

/// Verifies a callback at the time `now`, and decrypts it. An unknown key serial reloads the keys
/// once: this may be the first callback after a rotation.
///
/// # Errors
/// [`OpenCallbackError`].
pub async fn open_callback(
    keys: &KeysTable,
    headers: &SignedHeaders,
    body: &[u8],
    now: UnixSeconds,
) -> Result<Callback, OpenCallbackError> {
    // Before the keys are read: a callback that is old or of another kind costs no call.
    check_without_keys(headers, now).map_err(CallbackError::Verify)?;
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

/// Opens a callback from the queue. Signature and keys are checked again, because writers to the
/// queue are not trusted. Its age is not checked again: it was checked on arrival, and a message
/// that waited in the dead-letter queue or was moved back from there (which gives it a new time in
/// SQS) is still authentic. Settling it twice changes nothing.
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
