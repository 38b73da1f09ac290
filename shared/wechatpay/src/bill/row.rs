//! One row of a trade bill.

use std::fmt;

use super::columns::Columns;
use super::error::BillError;
use super::kind::TradeKind;
use super::moment;
use super::money::{Fee, rate_ppm};
use super::record::Record;
use crate::time::UnixSeconds;

/// One row of a trade bill. Amounts are read; texts are cut out of the row when they are asked for,
/// as written, and are empty where the bill has no such column.
#[derive(Clone, Copy)]
pub struct TradeRow<'a> {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What it is about (交易状态).
    pub kind: TradeKind,
    /// The order less coupons that are not settled, fen (应结订单金额; 总金额 in the old format). 0
    /// in refund rows.
    pub settlement_fen: i64,
    /// All coupons of the order, fen (代金券金额).
    pub coupon_fen: i64,
    /// The refund less coupons that are not settled, fen (退款金额).
    pub refund_fen: i64,
    /// Prepaid coupons returned, fen, a part of the refund (充值券退款金额).
    pub refund_coupon_fen: i64,
    /// WeChat Pay's fee; negative if it is returned (手续费).
    pub fee: Fee,
    /// What the order was for, fen: the API's `amount.total` (订单金额; 总金额 in the old format).
    /// 0 in refund rows.
    pub total_fen: i64,
    /// The requested refund, fen: the API's `amount.refund` (申请退款金额; 退款金额 in the old
    /// format, which has no coupons that are not settled).
    pub requested_refund_fen: i64,
    record: Record<'a>,
    columns: &'a Columns,
}

/// A text column: its documentation, name, and index.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $column:ident,)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> &'a str {
                self.record.field(self.columns.$column)
            }
        )+
    };
}

impl<'a> TradeRow<'a> {
    pub(super) fn read(record: Record<'a>, columns: &'a Columns) -> Result<Self, BillError> {
        let kind = match record.field(columns.state) {
            "SUCCESS" => TradeKind::Payment,
            "REFUND" => TradeKind::Refund,
            "REVOKED" => TradeKind::Revoked,
            _ => return Err(record.unknown_word(columns.state, "SUCCESS, REFUND, REVOKED")),
        };
        let settlement_fen = record.fen(columns.settlement)?;
        let refund_fen = record.fen(columns.refund)?;
        Ok(Self {
            line: record.line,
            kind,
            settlement_fen,
            coupon_fen: record.fen(columns.coupon)?,
            refund_fen,
            refund_coupon_fen: record.fen(columns.refund_coupon)?,
            fee: record.fee(columns.fee)?,
            total_fen: if columns.total == columns.settlement {
                settlement_fen
            } else {
                record.fen(columns.total)?
            },
            requested_refund_fen: if columns.requested_refund == columns.refund {
                refund_fen
            } else {
                record.fen(columns.requested_refund)?
            },
            record,
            columns,
        })
    }

    texts! {
        /// When the order was paid, or the refund accepted: `2026-08-01 10:00:05`, in Beijing
        /// (交易时间).
        at = at,
        /// When the refund was asked for (退款申请时间): REFUND bills only.
        requested_at = requested_at,
        /// When the refund succeeded (退款成功时间): REFUND bills only.
        refunded_at = refunded_at,
        /// The app (公众账号ID).
        appid = appid,
        /// The merchant (商户号).
        mchid = mchid,
        /// The sub-merchant, `0` for a direct merchant (特约商户号, 子商户号).
        sub_mchid = sub_mchid,
        /// Written by the merchant, escaped (设备号).
        device_id = device_id,
        /// WeChat Pay's number of the order, the paid one in refund rows (微信订单号).
        transaction_id = transaction_id,
        /// The merchant's number of the order (商户订单号).
        out_trade_no = out_trade_no,
        /// Who paid (用户标识).
        openid = openid,
        /// `JSAPI`, `NATIVE`, `APP`, `MICROPAY`, `FACE` and others to come (交易类型).
        trade_type = trade_type,
        /// The word behind [`kind`](Self::kind) (交易状态).
        state = state,
        /// `OTHERS`, `CMB_DEBIT` ... (付款银行).
        bank_type = bank_type,
        /// `CNY` (货币种类).
        currency = currency,
        /// `ORIGINAL`, `BALANCE`, `PLATFORM-ORIGINAL`, `PLATFORM-BALANCE` (退款类型).
        refund_type = refund_type,
        /// When the bill was made: `SUCCESS`, `PROCESSING`, and `FAIL` or `CHANGE` for what the API
        /// calls `ABNORMAL` (退款状态).
        refund_state = refund_state,
        /// What was sold, escaped: see [`unescape`](super::unescape) (商品名称).
        description = description,
        /// Written by the merchant, escaped (商户数据包).
        attach = attach,
        /// `0.60%`: see [`rate_ppm`](Self::rate_ppm) (费率).
        rate = rate,
        /// Why the rate is so (费率备注).
        rate_note = rate_note,
    }

    /// WeChat Pay's number of the refund (微信退款单号); empty in rows of payments, which have a
    /// `0` there.
    #[must_use]
    pub fn refund_id(&self) -> &'a str {
        number(self.record.field(self.columns.refund_id))
    }

    /// The merchant's number of the refund (商户退款单号); empty in rows of payments, which have a
    /// `0` there.
    #[must_use]
    pub fn out_refund_no(&self) -> &'a str {
        number(self.record.field(self.columns.out_refund_no))
    }

    /// [`at`](Self::at) as a point in time.
    ///
    /// # Errors
    /// [`BillError::NotATime`] when it is none.
    pub fn at_unix(&self) -> Result<UnixSeconds, BillError> {
        moment::beijing_time(self.at()).ok_or_else(|| self.record.not_a_time(self.columns.at))
    }

    /// [`rate`](Self::rate) in millionths, 6000 for `0.60%`; none if it is not written so.
    #[must_use]
    pub fn rate_ppm(&self) -> Option<i64> {
        rate_ppm(self.rate())
    }

    /// The columns that this version does not know: header and value.
    pub fn unknown(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.record.named(&self.columns.unknown)
    }
}

fn number(text: &str) -> &str {
    if text == "0" { "" } else { text }
}

/// Shows what a row is found by, not who paid or what for.
impl fmt::Debug for TradeRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TradeRow")
            .field("line", &self.line)
            .field("kind", &self.kind)
            .field("transaction_id", &self.transaction_id())
            .field("out_trade_no", &self.out_trade_no())
            .field("refund_id", &self.refund_id())
            .field("total_fen", &self.total_fen)
            .field("requested_refund_fen", &self.requested_refund_fen)
            .field("fee", &self.fee)
            .finish_non_exhaustive()
    }
}
