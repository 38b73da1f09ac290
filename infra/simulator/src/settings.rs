//! What the merchant has set in WeChat Pay's console, and which of its ways WeChat Pay shows where
//! its documents disagree.

use serde::{Deserialize, Serialize};

/// Settings that can be changed while the simulator runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where v2 notices go about refunds that were asked for without `notify_url`, or in the
    /// console. `None`: nothing is sent about them.
    pub console_refund_url: Option<String>,
    /// The APIv2 key, with which those notices are sealed: 32 characters.
    pub apiv2_key: String,
    /// What the close of a paid order is refused with.
    pub paid_close: PaidClose,
    /// What a refund is refused with whose number is known with another amount.
    pub changed_refund: ChangedRefund,
    /// Error codes come without underscores, as in WeChat Pay's older products: `ORDERNOTEXIST`.
    pub bare_codes: bool,
    /// Applies WeChat Pay's quotas to refunds, by the simulator's clock: 150 a second, of which 6
    /// may fail, 300 queries and 150 `apply-abnormal-refund`; above it 429. A manual clock that
    /// stands still counts as one second.
    pub refund_quotas: bool,
    /// A second takes 3 requests for fund bills, counted as `refund_quotas` are; above it 429.
    pub fund_bill_quota: bool,
    /// The money of a payment, and its fee, are booked at 00:05 of the next Beijing day, as for a
    /// merchant that is settled a day later. Payments that were made before are booked already.
    pub settle_next_day: bool,
    /// The same so many days later, for a merchant that is settled later still (T+N); 0 says
    /// nothing.
    pub settle_days: u8,
    /// Accounts (`OPERATION`, `FEES`) that the merchant does not have: their bills are refused with
    /// 403 `NO_AUTH`.
    pub missing_accounts: Vec<String>,
    /// Trade bills are those of an old merchant, with 24 columns (`ALL`).
    pub old_bill_format: bool,
    /// The brackets in the headers of fund bills are full-width ones: `收支金额（元）`.
    pub full_width_brackets: bool,
    /// Fees in trade bills have two decimals, as the manual says, and not five, as real files have.
    pub short_fees: bool,
    /// Bills begin with a byte order mark.
    pub bill_bom: bool,
    /// How lines of bills end.
    pub bill_line_ends: LineEnds,
}

/// How bills are written: the settings about it.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) struct BillFormat {
    pub(crate) old: bool,
    pub(crate) full_width_brackets: bool,
    pub(crate) short_fees: bool,
    pub(crate) bom: bool,
    pub(crate) line_ends: LineEnds,
}

/// How lines of bills end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LineEnds {
    /// CR and LF after each line.
    #[default]
    Crlf,
    /// LF after each line.
    Lf,
    /// LF between lines, and nothing after the last.
    LfBetween,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            console_refund_url: None,
            apiv2_key: "SimulatedApiV2Key0SimulatedApiV2".to_owned(),
            paid_close: PaidClose::default(),
            changed_refund: ChangedRefund::default(),
            bare_codes: false,
            refund_quotas: false,
            fund_bill_quota: false,
            settle_next_day: false,
            settle_days: 0,
            missing_accounts: Vec::new(),
            old_bill_format: false,
            full_width_brackets: false,
            short_fees: false,
            bill_bom: true,
            bill_line_ends: LineEnds::default(),
        }
    }
}

/// The refusal of closing a paid order.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum PaidClose {
    /// 403 `TRADE_ERROR`, as today.
    #[default]
    #[serde(rename = "TRADE_ERROR")]
    TradeError,
    /// 400 `ORDERPAID`, as in older texts.
    #[serde(rename = "ORDERPAID")]
    OrderPaid,
}

/// The refusal of a known refund number with another amount.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum ChangedRefund {
    /// 400 `INVALID_REQUEST`, as for any other changed parameter.
    #[default]
    #[serde(rename = "INVALID_REQUEST")]
    InvalidRequest,
    /// 400 `REFUND_FEE_MISMATCH`.
    #[serde(rename = "REFUND_FEE_MISMATCH")]
    FeeMismatch,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error("console_refund_url must be an absolute http URL without query and fragment")]
    Url,
    #[error("apiv2_key must be 32 characters of [0-9A-Za-z]")]
    Key,
}

impl Settings {
    pub(crate) fn bill_format(&self) -> BillFormat {
        BillFormat {
            old: self.old_bill_format,
            full_width_brackets: self.full_width_brackets,
            short_fees: self.short_fees,
            bom: self.bill_bom,
            line_ends: self.bill_line_ends,
        }
    }

    pub(crate) fn check(&self) -> Result<(), BadSettings> {
        let right = |url: &String| {
            let uri = url.parse::<http::Uri>();
            uri.is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
                && !url.contains(['?', '#'])
        };
        if !self.console_refund_url.as_ref().is_none_or(right) {
            return Err(BadSettings::Url);
        }
        if self.apiv2_key.len() != 32 || !self.apiv2_key.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return Err(BadSettings::Key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_lose_notices_are_refused() {
        let url = |url: &str| Settings {
            console_refund_url: Some(url.to_owned()),
            ..Settings::default()
        };
        assert!(url("http://127.0.0.1:9/refunds").check().is_ok());
        for wrong in [
            "https://shop.example/refunds",
            "/refunds",
            "http://a/b?c=1",
            "nothing",
        ] {
            assert!(url(wrong).check().is_err(), "{wrong}");
        }
        let short = Settings {
            apiv2_key: "short".to_owned(),
            ..Settings::default()
        };
        assert!(short.check().is_err());
    }
}
