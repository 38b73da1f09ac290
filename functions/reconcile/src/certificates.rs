//! WeChat Pay's platform certificates: fetched in time, and stored beside the existing keys.
//!
//! A merchant that verifies by certificate fetches them every twelve hours
//! (`wechatpay::certificates`), and earlier if a function met an unknown serial, but at most every
//! ten minutes. A merchant that verifies by WeChat Pay's public key alone has nothing to fetch; an
//! unknown serial is then only logged below ERROR.

use std::time::Duration;

use flows::problem::ErrorChain;
use serde::Serialize;
use stores::{
    guards::{GuardsError, Lease, LeaseKey},
    keys_table::{KeysError, MerchantKeys, VerificationEntry, VerificationKind},
};
use tracing::{error, info, warn};
use wechat_client::api::certificates::{DownloadError, FetchedCertificates};
use wechatpay::{
    UnixSeconds,
    certificates::{POLL_AT_LEAST_EVERY_S, PlatformCertificate, ends, newest},
};

use crate::{app::App, metrics};

/// The outcome of a refresh of the certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshOutcome {
    /// It is not time to ask.
    NotDue,
    /// WeChat Pay has only the stored ones.
    Unchanged,
    /// New ones are stored: every sandbox uses them within a minute.
    Changed,
    /// The merchant has no platform certificate.
    NoneForThisMerchant,
    /// It failed and is due again.
    Failed,
}

/// Minimum time between two fetches because of unknown serials, in seconds: anyone can send an
/// unknown serial.
const BY_SERIAL_EVERY_S: i64 = 600;
/// How long WeChat Pay may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(6);
/// How long a certificate is kept after its expiry, in seconds: a callback that it signed may be in
/// a dead-letter queue for 14 days.
const KEPT_AFTER_ITS_END_S: i64 = 30 * 86_400;

/// Why it failed.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Guards(#[from] GuardsError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Download(#[from] DownloadError),
}

impl RefreshError {
    fn needs_operator(&self) -> bool {
        match self {
            Self::Guards(_) => false,
            // Another process changed the item: it is read again at the next check.
            Self::Keys(KeysError::Changed { .. }) => false,
            // The keys of this stack are not set up yet, which takes days. `cargo client doctor`
            // says so, and whatever needs the keys fails by itself.
            Self::Keys(KeysError::NoMerchant { .. }) => false,
            Self::Keys(error) => !error.is_transient(),
            Self::Download(error) => !error.is_transient(),
        }
    }
}

/// Checks whether a fetch is due, and if so, fetches and stores the result. A temporary failure is
/// due again at the next check; one that needs an operator, at the next regular time.
pub(crate) async fn refresh(app: &App) -> RefreshOutcome {
    let holder = app.random.id();
    let by_time = LeaseKey::CertificatesByTime { mchid: &app.mchid };
    let error = match refresh_if_due(app, &by_time, &holder).await {
        Ok(refreshed) => return refreshed,
        Err(error) => error,
    };
    if error.needs_operator() {
        error!(
            error = %ErrorChain(&error),
            what_to_do = "see infra/runbooks/keys.md: until it is repaired, callbacks under a new certificate are refused",
            "WeChat Pay's certificates were not refreshed"
        );
    } else {
        warn!(error = %ErrorChain(&error), "WeChat Pay's certificates were not refreshed: it is tried again");
        let by_serial = LeaseKey::CertificatesBySerial { mchid: &app.mchid };
        for lease in [&by_time, &by_serial] {
            if let Err(error) = app.guards.release(lease, &holder).await {
                warn!(error = %ErrorChain(&error), "the next try waits until it is time again");
            }
        }
    }
    RefreshOutcome::Failed
}

async fn refresh_if_due(
    app: &App,
    by_time: &LeaseKey<'_>,
    holder: &str,
) -> Result<RefreshOutcome, RefreshError> {
    let (mchid, now) = (app.mchid.as_str(), app.clock.now());
    let unknown = app.guards.unknown_serial(mchid, now).await?;
    let kept = app.keys.merchant().await?;
    metrics::days_left(&kept, app.wechat.sign_with(), now);
    let takes = async |of: &LeaseKey<'_>, for_s| {
        let lease = app.guards.lease(of, holder, for_s, now).await?;
        Ok::<_, GuardsError>(lease == Lease::Acquired)
    };
    let is_due = match &unknown {
        // Known by now: fetched since it was reported, or written by an operator.
        Some(serial) if has(&kept, serial) => false,
        Some(_) => {
            let by_serial = LeaseKey::CertificatesBySerial { mchid };
            takes(&by_serial, BY_SERIAL_EVERY_S).await?
        }
        None => false,
    };
    let verifies_by_certificate = |entry: &VerificationEntry| match entry.kind {
        VerificationKind::Certificate => true,
        VerificationKind::PublicKey => false,
    };
    let is_due = is_due
        || (kept.entries.iter().any(verifies_by_certificate)
            && takes(by_time, POLL_AT_LEAST_EVERY_S).await?);
    if !is_due {
        return Ok(RefreshOutcome::NotDue);
    }
    let delivered = match Box::pin(app.wechat.certificates(ASK_WITHIN)).await? {
        FetchedCertificates::Certificates(delivered) => delivered,
        FetchedCertificates::NoneForThisMerchant => return Ok(RefreshOutcome::NoneForThisMerchant),
    };
    let (entries, response_serial) = merged(&kept.entries, &kept.response_serial, &delivered, now);
    if entries == kept.entries && response_serial == kept.response_serial {
        if let Err(error) = app.keys.note_certificates_fetched().await {
            warn!(error = %ErrorChain(&error), "that WeChat Pay's certificates were fetched is not written down");
        }
        return Ok(RefreshOutcome::Unchanged);
    }
    app.keys
        .set_verification_keys(&kept, &entries, &response_serial)
        .await?;
    let serials: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    info!(
        ?serials,
        response_serial, "WeChat Pay's certificates were refreshed"
    );
    Ok(RefreshOutcome::Changed)
}

fn has(kept: &MerchantKeys, serial: &str) -> bool {
    let mut serials = kept.verification.serials();
    serials.any(|known| known.eq_ignore_ascii_case(serial))
}

/// What to store after `delivered` arrived: every public key, the delivered certificates, and
/// unlisted certificates until some time after their expiry; an unreadable one is removed. Requests
/// keep naming a public key if they named one; otherwise they name the valid certificate that
/// started last (page 4012551764).
fn merged(
    kept: &[VerificationEntry],
    response_serial: &str,
    delivered: &[PlatformCertificate],
    now: UnixSeconds,
) -> (Vec<VerificationEntry>, String) {
    let mut entries = Vec::new();
    for entry in kept {
        match (
            entry.kind,
            delivered.iter().find(|it| is_serial_of(it, &entry.id)),
        ) {
            (VerificationKind::PublicKey, _) => entries.push(entry.clone()),
            (VerificationKind::Certificate, Some(delivered)) => entries.push(entry_of(delivered)),
            (VerificationKind::Certificate, None) => match ends(&entry.pem) {
                Ok(end) if now < end.plus_s(KEPT_AFTER_ITS_END_S) => {
                    entries.push(entry.clone());
                }
                Ok(_) => {}
                // It verifies nothing, and would block the valid ones.
                Err(cause) => warn!(
                    serial = entry.id,
                    %cause,
                    "a certificate that cannot be read is kept no longer"
                ),
            },
        }
    }
    for certificate in delivered {
        if !kept
            .iter()
            .any(|entry| is_serial_of(certificate, &entry.id))
        {
            entries.push(entry_of(certificate));
        }
    }
    let names_a_public_key = kept
        .iter()
        .filter(|entry| entry.kind == VerificationKind::PublicKey)
        .any(|entry| entry.id.eq_ignore_ascii_case(response_serial));
    let named = match newest(delivered, now) {
        Some(newest) if !names_a_public_key => newest.serial_no.clone(),
        Some(_) | None => response_serial.to_owned(),
    };
    (entries, named)
}

fn is_serial_of(certificate: &PlatformCertificate, id: &str) -> bool {
    certificate.serial_no.eq_ignore_ascii_case(id)
}

fn entry_of(certificate: &PlatformCertificate) -> VerificationEntry {
    VerificationEntry {
        id: certificate.serial_no.clone(),
        kind: VerificationKind::Certificate,
        pem: certificate.pem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        include_str!("../../../shared/wechatpay/vectors/keys/platform-certificate.pem");
    const NEW: &str =
        include_str!("../../../shared/wechatpay/vectors/keys/platform-next-certificate.pem");
    const OLD_SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A72A4D0E1B2";
    const NOW: UnixSeconds = UnixSeconds(1_785_556_800);
    /// When `OLD` ends by its own words.
    const OLD_ENDS: i64 = 1_798_675_200;

    fn certificate(id: &str, pem: &str) -> VerificationEntry {
        VerificationEntry {
            id: id.to_owned(),
            kind: VerificationKind::Certificate,
            pem: pem.to_owned(),
        }
    }

    fn public_key() -> VerificationEntry {
        VerificationEntry {
            id: "PUB_KEY_ID_0100".to_owned(),
            kind: VerificationKind::PublicKey,
            pem: "a public key".to_owned(),
        }
    }

    fn delivered(serial_no: &str, pem: &str, effective: i64) -> PlatformCertificate {
        PlatformCertificate {
            serial_no: serial_no.to_owned(),
            effective: UnixSeconds(effective),
            expires: UnixSeconds(effective + 1_000_000_000),
            pem: pem.to_owned(),
        }
    }

    fn ids(entries: &[VerificationEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn a_new_certificate_stands_beside_the_old_one_and_is_named_when_it_is_in_force() {
        let kept = [certificate(OLD_SERIAL, OLD)];
        for (effective, named) in [(NOW.0 - 1, "NEW"), (NOW.0 + 1, OLD_SERIAL)] {
            let both = [
                delivered(OLD_SERIAL, OLD, NOW.0 - 100),
                delivered("NEW", NEW, effective),
            ];
            let (entries, response_serial) = merged(&kept, OLD_SERIAL, &both, NOW);
            assert_eq!(ids(&entries), [OLD_SERIAL, "NEW"]);
            assert_eq!(response_serial, named);
            let again = merged(&entries, &response_serial, &both, NOW);
            assert_eq!(again, (entries, response_serial), "nothing to write");
        }
    }

    #[test]
    fn a_merchant_between_certificate_and_public_key_keeps_both_and_names_the_one_he_named() {
        let kept = [public_key(), certificate(OLD_SERIAL, OLD)];
        let new = [delivered("NEW", NEW, NOW.0 - 1)];
        let (entries, named) = merged(&kept, "PUB_KEY_ID_0100", &new, NOW);
        assert_eq!(ids(&entries), ["PUB_KEY_ID_0100", OLD_SERIAL, "NEW"]);
        assert_eq!(named, "PUB_KEY_ID_0100");
        let (_, named) = merged(&kept, "pub_key_id_0100", &new, NOW);
        assert_eq!(
            named, "pub_key_id_0100",
            "as everywhere, case does not matter"
        );
        let (_, named) = merged(&kept, OLD_SERIAL, &new, NOW);
        assert_eq!(named, "NEW");
    }

    #[test]
    fn a_certificate_that_is_no_longer_listed_stays_until_a_month_after_its_end() {
        let kept = [certificate(OLD_SERIAL, OLD)];
        let last = OLD_ENDS + KEPT_AFTER_ITS_END_S - 1;
        for (now, stays) in [(last, true), (last + 1, false)] {
            let new = [delivered("NEW", NEW, now - 1)];
            let (entries, named) = merged(&kept, OLD_SERIAL, &new, UnixSeconds(now));
            assert_eq!(ids(&entries).contains(&OLD_SERIAL), stays, "at {now}");
            assert_eq!(named, "NEW");
        }
    }

    #[test]
    fn a_kept_certificate_that_cannot_be_read_does_not_stand_in_the_way_of_new_ones() {
        let kept = [certificate("DAMAGED", "no certificate"), public_key()];
        let new = [delivered("NEW", NEW, NOW.0 - 1)];
        let (entries, _) = merged(&kept, "DAMAGED", &new, NOW);
        assert_eq!(ids(&entries), ["PUB_KEY_ID_0100", "NEW"]);
        // A certificate that WeChat Pay delivers again replaces the unreadable one.
        let again = [delivered("DAMAGED", OLD, NOW.0 - 1)];
        let (entries, named) = merged(&kept, "DAMAGED", &again, NOW);
        assert_eq!(entries[0].pem, OLD);
        assert_eq!(named, "DAMAGED");
    }
}
