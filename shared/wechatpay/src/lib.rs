//! The WeChat Pay APIv3 merchant protocol: bytes in, values out.

pub mod api;
pub mod callback;
pub mod canonical;
pub mod certificates;
mod keys;
mod open_enum;
pub mod pay;
pub mod resource;
pub mod sensitive;
pub mod sign;
pub mod time;
pub mod verify;
pub mod wire;

pub use api::{
    AbnormalRefundBody, AbnormalRefundTo, AccountType, ApplyAbnormalRefund, BillLink, BillType,
    Call, CallFailure, Certificates, Close, CreateRefund, EncryptedCertificate, ErrorCode,
    FundFlowBill, Method, Outgoing, Prepay, PrepayBody, PrepayValue, Product, QueryByOutTradeNo,
    QueryByTransactionId, QueryRefund, RefundBody, Refusal, RefusalDetail, Repeat, SecurityEcho,
    TradeBill, Unreadable, read_answer,
};
pub use callback::{Callback, CallbackError, Plaintext};
pub use keys::KeyError;
pub use pay::{AppParams, JsapiParams, MiniProgramParams};
pub use resource::{ApiV3Key, OpenError, Sealed};
pub use sensitive::{EncryptFieldError, EncryptedField, FieldKey, OpenFieldError};
pub use sign::{LocalKey, SignError, Signer, authorization};
pub use time::UnixSeconds;
pub use verify::{SignedHeaders, VerificationKeys, VerifyError, verify};
