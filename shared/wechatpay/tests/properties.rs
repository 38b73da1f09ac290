//! Whatever comes in, nothing panics, and nothing that was changed passes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the report"
)]

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wechatpay::api::{Close, QueryByOutTradeNo, Refusal};
use wechatpay::{
    ApiV3Key, Call, Certificates, CreateRefund, FieldKey, FundFlowBill, LocalKey, PrepayCall,
    Sealed, SecurityEcho, SignedHeaders, UnixSeconds, VerificationKeys, callback, certificates,
    pay, resource, time,
};

const NOW: UnixSeconds = UnixSeconds(1_785_556_801);
const BODY: &[u8] = include_bytes!("../vectors/callback-payment/body");

static KEYS: LazyLock<VerificationKeys> = LazyLock::new(|| {
    let mut keys = VerificationKeys::new();
    keys.add_public_key(
        &genuine().serial,
        include_str!("../vectors/keys/manual-merchant-public.pem"),
    )
    .expect("a public key");
    keys
});

static APIV3_KEYS: LazyLock<[ApiV3Key; 1]> =
    LazyLock::new(|| [ApiV3Key::new(b"0123456789abcdefghijklmnopqrstuv").expect("32 bytes")]);

static MERCHANT: LazyLock<LocalKey> = LazyLock::new(|| {
    LocalKey::from_pkcs8_pem("5157", include_str!("../vectors/keys/platform.pem"))
        .expect("a private key")
});

/// The headers of the reference callback.
fn genuine() -> SignedHeaders {
    let case: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/callback-payment/case.json")).expect("JSON");
    SignedHeaders::read(|name| case["headers"][name].as_str()).expect("four headers")
}

fn any_headers() -> impl Strategy<Value = SignedHeaders> {
    (".*", ".*", ".*", ".*", proptest::option::of(".*")).prop_map(
        |(timestamp, nonce, serial, signature, signature_type)| SignedHeaders {
            timestamp,
            nonce,
            serial,
            signature,
            signature_type,
        },
    )
}

proptest! {
    #[test]
    fn no_headers_and_no_body_make_opening_panic(headers in any_headers(), body in vec(any::<u8>(), 0..600), now: i64) {
        let opened = callback::open(&headers, &body, &KEYS, &*APIV3_KEYS, UnixSeconds(now));
        prop_assert!(opened.is_err());
    }

    #[test]
    fn a_callback_with_one_changed_byte_is_turned_away(at: Index, change in 1_u8..) {
        let mut body = BODY.to_vec();
        let at = at.index(body.len());
        body[at] ^= change;
        let refused = callback::open(&genuine(), &body, &KEYS, &*APIV3_KEYS, NOW).expect_err("it was changed");
        prop_assert_eq!(refused.name(), "wrong_signature");
    }

    #[test]
    fn a_callback_that_was_cut_is_turned_away(at: Index) {
        let cut = &BODY[..at.index(BODY.len())];
        prop_assert!(callback::open(&genuine(), cut, &KEYS, &*APIV3_KEYS, NOW).is_err());
    }

    #[test]
    fn a_callback_passes_exactly_within_the_window(distance in -1000_i64..1000) {
        let opened = callback::open(&genuine(), BODY, &KEYS, &*APIV3_KEYS, UnixSeconds(NOW.0 + distance));
        prop_assert_eq!(opened.is_ok(), distance.abs() <= 300);
    }

    #[test]
    fn no_resource_makes_opening_panic(
        ciphertext in prop_oneof![".*", "[A-Za-z0-9+/]{0,80}={0,2}"],
        associated_data in proptest::option::of(".*"),
        nonce in prop_oneof![".*", "[a-z]{12}"],
    ) {
        let sealed = Sealed { algorithm: "AEAD_AES_256_GCM".to_owned(), ciphertext, associated_data, nonce };
        prop_assert!(resource::open(&sealed, &*APIV3_KEYS).is_err());
    }

    #[test]
    fn no_answer_makes_reading_panic(status: u16, body in vec(any::<u8>(), 0..300)) {
        let _ = PrepayCall::answer(status, &body);
        let _ = QueryByOutTradeNo::answer(status, &body);
        let _ = Close::answer(status, &body);
        let _ = CreateRefund::answer(status, &body);
        let _ = FundFlowBill::answer(status, &body);
        let _ = Certificates::answer(status, &body);
        let _ = SecurityEcho::answer(status, &body);
        let refusal = Refusal::read(status, &body);
        prop_assert_eq!(refusal.status, status);
    }

    #[test]
    fn no_certificate_download_makes_opening_panic(body in vec(any::<u8>(), 0..300)) {
        prop_assert!(certificates::open_download(200, &genuine(), &body, &*APIV3_KEYS, &KEYS, NOW).is_err());
    }

    #[test]
    fn no_text_makes_reading_keys_panic(text in prop_oneof![
        ".*",
        "-----BEGIN (CERTIFICATE|PUBLIC KEY|PRIVATE KEY|RSA PRIVATE KEY)-----\n[A-Za-z0-9+/]{0,64}={0,2}\n-----END CERTIFICATE-----",
    ]) {
        let mut keys = VerificationKeys::new();
        prop_assert!(keys.add_certificate(&text).is_err());
        prop_assert!(keys.add_public_key("id", &text).is_err());
        prop_assert!(LocalKey::from_pkcs8_pem("serial", &text).is_err());
        prop_assert!(LocalKey::from_pkcs1_pem("serial", &text).is_err());
    }

    #[test]
    fn any_time_is_written_so_that_it_reads_back(seconds in 0_i64..253_402_271_999) {
        let text = time::format_rfc3339_beijing(UnixSeconds(seconds));
        prop_assert_eq!(time::parse_rfc3339(&text), Ok(UnixSeconds(seconds)));
        prop_assert!(text.starts_with(&time::beijing_day(UnixSeconds(seconds))));
    }

    #[test]
    fn no_text_makes_reading_times_panic(text in ".*", seconds: i64) {
        let _ = time::parse_rfc3339(&text);
        prop_assert_eq!(time::format_rfc3339_beijing(UnixSeconds(seconds)).len(), 25);
    }

    #[test]
    fn a_path_variable_never_leaves_its_segment(number in ".*") {
        let path = QueryByOutTradeNo { mchid: "1".to_owned(), out_trade_no: number }.outgoing().path_and_query;
        let value = path
            .strip_prefix("/v3/pay/transactions/out-trade-no/")
            .and_then(|rest| rest.strip_suffix("?mchid=1"))
            .expect("the rest of the path is fixed");
        prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{}", value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))] // a private-key operation each

    #[test]
    fn every_field_that_fits_comes_back(plain in ".{0,60}") {
        let public = include_str!("../vectors/keys/platform-public.pem");
        let field_key = FieldKey::from_public_key("id", public).expect("a public key");
        if let Ok(field) = field_key.encrypt(&plain) {
            prop_assert_eq!(MERCHANT.open_sensitive(field.as_str()), Ok(plain));
        } else {
            prop_assert!(plain.len() > 214);
        }
    }

    #[test]
    fn apps_and_pages_never_share_a_signature(prepay_id in "wx[0-9]{10,30}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (page, app) = runtime.block_on(async {
            let page = pay::jsapi(&*MERCHANT, "wx1", &prepay_id, NOW, "n").await.expect("it signs");
            let app = pay::app(&*MERCHANT, "wx1", "1900007291", &prepay_id, NOW, "n").await.expect("it signs");
            (page, app)
        });
        prop_assert_eq!(page.package, format!("prepay_id={prepay_id}"));
        prop_assert_eq!(app.prepay_id, prepay_id);
        prop_assert_ne!(page.pay_sign, app.sign);
    }
}
