//! The shapes of WeChat Pay's JSON, with its own field names.
//!
//! Reading is lenient, since fields may be added at any time (manual page 4012081709): what the manual promises is
//! required, all else is optional, unknown keys are passed over, unknown values of enumerations are kept. Amounts are
//! integer fen. Times are texts; [`crate::time::parse_rfc3339`] reads them.

mod notice;
mod refund;
mod transaction;

pub use notice::{
    CombinedAmount, CombinedSubOrder, CombinedTransaction, ProfitSharing, ProfitSharingReceiver,
    SecurityEchoNotice,
};
pub use refund::{
    Refund, RefundAmount, RefundGoods, RefundNotice, RefundNoticeAmount, RefundPromotion,
    RefundSource, RefundStatus,
};
pub use transaction::{
    Amount, Payer, PromotionDetail, PromotionGoods, SceneInfo, TradeState, Transaction,
};
