//! The second half of verification: whether what the request says is true.

use crate::base::base;
use crate::claim::Claim;
use crate::digest;
use crate::key::VerifyingKey;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::request::Request;

/// Whether the key signed this request, within the window and as the profile requires. `claim` must
/// be this request's, `key` the one of its `keyid`, `now_s` seconds since 1970. Cheap checks come
/// first, the signature last.
///
/// After `Ok`, what was covered is as the client sent it: method, authority, path, query, body (the
/// scheme too under `@target-uri`), and the covered fields as [`Request::field`] reads them.
/// Whether the nonce is new is the caller's to check, after this.
///
/// # Errors
/// The first [`Refusal`] met.
pub fn verify(
    request: &Request<'_>,
    claim: &Claim,
    key: &VerifyingKey,
    now_s: i64,
    profile: &Profile,
) -> Result<(), Refusal> {
    check_algorithm(claim, key)?;
    check_without_key(request, claim, now_s, profile)?;
    let base = base(request, &claim.components, &claim.params)?;
    if key.accepts(base.as_bytes(), &claim.signature) {
        Ok(())
    } else {
        Err(Refusal::WrongSignature {
            keyid: claim.keyid.clone(),
        })
    }
}

/// The part of [`verify`] that needs no key: window, coverage and digest. Call it first where
/// finding the key costs something. It proves nothing: [`verify`] checks it all again.
///
/// # Errors
/// The first [`Refusal`] met.
pub fn check_without_key(
    request: &Request<'_>,
    claim: &Claim,
    now_s: i64,
    profile: &Profile,
) -> Result<(), Refusal> {
    check_times(claim, now_s, profile.window_s)?;
    profile.check_coverage(request, &claim.components)?;
    if claim
        .components
        .iter()
        .any(|component| component.name() == "content-digest")
    {
        digest::check(request)?;
    }
    Ok(())
}

fn check_algorithm(claim: &Claim, key: &VerifyingKey) -> Result<(), Refusal> {
    let expected = key.algorithm().name();
    match &claim.alg {
        Some(claimed) if claimed != expected => Err(Refusal::AlgorithmMismatch {
            claimed: claimed.clone(),
            expected,
        }),
        Some(_) | None => Ok(()),
    }
}

fn check_times(claim: &Claim, now_s: i64, limit_s: i64) -> Result<(), Refusal> {
    let age_s = now_s.saturating_sub(claim.created_s);
    let ahead_s = claim.created_s.saturating_sub(now_s);
    if age_s > limit_s {
        return Err(Refusal::Stale { age_s, limit_s });
    }
    if ahead_s > limit_s {
        return Err(Refusal::FromTheFuture { ahead_s, limit_s });
    }
    match claim.expires_s {
        Some(expires_s) if now_s > expires_s => Err(Refusal::Expired {
            since_s: now_s.saturating_sub(expires_s),
        }),
        Some(_) | None => Ok(()),
    }
}
