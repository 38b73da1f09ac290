//! Checks whether a fee matches the row's own rate and settled amount. WeChat Pay does not document
//! its rounding, so every rounding to a fen is accepted
//! ([`Fee::fits_rate`](wechatpay::bill::Fee::fits_rate)).

use wechatpay::bill::{TradeKind, TradeRow};

use crate::short::eq_short;

/// The rate of the previous row. A merchant has only a few rates, so most rows have the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRate {
    text: String,
    ppm: Option<i64>,
}

impl LastRate {
    /// Whether the fee is correct. A reversal has none, and a refund that failed may return none.
    /// With an unreadable rate the fee counts as wrong, so that an operator sees it.
    #[inline]
    pub(crate) fn is_kept_by(&mut self, row: &TradeRow<'_>) -> bool {
        let base_fen = match row.kind {
            TradeKind::Payment => row.settlement_fen,
            TradeKind::Refund if row.fee.units() == 0 && row.refund_state() == "FAIL" => {
                return true;
            }
            TradeKind::Refund => row.refund_fen.saturating_neg(),
            TradeKind::Revoked => return true,
        };
        self.of(row)
            .is_some_and(|ppm| row.fee.fits_rate(base_fen, ppm))
    }

    #[inline]
    fn of(&mut self, row: &TradeRow<'_>) -> Option<i64> {
        let text = row.rate();
        if !eq_short(text, &self.text) {
            self.ppm = row.rate_ppm();
            text.clone_into(&mut self.text);
        }
        self.ppm
    }
}
