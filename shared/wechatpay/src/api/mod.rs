//! Requests to WeChat Pay and their answers, as values. Nothing is sent here.
//!
//! A [`Call`] says what to send ([`Outgoing`]) and how its answer reads. The caller sends it to
//! `https://api.mch.weixin.qq.com` (backup `https://api2.mch.weixin.qq.com`) with these headers
//! (manual pages 4012081709 and 4012154180):
//!
//! | Header | Value |
//! |---|---|
//! | `Authorization` | [`crate::sign::authorization`] |
//! | `Accept`, and `Content-Type` with a body | `application/json` |
//! | `User-Agent` | any; requests without it are refused as a rule |
//! | `Wechatpay-Serial` | the id of WeChat Pay's public key, or a platform certificate's serial: it chooses the key WeChat signs the answer with, and must name the key of encrypted fields |
//! | `Accept-Language` | optional: `en` for English error messages |
//!
//! What comes back goes through [`read_answer`], which lets nothing unsigned pass for an answer.

mod answer;
mod bill;
mod call;
mod certificates;
mod echo;
mod interface;
mod path;
mod prepay;
mod query;
mod refund;
mod refusal;

pub use answer::{CallFailure, read_answer};
pub use bill::{
    AccountType, BadDownloadUrl, BillDownload, BillLink, BillType, FundFlowBill, TradeBill,
};
pub use call::{Call, UnreadableAnswer};
pub use certificates::{Certificates, EncryptedCertificate};
pub use echo::{SecurityEcho, SecurityEchoAnswer, SecurityEchoBody};
pub use interface::Interface;
pub use prepay::{
    GoodsDetail, H5Info, OrderDetail, PrepayAmount, PrepayBody, PrepayCall, PrepayProduct,
    PrepaySceneInfo, PrepayValue, SettleInfo, StoreInfo,
};
pub use query::{Close, QueryByOutTradeNo, QueryByTransactionId};
pub use refund::{
    AbnormalRefundBody, AbnormalRefundTo, ApplyAbnormalRefund, CreateRefund, QueryRefund,
    RefundBody, RefundBodyAmount,
};
pub use refusal::{ErrorCode, Refusal, RefusalDetail, Repeat, Side};

pub use crate::outgoing::{Method, Outgoing};
