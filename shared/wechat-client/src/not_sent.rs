//! A call that never left.

use std::error::Error;

use runtime::call_keys::KeysUnavailable;
use wechatpay::sign::SignError;

/// The call never left: nothing happened at WeChat Pay.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The keys could not be read.
    #[error("the merchant's keys could not be read")]
    Keys(#[from] KeysUnavailable),
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Sign(#[from] SignError),
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[source] Box<dyn Error + Send + Sync>),
    /// Reading keys and signing took all the time there was.
    #[error("there was no time left to send the request")]
    TooLate,
    /// The limits would have made it wait longer than there was time.
    #[error("there are more calls at once than the limits allow")]
    Busy,
}
