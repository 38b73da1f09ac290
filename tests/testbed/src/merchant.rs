//! The merchant of all tests and benchmarks: who it is at WeChat Pay, and its keys. They are
//! public.

use std::sync::{Arc, LazyLock};

use crate::rsa_key::RsaKey;

/// Its number at WeChat Pay.
pub const MCHID: &str = "1900000001";
/// Its appids. A client that names none means the first.
pub const APPIDS: [&str; 2] = ["wx00000000000000aa", "wx00000000000000bb"];
/// Its APIv3 key, which callbacks are encrypted under.
pub const APIV3_KEY: &str = "0123456789abcdefghijklmnopqrstuv";
/// The number of its certificate.
pub const MERCHANT_SERIAL: &str = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB";

/// Its RSA key, where KMS holds it (`MERCHANT_SIGNER=kms`). Made once for the process, since that
/// takes a while.
pub fn kms_key() -> Arc<RsaKey> {
    static KEY: LazyLock<Arc<RsaKey>> = LazyLock::new(|| Arc::new(RsaKey::generate()));
    Arc::clone(&KEY)
}

/// Its RSA key, where the keys table holds it sealed (`MERCHANT_SIGNER=sealed`). It is another one,
/// so that a signature shows which of them signed.
pub fn sealed_key() -> Arc<RsaKey> {
    static KEY: LazyLock<Arc<RsaKey>> = LazyLock::new(|| Arc::new(RsaKey::generate()));
    Arc::clone(&KEY)
}
