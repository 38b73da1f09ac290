//! Whether a fee is the row's own rate of what the row settles. WeChat Pay does not say how it
//! rounds, so every rounding to a fen passes ([`Fee::fits_rate`](wechatpay::bill::Fee::fits_rate));
//! what none explains does not.

use wechatpay::bill::{TradeKind, TradeRow};

use crate::reconcile::short::eq_short;

/// The rate of the row before. A merchant has a handful of rates, so most rows have that one too.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRate {
    text: String,
    ppm: Option<i64>,
}

impl LastRate {
    /// Whether the fee is right. A reversal has none, and a refund that failed may give none back;
    /// a rate that cannot be read makes the fee wrong, since somebody has to see it.
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
