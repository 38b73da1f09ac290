//! What the merchant has set in WeChat Pay's console, and which of its ways WeChat Pay shows where its documents disagree.

use serde::{Deserialize, Serialize};

/// Settings that can be changed while the simulator runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where v2 notices go about refunds that were asked for without `notify_url`, or in the console. `None`: nothing is
    /// sent about them.
    pub console_refund_url: Option<String>,
    /// The APIv2 key, with which those notices are sealed: 32 characters.
    pub apiv2_key: String,
    /// What the close of a paid order is refused with.
    pub paid_close: PaidClose,
    /// What a refund is refused with whose number is known with another amount.
    pub changed_refund: ChangedRefund,
    /// Error codes come without underscores, as in WeChat Pay's older products: `ORDERNOTEXIST`.
    pub bare_codes: bool,
    /// Refunds are held to WeChat Pay's quotas, by the simulator's clock: 150 a second, of which 6 may fail, 300 queries
    /// and 150 `apply-abnormal-refund`; above it 429. A manual clock that stands still counts as one second.
    pub refund_quotas: bool,
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
    /// The URL.
    #[error("console_refund_url must be an absolute http URL without query and fragment")]
    Url,
    /// The key.
    #[error("apiv2_key must be 32 characters of [0-9A-Za-z]")]
    Key,
}

impl Settings {
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
