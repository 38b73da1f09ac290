//! Certificates that end soon, or whose end is unknown.

use stores::keys_table::overview::MerchantOverview;
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::doctor::finding::{Finding, KEYS_PAGE};

/// A certificate that ends sooner is reported.
pub(crate) const RENEW_BEFORE_DAYS: i64 = 30;
const RENEW_BEFORE_S: i64 = RENEW_BEFORE_DAYS * 86_400;

/// Whether there is a certificate of WeChat Pay's that ends later.
pub(crate) fn is_superseded(merchant: &MerchantOverview, ends: UnixSeconds) -> bool {
    let mut others = merchant.verification.iter();
    others.any(|other| other.ends > Some(ends))
}

pub(crate) fn wechat_certificate_ends(
    now: UnixSeconds,
    ends: UnixSeconds,
    id: &str,
) -> Option<Finding> {
    ending(
        now,
        ends,
        "platform-certificate-ends",
        id,
        "WeChat Pay's platform certificate",
    )
}

pub(crate) fn own_certificate_ends(
    now: UnixSeconds,
    ends: UnixSeconds,
    serial_no: &str,
) -> Option<Finding> {
    ending(
        now,
        ends,
        "merchant-certificate-ends",
        serial_no,
        "The merchant's own certificate",
    )
}

/// Only its number was registered, or an earlier version registered it.
pub(crate) fn certificate_end_unknown(serial_no: &str) -> Finding {
    Finding::warning(
        "merchant-certificate-end-unknown",
        "When the merchant's own certificate ends is unknown here, so no alarm comes before it ends and every request \
         is refused.",
        format!("registered is {serial_no}, without its end"),
        format!(
            "register apiclient_cert.pem again: cargo client setup merchant --merchant-certificate-file \
             apiclient_cert.pem ({KEYS_PAGE})"
        ),
    )
}

fn ending(
    now: UnixSeconds,
    ends: UnixSeconds,
    id: &'static str,
    name: &str,
    what: &str,
) -> Option<Finding> {
    let left_s = ends.0.saturating_sub(now.0);
    let evidence = format!("{name} ends {}", format_rfc3339_beijing(ends));
    if left_s <= 0 {
        return Some(Finding::error(
            id,
            format!("{what} has ended."),
            evidence,
            format!("renew it now ({KEYS_PAGE})"),
        ));
    }
    (left_s < RENEW_BEFORE_S).then(|| {
        Finding::warning(
            id,
            format!("{what} ends in {} days.", left_s / 86_400),
            evidence,
            format!("renew it before it ends ({KEYS_PAGE})"),
        )
    })
}
