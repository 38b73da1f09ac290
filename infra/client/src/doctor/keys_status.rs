//! `keys status`: every key that a deployment works with, how old it is, when it ends, who signs
//! with it, and what to do about one that is old or ends soon. It reads, changes nothing, and
//! unseals nothing.

use std::error::Error;
use std::process::ExitCode;

use runtime::aws::Aws;
use runtime::clock::Clock;
use runtime::kms::signing_key::KeyDescription;
use runtime::kms::{Kms, KmsError};
use runtime::signer::SignWith;
use serde_json::{Value, json};
use stores::keys_table::KeysTable;
use stores::keys_table::VerificationKind;
use stores::keys_table::overview::{
    ClientOverview, MerchantOverview, Overview, VerificationOverview, WebhookOverview,
};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use super::aws_calls::AwsCalls;
use super::finding::{Finding, Severity};
use super::keys::{gone, rotation_off, unusable};
use super::report::exit_code;
use super::stack::{Resource, Stack, missing};
use super::wechat::{
    KEYS_PAGE, certificate_end_unknown, is_superseded, not_set_up, own_certificate_ends, sign_with,
    wechat_certificate_ends, wechat_key_unusable,
};
use crate::api::CommandResult;
use crate::args::Args;
use crate::cloud::{Account, PROFILE};

const DAY_S: i64 = 86_400;
/// A secret that people changed longer ago is to be changed.
const OLD_AFTER_DAYS: i64 = 365;
/// How long after a new APIv3 key the old one may stay: callbacks repeat for a day, and a message
/// may wait in a dead-letter queue for some more.
const OLD_APIV3_KEPT_DAYS: i64 = 15;
/// `reconcile` asks for WeChat Pay's certificates each 12 hours.
const FETCHED_WITHIN_S: i64 = 2 * DAY_S;
/// The stack's symmetric keys, in the template's order.
const SYMMETRIC: [&str; 3] = ["SecretsKey", "FieldsKey", "StorageKey"];
const MERCHANT_KEY: &str = "MerchantSigningKey";
const NOT_FOUND: &str = "NotFoundException";

/// One key.
#[derive(Debug)]
struct KeyStatus {
    /// What it is for; programs may go by it.
    kind: &'static str,
    /// Its name. No secret.
    id: String,
    state: String,
    made: Option<UnixSeconds>,
    ends: Option<UnixSeconds>,
    finding: Option<Finding>,
}

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["stack", PROFILE], &["json"])?;
    let name = args.setting("stack", "STACK")?;
    let as_json = args.flag("json")?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let clock = Clock::system();
    let (aws, calls) = AwsCalls::beside_sdk(&account, &clock).await?;
    let Some(stack) = Stack::read(&calls, &name).await? else {
        return Err(missing(&name, calls.region()).cause.into());
    };
    let subject = format!("stack {name} in {}", calls.region());
    let keys = all(&stack, &aws, &clock).await?;
    let now = clock.now();
    if as_json {
        println!("{:#}", shown(&subject, &keys, now));
    } else {
        print!("{}", text(&subject, &keys, now));
    }
    Ok(ExitCode::from(exit_code(worst(&keys))))
}

fn worst(keys: &[KeyStatus]) -> Option<Severity> {
    let findings = keys.iter().filter_map(|key| key.finding.as_ref());
    findings.map(|finding| finding.severity).max()
}

async fn all(stack: &Stack, aws: &Aws, clock: &Clock) -> Result<Vec<KeyStatus>, Box<dyn Error>> {
    let kms = Kms::new(aws.kms());
    let table = KeysTable::new(
        aws.dynamodb(),
        stack.output("KeysTableName"),
        stack.parameter("Mchid"),
        kms.clone(),
        stack.output("SecretsKeyId"),
        clock.clone(),
    );
    let (sign_with, now) = (sign_with(stack)?, clock.now());
    let Overview {
        merchant,
        clients,
        webhooks,
    } = table.overview().await?;
    let mut keys = Vec::new();
    match &merchant {
        Some(merchant) => {
            keys.push(certificate(merchant, now));
            keys.extend(private_keys(stack, &kms, &sign_with, merchant, now).await?);
            keys.extend(apiv3_keys(merchant, now));
            keys.extend(wechat_keys(merchant, now));
        }
        None => keys.push(KeyStatus {
            kind: "merchant",
            id: stack.parameter("Mchid").to_owned(),
            state: "not set up".to_owned(),
            made: None,
            ends: None,
            finding: Some(not_set_up(stack)),
        }),
    }
    keys.extend(clients.iter().map(|client| client_key(client, now)));
    keys.extend(webhooks.iter().flat_map(|webhook| secrets(webhook, now)));
    for logical in SYMMETRIC {
        if let Some(key) = stack.resource(logical) {
            keys.push(symmetric(&kms, key).await?);
        }
    }
    keys.extend(console(stack));
    Ok(keys)
}

/// The merchant's certificate, which requests name.
fn certificate(merchant: &MerchantOverview, now: UnixSeconds) -> KeyStatus {
    let serial_no = merchant.signer_serial.clone().unwrap_or_default();
    let validity = merchant.signer_validity;
    KeyStatus {
        kind: "merchant-certificate",
        state: match validity {
            Some(_) => "requests name it".to_owned(),
            None => "requests name it; its end is unknown".to_owned(),
        },
        made: validity.map(|validity| validity.from),
        ends: validity.map(|validity| validity.until),
        finding: match validity {
            Some(validity) => own_certificate_ends(now, validity.until, &serial_no),
            None => Some(certificate_end_unknown(&serial_no)),
        },
        id: serial_no,
    }
}

/// The merchant's private key, in KMS and sealed; one of them signs.
async fn private_keys(
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
    let key_id = stack.output("MerchantSigningKeyId");
    if !key_id.is_empty() {
        let key = Resource::named(MERCHANT_KEY, key_id);
        let (described, mut finding) = looked_at(kms, &key).await?;
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
            id: merchant.signer_serial.clone().unwrap_or_default(),
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
    (days(ends.since(now)) < super::wechat::RENEW_BEFORE_DAYS).then(|| {
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

fn apiv3_keys(merchant: &MerchantOverview, now: UnixSeconds) -> Vec<KeyStatus> {
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

fn wechat_keys(merchant: &MerchantOverview, now: UnixSeconds) -> Vec<KeyStatus> {
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

fn client_key(client: &ClientOverview, now: UnixSeconds) -> KeyStatus {
    let ClientOverview { keyid, .. } = client;
    let whose = client.client_id.as_deref().unwrap_or("nobody");
    let algorithm = client.algorithm.as_deref().unwrap_or("unknown");
    let is_active = client.state.as_deref() == Some("active");
    let mut state = format!(
        "{} of {whose}, {algorithm}",
        client.state.as_deref().unwrap_or("damaged")
    );
    if let Some(revoked) = client.revoked {
        state = format!("{state}, revoked {}", time(revoked));
    }
    let added = client.added.filter(|_| is_active);
    KeyStatus {
        kind: "client-key",
        id: keyid.clone(),
        state,
        made: client.added,
        ends: None,
        finding: old(
            now,
            added,
            "client-key-old",
            &format!("The key {keyid} of {whose}"),
            || {
                format!(
                    "cargo client setup client with a new --keyid and --client-id {whose}; when the client has moved over, \
                 cargo client setup revoke --keyid {keyid}"
                )
            },
        ),
    }
}

/// The secrets of a client's webhook, the newest first: all of them sign.
fn secrets(webhook: &WebhookOverview, now: UnixSeconds) -> Vec<KeyStatus> {
    let whose = &webhook.client_id;
    let state = webhook.state.as_deref().unwrap_or("damaged");
    let is_active = state == "active";
    let statuses = webhook.secrets_made.iter().enumerate().map(|(place, made)| {
        let is_newest = place == 0;
        let made_of_newest = made.filter(|_| is_newest && is_active);
        KeyStatus {
            kind: "webhook-secret",
            id: whose.clone(),
            state: match is_newest {
                true => format!("{state}, the newest"),
                false => format!("{state}, the one before, which signs until the next new one is made"),
            },
            made: *made,
            ends: None,
            finding: old(now, made_of_newest, "webhook-secret-old", &format!("The secret of {whose}'s webhook"), || {
                format!("cargo client setup webhook --client {whose} --new-secret --secret-to FILE")
            }),
        }
    });
    statuses.collect()
}

async fn symmetric(kms: &Kms, key: &Resource) -> Result<KeyStatus, KmsError> {
    let (described, mut finding) = looked_at(kms, key).await?;
    let mut status = KeyStatus {
        kind: "kms-key",
        id: format!("{} {}", key.logical, key.physical),
        state: "gone".to_owned(),
        made: None,
        ends: None,
        finding: None,
    };
    if let Some(described) = described {
        status.made = described.created;
        status.state = words(&described);
        if described.state == "Enabled" {
            let rotation = kms.rotation(&key.physical).await?;
            status.state = format!(
                "{}, {}",
                status.state,
                match (rotation.is_on, rotation.next) {
                    (false, _) => "rotation off".to_owned(),
                    (true, None) => "rotation on".to_owned(),
                    (true, Some(next)) => format!("rotation on, the next {}", time(next)),
                }
            );
            if !rotation.is_on {
                finding = Some(rotation_off(key));
            }
        }
    }
    status.finding = finding;
    Ok(status)
}

/// What KMS says of a key, and what is wrong with that; nothing of one that is gone.
async fn looked_at(
    kms: &Kms,
    key: &Resource,
) -> Result<(Option<KeyDescription>, Option<Finding>), KmsError> {
    match kms.describe_key(&key.physical).await {
        Ok(described) => {
            let finding = (described.state != "Enabled").then(|| unusable(key, &described.state));
            Ok((Some(described), finding))
        }
        Err(error) if error.code() == Some(NOT_FOUND) => {
            Ok((None, Some(gone(key, crate::chain(&error)))))
        }
        Err(error) => Err(error),
    }
}

fn words(key: &KeyDescription) -> String {
    let regions = if key.is_multi_region {
        "multi-Region"
    } else {
        "single-Region"
    };
    format!("{} in KMS, origin {}, {regions}", key.state, key.origin)
}

/// Who signs the tokens that the console takes.
fn console(stack: &Stack) -> Option<KeyStatus> {
    let issuer = stack.parameter("ConsoleIssuer");
    (!issuer.is_empty()).then(|| KeyStatus {
        kind: "console-sign-in",
        id: issuer.to_owned(),
        state: "signs the console's tokens with keys of its own; none is kept here".to_owned(),
        made: None,
        ends: None,
        finding: None,
    })
}

fn old(
    now: UnixSeconds,
    made: Option<UnixSeconds>,
    id: &'static str,
    what: &str,
    next_step: impl FnOnce() -> String,
) -> Option<Finding> {
    let age_days = days(now.since(made?));
    (age_days > OLD_AFTER_DAYS).then(|| {
        Finding::warning(
            id,
            format!("{what} is {age_days} days old, and {OLD_AFTER_DAYS} are enough for a secret that people handle."),
            format!("made {age_days} days ago"),
            format!("{} ({KEYS_PAGE})", next_step()),
        )
    })
}

fn days(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_S)
}

fn time(at: UnixSeconds) -> String {
    format_rfc3339_beijing(at)
}

fn shown(subject: &str, keys: &[KeyStatus], now: UnixSeconds) -> Value {
    let keys_shown = keys.iter().map(|key| {
        json!({
            "kind": key.kind,
            "id": key.id,
            "state": key.state,
            "made": key.made.map(time),
            "age_days": key.made.map(|made| days(now.since(made))),
            "ends": key.ends.map(time),
            "days_left": key.ends.map(|ends| days(ends.since(now))),
            "finding": key.finding,
        })
    });
    json!({
        "subject": subject,
        "worst": worst(keys),
        "keys": keys_shown.collect::<Vec<_>>(),
    })
}

fn text(subject: &str, keys: &[KeyStatus], now: UnixSeconds) -> String {
    let count = |severity| {
        let findings = keys.iter().filter_map(|key| key.finding.as_ref());
        findings.filter(|found| found.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut text = format!(
        "{subject}: keys: {}, errors: {errors}, warnings: {warnings}\n",
        keys.len()
    );
    for key in keys {
        text.push_str(&line(key, now));
    }
    text
}

fn line(key: &KeyStatus, now: UnixSeconds) -> String {
    let mark = key
        .finding
        .as_ref()
        .map_or("ok", |finding| finding.severity.name());
    let mut line = format!("{mark:<8}{} {}: {}", key.kind, key.id, key.state);
    if let Some(made) = key.made {
        let age_days = days(now.since(made));
        line.push_str(&format!("; since {} ({age_days} days)", time(made)));
    }
    if let Some(ends) = key.ends {
        let left = days(ends.since(now));
        line.push_str(&format!("; ends {} (in {left} days)", time(ends)));
    }
    line.push('\n');
    if let Some(finding) = &key.finding {
        line.push_str(&format!(
            "        {}\n        next: {}\n",
            finding.cause, finding.next_step
        ));
    }
    line
}
