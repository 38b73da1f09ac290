//! WeChat Pay for the merchant of all tests, what set-up writes of both on AWS, and functions
//! opened over it.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use stores::keys_table::{
    KeysTable, VerificationEntry, VerificationKind,
    write::{NewApiV3Key, NewMerchant},
};
use wechatpay::UnixSeconds;
use wechatpay_simulator::{Admin, Config, GivenMerchant, Merchant, SigningMode, Time};

use crate::merchant::{APIV3_KEY, APPIDS, MCHID, MERCHANT_SERIAL, sealed_key};

/// A simulator that has this public key of the merchant and whose clock stands at `start`.
pub fn simulator_config(merchant_public_key: String, start: UnixSeconds) -> Config {
    let merchant = GivenMerchant {
        mchid: MCHID.to_owned(),
        appids: APPIDS.map(str::to_owned).to_vec(),
        merchant_serial: MERCHANT_SERIAL.to_owned(),
        merchant_public_key,
        merchant_private_key_file: None,
        apiv3_key: APIV3_KEY.to_owned(),
    };
    Config {
        merchant: Merchant::Given(merchant),
        time: Time::Manual { start_s: start.0 },
        ..Config::for_tests()
    }
}

/// Writes what set-up does into the keys table: WeChat Pay's newest keys of these kinds, of which
/// requests ask answers to be signed with the first; the APIv3 key; the merchant's own key and the
/// number of its certificate.
///
/// # Panics
/// When WeChat Pay has no such key, or the table is not there.
pub async fn write_merchant(keys: &KeysTable, wechat: &Admin, kinds: &[VerificationKind]) {
    let verification: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let mode = match kind {
                VerificationKind::PublicKey => SigningMode::PublicKey,
                VerificationKind::Certificate => SigningMode::Certificate,
            };
            let (id, pem) = wechat.newest_key(mode).expect("a key");
            let kind = *kind;
            VerificationEntry { id, kind, pem }
        })
        .collect();
    keys.put_merchant(&NewMerchant {
        verification: &verification,
        response_serial: &verification.first().expect("a key").id,
        apiv3: &[NewApiV3Key {
            version: 1,
            bytes: APIV3_KEY.as_bytes(),
        }],
        signer_serial: MERCHANT_SERIAL,
        signer_kms_key_id: None,
        signer_pkcs8: Some(&sealed_key().pkcs8()),
    })
    .await
    .expect("the merchant's keys");
}

/// Opens a function from its settings, as its `main` does: its crate, its environment, AWS, a clock
/// and randomness. Its users depend on `flows` and on the function.
#[macro_export]
macro_rules! open {
    ($function:ident, $environment:expr, $aws:expr, $clock:expr, $random:expr) => {{
        let (_, settings) = flows::sandbox::read($environment).expect("complete settings");
        let sandbox = flows::sandbox::Sandbox {
            aws: $aws.clone(),
            clock: $clock.clone(),
            random: $random.clone(),
        };
        $function::app::App::open(settings, &sandbox)
    }};
}
