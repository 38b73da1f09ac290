//! The receiver's side.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;

use crate::header::{ID, SIGNATURE, TIMESTAMP, VERSION};
use crate::limits::{SIGNATURE_MAX, TIMESTAMP_MAX, TOLERANCE_S};
use crate::refusal::Refusal;
use crate::secret::{BASE64, Secret};
use crate::sign::{is_id, tag};

/// The header fields of a webhook as they arrived. Nothing is proved by having them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received<'a> {
    /// The value of [`ID`]. After [`verify`] it says which event this is.
    pub id: &'a str,
    /// The value of [`TIMESTAMP`].
    pub timestamp: &'a str,
    /// The value of [`SIGNATURE`].
    pub signature: &'a str,
}

impl<'a> Received<'a> {
    /// Takes the fields out of a request; `header` gives the value of a name in lower case.
    ///
    /// # Errors
    /// [`Refusal::HeaderMissing`].
    pub fn read(header: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Refusal> {
        let read = |name| header(name).ok_or(Refusal::HeaderMissing { name });
        Ok(Self {
            id: read(ID)?,
            timestamp: read(TIMESTAMP)?,
            signature: read(SIGNATURE)?,
        })
    }
}

/// Whether one of the secrets signed this body under this id, within five minutes of `now_s`
/// (seconds since 1970). Cheap checks come first, the signature last; it is compared in constant
/// time.
///
/// # Errors
/// The first [`Refusal`] met.
pub fn verify(
    received: &Received<'_>,
    body: &[u8],
    secrets: &[Secret],
    now_s: i64,
) -> Result<(), Refusal> {
    if !is_id(received.id) {
        return Err(Refusal::BadId);
    }
    check_time(received.timestamp, now_s)?;
    let signatures = signatures(received.signature)?;
    let fits = secrets.iter().any(|secret| {
        let expected = tag(secret, received.id, received.timestamp, body);
        signatures
            .iter()
            .any(|signature| verify_slices_are_equal(expected.as_ref(), signature).is_ok())
    });
    if fits {
        Ok(())
    } else {
        Err(Refusal::WrongSignature)
    }
}

fn check_time(timestamp: &str, now_s: i64) -> Result<(), Refusal> {
    let is_plain = (1..=TIMESTAMP_MAX).contains(&timestamp.len())
        && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let sent_s: i64 = is_plain
        .then(|| timestamp.parse().ok())
        .flatten()
        .ok_or(Refusal::BadTimestamp)?;
    let age_s = now_s.saturating_sub(sent_s);
    let ahead_s = sent_s.saturating_sub(now_s);
    if age_s > TOLERANCE_S {
        return Err(Refusal::Stale {
            age_s,
            limit_s: TOLERANCE_S,
        });
    }
    if ahead_s > TOLERANCE_S {
        return Err(Refusal::FromTheFuture {
            ahead_s,
            limit_s: TOLERANCE_S,
        });
    }
    Ok(())
}

/// The signatures of our kind. Others are left out: a sender may use several kinds side by side.
fn signatures(field: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    if field.len() > SIGNATURE_MAX {
        return Err(Refusal::TooLong {
            limit: SIGNATURE_MAX,
        });
    }
    let ours: Vec<Vec<u8>> = field
        .split(' ')
        .filter_map(|signature| signature.split_once(','))
        .filter(|(version, _)| *version == VERSION)
        .filter_map(|(_, packed)| BASE64.decode(packed).ok())
        .collect();
    if ours.is_empty() {
        Err(Refusal::NoSignature)
    } else {
        Ok(ours)
    }
}
