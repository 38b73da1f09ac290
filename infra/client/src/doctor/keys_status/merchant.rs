//! The merchant's certificate, its private key and its APIv3 keys, and WeChat Pay's keys.

use runtime::kms::{Kms, KmsError};
use runtime::signer::SignWith;
use stores::keys_table::overview::{MerchantOverview, VerificationOverview};
use stores::keys_table::{OwnCertificate, VerificationKind};
use wechatpay::UnixSeconds;

use super::key::{DAY_S, KeyStatus, days, old, time};
use super::kms_key::{described_key, words};
use crate::doctor::finding::{Finding, KEYS_PAGE};
use crate::doctor::stack::{Resource, Stack};
use crate::doctor::wechat::{
    RENEW_BEFORE_DAYS, certificate_end_unknown, certificate_findings, is_superseded,
    own_certificate_ends, wechat_certificate_ends, wechat_key_unusable,
};

const MERCHANT_KEY: &str = "MerchantSigningKey";
/// How long after a new APIv3 key the old one may stay: callbacks repeat for a day, and a message
/// may wait in a dead-letter queue for some more.
const OLD_APIV3_KEPT_DAYS: i64 = 15;
/// `reconcile` asks for WeChat Pay's certificates each 12 hours.
const FETCHED_WITHIN_S: i64 = 2 * DAY_S;

/// The merchant's certificates: first the one that requests name, then those of keys that sign
/// nothing now.
pub(super) fn certificates(
    merchant: &MerchantOverview,
    sign_with: &SignWith,
    other_signer: &str,
    now: UnixSeconds,
) -> Vec<KeyStatus> {
    let all = &merchant.certificates;
    let Some(named) = all.of(sign_with) else {
        return Vec::new();
    };
    let ends = match named.validity {
        Some(validity) => own_certificate_ends(now, validity.until, &named.serial_no),
        None => Some(certificate_end_unknown(&named.serial_no)),
    };
    let role = match all.own(sign_with) {
        Some(_) => "requests name it",
        None => "requests name it, as those of every key that has none of its own",
    };
    let finding = ends.or_else(|| certificate_findings(merchant, sign_with, other_signer));
    let mut told = vec![certificate(named, role.to_owned(), finding)];
    let is_other = |certificate: &OwnCertificate| {
        !named.serial_no.eq_ignore_ascii_case(&certificate.serial_no)
    };
    for (key, other) in all.by_key().filter(|(_, other)| is_other(other)) {
        let role = format!("of {key}, which signs nothing now");
        told.push(certificate(other, role, None));
    }
    told
}

fn certificate(certificate: &OwnCertificate, role: String, finding: Option<Finding>) -> KeyStatus {
    let validity = certificate.validity;
    KeyStatus {
        kind: "merchant-certificate",
        id: certificate.serial_no.clone(),
        state: match validity {
            Some(_) => role,
            None => format!("{role}; its end is unknown"),
        },
        made: validity.map(|validity| validity.from),
        ends: validity.map(|validity| validity.until),
        finding,
    }
}

/// The merchant's private key, in KMS and sealed; one of them signs.
pub(super) async fn private_keys(
    stack: &Stack,
    kms: &Kms,
    sign_with: &SignWith,
    merchant: &MerchantOverview,
    now: UnixSeconds,
) -> Result<Vec<KeyStatus>, KmsError> {
    let (signs_by_kms, signs_sealed) = match sign_with {
        SignWith::Kms { .. } => (true, false),
        SignWith::Sealed => (false, true),
    };
    let role = |signs: bool| if signs { "signs" } else { "signs nothing" };
    let mut keys = Vec::new();
    let of_stack = stack.output("MerchantSigningKeyId");
    let other = stack.parameter("OtherSigner");
    let in_kms = [(of_stack, signs_by_kms), (other, false)];
    // The stack's own is named by its id, and any other by its ARN.
    let is_another = !of_stack.ends_with(other.rsplit('/').next().unwrap_or(other));
    let is_key = |(key_id, signs): &(&str, bool)| match key_id {
        &"" | &"sealed" => false,
        _ => *signs || is_another || *key_id == of_stack,
    };
    for (key_id, signs_by_kms) in in_kms.into_iter().filter(is_key) {
        let key = Resource::named(MERCHANT_KEY, key_id);
        let (described, mut finding) = described_key(kms, &key).await?;
        let mut status = KeyStatus {
            kind: "merchant-private-key",
            id: key_id.to_owned(),
            state: format!("{} (MerchantSigner)", role(signs_by_kms)),
            made: None,
            ends: None,
            finding: None,
        };
        if let Some(described) = described {
            status.id.clone_from(&described.arn);
            status.state = format!("{}; {}", status.state, words(&described));
            status.made = described.created;
            status.ends = described.material_ends;
            let ends = described.material_ends.filter(|_| signs_by_kms);
            finding = finding.or_else(|| ends.and_then(|ends| material_ends(now, ends, key_id)));
        }
        // A key that signs nothing may wait for its material, or be disabled.
        let matters = |found: &Finding| signs_by_kms || found.id == "kms-key-being-deleted";
        status.finding = finding.filter(matters);
        keys.push(status);
    }
    if merchant.has_sealed_key || signs_sealed {
        let is_there = merchant.has_sealed_key;
        keys.push(KeyStatus {
            kind: "sealed-merchant-key",
            id: merchant
                .certificates
                .of(&SignWith::Sealed)
                .map(|certificate| certificate.serial_no.clone())
                .unwrap_or_default(),
            state: match is_there {
                true => format!("{} (MerchantSigner)", role(signs_sealed)),
                false => "there is none, and MerchantSigner=sealed asks for one".to_owned(),
            },
            made: merchant.key_sealed,
            ends: None,
            finding: (!is_there).then(|| {
                Finding::error(
                    "sealed-merchant-key-missing",
                    "Nothing can be signed: MerchantSigner is sealed, and no private key lies sealed.",
                    "the merchant's record has no sealed key",
                    format!("cargo client keys seal ({KEYS_PAGE})"),
                )
            }),
        });
    }
    Ok(keys)
}

fn material_ends(now: UnixSeconds, ends: UnixSeconds, key_id: &str) -> Option<Finding> {
    (days(ends.since(now)) < RENEW_BEFORE_DAYS).then(|| {
        Finding::warning(
            "merchant-key-material-ends",
            "KMS deletes the imported private key then, and nothing can be signed any more.",
            format!("ValidTo of {key_id} is {}", time(ends)),
            format!(
                "import the same key again without an end: cargo client keys import ({KEYS_PAGE})"
            ),
        )
    })
}

pub(super) fn apiv3_keys(merchant: &MerchantOverview, now: UnixSeconds) -> Vec<KeyStatus> {
    let newest = merchant.apiv3.first().copied();
    let keys = merchant.apiv3.iter().map(|key| {
        let is_current = newest.is_some_and(|newest| newest.version == key.version);
        let version = key.version;
        let finding = if is_current {
            old(now, key.added, "apiv3-key-old", &format!("APIv3 key {version}"), || {
                "set a new one on the merchant platform and register it: cargo client setup merchant \
                 --apiv3-key-file FILE"
                    .to_owned()
            })
        } else {
            let since = newest.and_then(|newest| newest.added);
            let kept_days = since.map(|since| days(now.since(since)));
            kept_days
                .filter(|kept_days| *kept_days > OLD_APIV3_KEPT_DAYS)
                .map(|kept_days| {
                    Finding::warning(
                        "apiv3-key-kept",
                        format!("APIv3 key {version} still opens callbacks, and no callback comes under it any more."),
                        format!("the newer one was added {kept_days} days ago"),
                        format!("cargo client setup remove-apiv3-key --version {version} ({KEYS_PAGE})"),
                    )
                })
        };
        KeyStatus {
            kind: "apiv3-key",
            id: version.to_string(),
            state: match is_current {
                true => "the newest".to_owned(),
                false => "the one before, which opens callbacks, too".to_owned(),
            },
            made: key.added,
            ends: None,
            finding,
        }
    });
    keys.collect()
}

pub(super) fn wechat_keys(merchant: &MerchantOverview, now: UnixSeconds) -> Vec<KeyStatus> {
    let asked = merchant.response_serial.as_deref().unwrap_or_default();
    let keys = merchant.verification.iter().map(|key| {
        let id = key.id.clone().unwrap_or_default();
        let (kind, fetched) = match key.kind {
            Some(VerificationKind::Certificate) => (
                "platform-certificate",
                Some(match merchant.certificates_fetched {
                    Some(at) => format!("last refresh {}", time(at)),
                    None => "not refreshed yet by this version".to_owned(),
                }),
            ),
            Some(VerificationKind::PublicKey) => ("wechat-public-key", None),
            None => ("wechat-key", None),
        };
        let role = if id.eq_ignore_ascii_case(asked) {
            "answers are asked for under it"
        } else {
            "what it signs is believed"
        };
        KeyStatus {
            kind,
            state: [Some(role.to_owned()), fetched]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; "),
            made: key.added,
            ends: key.ends,
            finding: wechat_key_finding(merchant, key, &id, now),
            id,
        }
    });
    keys.collect()
}

fn wechat_key_finding(
    merchant: &MerchantOverview,
    key: &VerificationOverview,
    id: &str,
    now: UnixSeconds,
) -> Option<Finding> {
    if !key.is_usable {
        return Some(wechat_key_unusable(id));
    }
    let ends = key.ends.filter(|ends| !is_superseded(merchant, *ends))?;
    wechat_certificate_ends(now, ends, id).or_else(|| {
        let fetched = merchant.certificates_fetched?;
        (now.since(fetched) > FETCHED_WITHIN_S).then(|| {
            Finding::warning(
                "certificates-stale",
                "WeChat Pay's certificates were not fetched for days: callbacks under a new one would be refused.",
                format!("last refresh {}", time(fetched)),
                format!("look for `WeChat Pay's certificates were not refreshed` in the log of reconcile ({KEYS_PAGE})"),
            )
        })
    })
}
