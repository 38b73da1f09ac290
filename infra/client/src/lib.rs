//! A client of the merchant API: reads a settings file, signs calls by RFC 9421, sends them or
//! shows them as `curl` commands, and registers keys for a deployment. The binary of this package
//! is a thin shell over it; the local stack and tests use it too.
//!
//! ```no_run
//! # use client::{Call, Client};
//! # use wechatpay::UnixSeconds;
//! # fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::load(".local/client.json".as_ref())?;
//! let call = Call::get_order("tea-0001");
//! let signed = client.sign(&call, UnixSeconds(1_790_000_000), "a fresh nonce")?;
//! println!("{}", signed.curl());
//! # Ok(())
//! # }
//! ```

mod api_url;
mod call;
mod send;
mod settings;
mod setup;
mod signed;

pub use api_url::{ApiUrl, ApiUrlError};
pub use call::{Call, Card, NewOrder, NewRefund, RefundTo};
pub use send::{ApiAnswer, SendError, Sender};
pub use settings::{Client, Settings, SettingsError};
pub use setup::{
    ApiClientKey, MerchantFiles, PlatformKey, SetupError, add_client, add_platform_key, certified,
    change_merchant, read_merchant_certificate, read_merchant_key,
};
pub use signed::SignedCall;
