//! The WeChat Pay APIv3 merchant protocol (微信支付 APIv3, mainland China): bytes in, values out.
//!
//! This crate opens no socket, reads no clock, and does not depend on its environment: requests are
//! values to be sent, answers and callbacks are bytes to be opened, and the time is an argument. So
//! every decision can be tested, and any HTTP client can be used.
//!
//! # An order, from request to notice
//!
//! ```
//! use wechatpay::api::{PrepayAmount, PrepayBody};
//! use wechatpay::{
//!     ApiV3Key, Call, LocalKey, Plaintext, PrepayCall, PrepayProduct, PrepayValue, SignedHeaders,
//!     UnixSeconds, VerificationKeys, authorization, callback, read_answer,
//! };
//! # const APICLIENT_KEY: &str = include_str!("../vectors/keys/manual-merchant.pem");
//! # const PUB_KEY: &str = include_str!("../vectors/keys/manual-response-public.pem");
//! # const PUB_KEY_ID: &str = "PUB_KEY_ID_0000000000000024101100397200000006";
//! # const ANSWER: &str = include_str!("../vectors/message-manual-response/case.json");
//! # const ANSWER_BODY: &[u8] = include_bytes!("../vectors/message-manual-response/body");
//! # const NOTICE: &str = include_str!("../vectors/callback-payment/case.json");
//! # const NOTICE_BODY: &[u8] = include_bytes!("../vectors/callback-payment/body");
//! # const NOTICE_KEY: &str = include_str!("../vectors/keys/manual-merchant-public.pem");
//! # struct Received { headers: std::collections::HashMap<String, String> }
//! # impl Received {
//! #     fn of(case: &str) -> Self {
//! #         let case: serde_json::Value = serde_json::from_str(case).unwrap();
//! #         Self { headers: serde_json::from_value(case["headers"].clone()).unwrap() }
//! #     }
//! #     fn header(&self, name: &str) -> Option<&str> {
//! #         self.headers.get(name).map(String::as_str)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The merchant's key signs requests; WeChat Pay's key, under its id, verifies what comes back.
//! let serial_no = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB";
//! let merchant = LocalKey::from_pkcs8_pem(serial_no, APICLIENT_KEY)?;
//! let mut keys = VerificationKeys::new();
//! keys.add_public_key(PUB_KEY_ID, PUB_KEY)?;
//!
//! // An order, to be paid by scanning a QR code. Keep `order.body()`: a repeat must send the same
//! // bytes.
//! let order = PrepayCall::new(
//!     PrepayProduct::Native,
//!     &PrepayBody {
//!         appid: "wxd678efh567hg6787".into(),
//!         mchid: "1900007291".into(),
//!         description: "A cup of tea".into(),
//!         out_trade_no: "ORDER20260801001".into(),
//!         notify_url: "https://shop.example/notify".into(),
//!         amount: PrepayAmount { total: 100, currency: Some("CNY".into()) },
//!         ..PrepayBody::default()
//!     },
//! );
//! let request = order.outgoing();
//! let now = UnixSeconds(1_722_850_420);
//! let nonce = "593BEC0C930BF1AFEB40B4A08C8FB242";
//! let header = authorization(&merchant, "1900007291", &request, now, nonce).await?;
//! assert!(header.starts_with("WECHATPAY2-SHA256-RSA2048 mchid=\"1900007291\","));
//! // Send `request` with this `Authorization` and the headers listed at `wechatpay::api`. What
//! // comes back:
//! # let response = Received::of(ANSWER);
//! let headers = SignedHeaders::read(|name| response.header(name));
//! let value = read_answer::<PrepayCall>(200, headers, ANSWER_BODY, &keys, now)?;
//! let PrepayValue::CodeUrl(code_url) = value else {
//!     return Err("a native order has a code_url".into());
//! };
//! assert_eq!(code_url, "weixin://wxpay/bizpayurl?pr=JyC91EIz1");
//!
//! // Later WeChat Pay calls `notify_url`.
//! # let call = Received::of(NOTICE);
//! # let mut keys = VerificationKeys::new();
//! # keys.add_public_key(PUB_KEY_ID, NOTICE_KEY)?;
//! let apiv3_keys = [ApiV3Key::new(b"0123456789abcdefghijklmnopqrstuv")?];
//! let headers = SignedHeaders::read(|name| call.header(name))?;
//! let now = UnixSeconds(1_785_556_802);
//! let notice = callback::open(&headers, NOTICE_BODY, &keys, &apiv3_keys, now)?;
//! if let Plaintext::Transaction(paid) = notice.plaintext {
//!     assert_eq!(paid.out_trade_no, "ORDER20260801001");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is supported
//!
//! | Topic | Where |
//! |---|---|
//! | Signing requests, with a key here or in a key service | [`sign`] |
//! | Parameters by which a client starts paying (JSAPI, mini program, app) | [`pay`] |
//! | Verifying responses and callbacks; public keys and platform certificates side by side | [`verify`](mod@verify) |
//! | `AEAD_AES_256_GCM` resources, two APIv3 keys in order | [`resource`] |
//! | Callbacks: payment, combined payment, refund, profit sharing, self-test; others as bytes | [`callback`] |
//! | Platform certificates and their rotation | [`certificates`] |
//! | Sensitive fields, RSA-OAEP with SHA-1 | [`sensitive`] |
//! | Prepay, query, close, refunds, bills, certificates, self-test; error codes and repeats | [`api`] |
//! | Bills: reading the files | [`bill`] |
//!
//! # What is not
//!
//! - Sending: bring an HTTP client, with a total time-out, that keeps idle connections for less
//!   than 8 seconds.
//! - Service-provider (服务商) requests. Their callbacks verify and open, and are handed out as
//!   bytes.
//! - 国密 (SM2, SM3, SM4), brand APIs, and merchants outside mainland China.
//! - Creating combined payments, profit sharing, transfers, uploads; their requests can be signed
//!   with [`sign`] and their answers verified with [`verify`](fn@verify) all the same.
//! - The certificate chain: a platform certificate is trusted because it came sealed under the
//!   APIv3 key.
//!
//! # Cryptography
//!
//! aws-lc-rs signs, verifies, and decrypts sensitive fields; `aes-gcm` opens resources, and the
//! parts that it is made of open those whose nonce has not 12 bytes; `rsa` reads keys and encrypts
//! sensitive fields, which needs public keys only. No private-key operation of `rsa` runs
//! (RUSTSEC-2023-0071).
//!
//! Numbers such as "page 4012365334" are pages of WeChat Pay's manual,
//! `https://pay.weixin.qq.com/doc/v3/merchant/4012365334`.

#![warn(missing_docs)] // it is usable alone, so its reader may have its documentation only

pub mod api;
pub mod bill;
pub mod callback;
pub mod canonical;
pub mod certificates;
mod gcm;
mod keys;
mod loose;
pub mod merchant_files;
mod names;
mod open_enum;
mod outgoing;
pub mod pay;
mod request_id;
pub mod resource;
pub mod sensitive;
mod shown;
pub mod sign;
pub mod time;
pub mod verify;
pub mod wire;

pub use api::{
    AbnormalRefundBody, AbnormalRefundTo, AccountType, ApplyAbnormalRefund, BillLink, BillType,
    Call, CallFailure, Certificates, Close, CreateRefund, EncryptedCertificate, ErrorCode,
    FundFlowBill, Method, Outgoing, PrepayBody, PrepayCall, PrepayProduct, PrepayValue,
    QueryByOutTradeNo, QueryByTransactionId, QueryRefund, RefundBody, Refusal, RefusalDetail,
    Repeat, SecurityEcho, TradeBill, UnreadableAnswer, read_answer,
};
pub use callback::{Callback, CallbackError, Plaintext};
pub use keys::KeyError;
pub use pay::{AppParams, JsapiParams, MiniProgramParams};
pub use request_id::RequestId;
pub use resource::{ApiV3Key, OpenError, Sealed};
pub use sensitive::{EncryptFieldError, EncryptedField, FieldKey, OpenFieldError};
pub use sign::{LocalKey, SignError, Signer, authorization};
pub use time::UnixSeconds;
pub use verify::{SignedHeaders, VerificationKeys, VerifyError, verify};
