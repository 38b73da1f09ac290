//! Certificates that end soon, whose end is unknown, or that stand for a key that they are not of.

use runtime::signer::SignWith;
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
    certificate_ends(
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
    certificate_ends(
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

/// Whether the key that signs has a certificate of its own, nothing else is named in its place, and
/// a second key that functions may use has one, too.
pub(crate) fn certificate_findings(
    merchant: &MerchantOverview,
    signs: &SignWith,
    other_signer: &str,
) -> Option<Finding> {
    let of_key = || of_the_key_that_signs(merchant, signs);
    of_key().or_else(|| other_signer_unused(merchant, other_signer))
}

fn of_the_key_that_signs(merchant: &MerchantOverview, signs: &SignWith) -> Option<Finding> {
    let shared = merchant.certificates.of_earlier_versions()?;
    let Some(own) = merchant.certificates.own(signs) else {
        // An earlier version changes a sealed key and that number together.
        let is_shared = match signs {
            SignWith::Kms { .. } => true,
            SignWith::Sealed => false,
        };
        return is_shared.then(|| Finding::warning(
            "merchant-serial-missing",
            "The key that signs has no certificate of its own here: requests name the one for all keys, and a change to \
             another key would name that one, too.",
            format!("for all keys: {}", shared.serial_no),
            format!(
                "register the certificate of the key that signs once more: cargo client setup merchant \
                 --merchant-certificate-file apiclient_cert.pem ({KEYS_PAGE})"
            ),
        ));
    };
    let is_same = own.serial_no.eq_ignore_ascii_case(&shared.serial_no);
    (!is_same).then(|| {
        Finding::warning(
            "merchant-certificate-left",
            "A change of the merchant's key or certificate is not at its end: what was before is still registered, and the \
             release before this one would name it.",
            format!("the key that signs has {}, and left is {}", own.serial_no, shared.serial_no),
            format!(
                "when the key that signs does so everywhere: cargo client setup remove-merchant-certificate --serial {} \
                 ({KEYS_PAGE})",
                shared.serial_no
            ),
        )
    })
}

/// A change of the merchant's key has not got to its certificate yet, or is over.
fn other_signer_unused(merchant: &MerchantOverview, other_signer: &str) -> Option<Finding> {
    let other = match other_signer {
        "" => return None,
        "sealed" => SignWith::Sealed,
        arn => SignWith::Kms {
            key_id: arn.to_owned(),
        },
    };
    merchant.certificates.own(&other).is_none().then(|| {
        Finding::warning(
            "other-signer-unused",
            "Functions may sign with a second key that has no certificate here.",
            format!("OtherSigner is {other_signer}"),
            format!(
                "where the merchant's key is to change, register its certificate; where the change is over, deploy with an \
                 empty OtherSigner ({KEYS_PAGE})"
            ),
        )
    })
}

fn certificate_ends(
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
