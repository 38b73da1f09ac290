//! The names of items, and the KMS contexts of the secrets in them.

use runtime::kms::Context;

/// The longest key id that is looked up.
const KEYID_LENGTH_MAX: usize = 128;

pub(super) fn merchant_pk(mchid: &str) -> String {
    format!("merchant#{mchid}")
}

pub(super) fn client_pk(keyid: &str) -> String {
    format!("client#{keyid}")
}

pub(super) fn apiv3_context(mchid: &str, version: u32) -> Context {
    Context::of("apiv3-key")
        .with("mchid", mchid)
        .with("version", version.to_string())
}

pub(super) fn signer_context(mchid: &str) -> Context {
    Context::of("merchant-key").with("mchid", mchid)
}

pub(super) fn client_context(keyid: &str) -> Context {
    Context::of("client-key").with("keyid", keyid)
}

/// Key ids are visible ASCII; other values from requests are not looked up.
pub(super) fn is_keyid(keyid: &str) -> bool {
    (1..=KEYID_LENGTH_MAX).contains(&keyid.len())
        && keyid.bytes().all(|byte| byte.is_ascii_graphic())
}
