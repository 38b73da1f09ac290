//! Causes of failed calls to WeChat Pay, with their names in metrics.

use wechatpay::api::{ErrorCode, Refusal, Side};

/// Why no answer came.
pub(super) fn of_no_answer(error: &reqwest::Error) -> &'static str {
    // A connection that is not there in time is no slow answer.
    if error.is_connect() {
        "unreachable"
    } else if error.is_timeout() {
        "timeout"
    } else {
        "connection_broken"
    }
}

/// Causes of refusals that need an operator.
pub(super) fn of_persons(refusal: &Refusal) -> &'static str {
    if refusal.status == 401 || refusal.code == ErrorCode::SignError {
        "sign_refused"
    } else if is_of_merchant(refusal) {
        "merchant_refused"
    } else {
        "unknown_code"
    }
}

/// Whether WeChat Pay refuses the merchant as a whole. Unknown codes do not count: they may be
/// about one request.
pub(super) fn is_of_merchant(refusal: &Refusal) -> bool {
    match refusal.side() {
        Side::Merchant => true,
        Side::Unknown => refusal.status == 401,
        Side::Request | Side::Passing => false,
    }
}

/// Why WeChat Pay refuses for the moment; `None` where the refusal is about the request.
pub(super) fn of_passing(refusal: &Refusal) -> Option<&'static str> {
    if refusal.status >= 500 {
        Some("server_error")
    } else if refusal.status == 429 || refusal.code == ErrorCode::FrequencyLimited {
        Some("rate_limited")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_as_a_failure_unless_it_is_about_the_request() {
        let refusal = |status, code: &str| {
            Refusal::read(status, format!(r#"{{"code":"{code}"}}"#).as_bytes())
        };
        for (status, code, cause) in [
            (500, "SYSTEM_ERROR", Some("server_error")),
            (502, "", Some("server_error")),
            (429, "FREQUENCY_LIMITED", Some("rate_limited")),
            (403, "FREQUENCY_LIMITED", Some("rate_limited")),
            (404, "ORDER_NOT_EXIST", None),
            (400, "PARAM_ERROR", None),
        ] {
            assert_eq!(of_passing(&refusal(status, code)), cause, "{status} {code}");
        }
        for (status, code, cause, is_merchants) in [
            (401, "SIGN_ERROR", "sign_refused", true),
            (401, "", "sign_refused", true),
            (403, "NO_AUTH", "merchant_refused", true),
            (403, "A_NEW_CODE", "unknown_code", false),
        ] {
            let refusal = refusal(status, code);
            assert_eq!(of_persons(&refusal), cause, "{status} {code}");
            assert_eq!(is_of_merchant(&refusal), is_merchants, "{status} {code}");
        }
    }
}
