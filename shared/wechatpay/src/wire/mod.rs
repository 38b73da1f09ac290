//! The shapes of WeChat Pay's JSON, with its own field names.
//!
//! Reading is lenient, since fields may be added at any time (manual page 4012081709) and those
//! that decide nothing have come in many shapes: numbers, states and amounts by which money is
//! booked must be there as documented, all else counts as absent when it has another shape or is
//! kept as it came ([`Json`]), unknown keys are passed over, unknown values of enumerations are
//! kept. No array passes for an object. Read them from a text or a slice in memory. Amounts are
//! integer fen. Times are texts; [`crate::time::parse_rfc3339`] reads them.

mod notice;
mod refund;
mod transaction;

pub use notice::{
    CombinedAmount, CombinedSubOrder, CombinedTransaction, ProfitSharing, ProfitSharingReceiver,
    SecurityEchoNotice,
};
pub use refund::{
    Refund, RefundAmount, RefundGoods, RefundNotice, RefundNoticeAmount, RefundSource, RefundStatus,
};
pub use transaction::{Amount, Payer, SceneInfo, TradeState, Transaction};

pub use crate::loose::Json;
