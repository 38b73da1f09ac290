//! The KMS keys: whether they can be used, and whether they are rotated.

use serde::Deserialize;
use serde_json::json;

use super::aws_calls::{AwsCalls, CallError, KMS};
use super::finding::Finding;
use super::policies;
use super::stack::{Resource, Stack};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

/// What KMS says of a key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyMetadata {
    pub(crate) key_state: String,
    #[serde(default)]
    pub(crate) key_spec: String,
    #[serde(default)]
    pub(crate) key_usage: String,
    #[serde(default)]
    origin: String,
}

pub(crate) async fn described(calls: &AwsCalls, key_id: &str) -> Result<KeyMetadata, CallError> {
    let asked = json!({ "KeyId": key_id });
    let described: Described = calls.ask(KMS, "DescribeKey", &asked).await?;
    Ok(described.key_metadata)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rotation {
    key_rotation_enabled: bool,
}

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    for key in &stack.kms_keys().collect::<Vec<_>>() {
        let described = match described(calls, &key.physical).await {
            Err(error) if error.is_missing() => {
                findings.push(gone(key, error.to_string()));
                continue;
            }
            other => other?,
        };
        // Beside a sealed signer this key signs nothing, but while the merchant's key changes.
        let is_used = key.logical != "MerchantSigningKey"
            || stack.parameter("MerchantSigner") != "sealed"
            || stack.signs_beside(key);
        if described.key_state != "Enabled" {
            if is_used || is_being_deleted(&described.key_state) {
                findings.push(unusable(key, &described.key_state));
            }
            continue;
        }
        findings.extend(policies::of_key(calls, stack, key).await?);
        let rotates = described.key_spec == "SYMMETRIC_DEFAULT" && described.origin == "AWS_KMS";
        if rotates {
            let asked = json!({ "KeyId": key.physical });
            let rotation: Rotation = calls.ask(KMS, "GetKeyRotationStatus", &asked).await?;
            if !rotation.key_rotation_enabled {
                findings.push(rotation_off(key));
            }
        }
    }
    Ok(findings)
}

/// A primary key waits for its replicas to be deleted first.
fn is_being_deleted(state: &str) -> bool {
    matches!(state, "PendingDeletion" | "PendingReplicaDeletion")
}

pub(crate) fn rotation_off(key: &Resource) -> Finding {
    let physical = &key.physical;
    let next_step = match key.given_arn() {
        None => format!("`aws kms enable-key-rotation --key-id {physical}`"),
        // Replicas share their rotation with the primary key, and KMS refuses the call for a
        // replica.
        Some(arn) => {
            let id = arn.rsplit('/').next().unwrap_or(arn);
            format!(
                "on the primary key, in its Region: `aws kms enable-key-rotation --key-id {id} --region \"$(aws kms \
                 describe-key --key-id {arn} --query KeyMetadata.MultiRegionConfiguration.PrimaryKey.Region \
                 --output text)\"`"
            )
        }
    };
    Finding::warning(
        "kms-rotation-off",
        format!(
            "{} is not rotated any more, as the template has it.",
            key.logical
        ),
        format!("GetKeyRotationStatus of {physical}: off"),
        next_step,
    )
}

pub(crate) fn gone(key: &Resource, evidence: String) -> Finding {
    Finding::error(
        "kms-key-gone",
        format!(
            "{} does not exist any more: what was sealed or encrypted under it cannot be read.",
            key.logical
        ),
        evidence,
        "a plain deployment makes no other: see what is lost and what can be done (infra/runbooks/keys.md, A KMS key that is gone)",
    )
}

pub(crate) fn unusable(key: &Resource, state: &str) -> Finding {
    let (logical, physical) = (&key.logical, &key.physical);
    let evidence = format!("DescribeKey of {physical}: {state}");
    match state {
        "PendingImport" => Finding::error(
            "merchant-key-not-imported",
            format!("{logical} has no private key yet, so it signs nothing for WeChat Pay."),
            evidence,
            format!(
                "import the merchant's key: `cargo client keys import --signing-key-id {physical} --merchant-key-file apiclient_key.pem \
                 --merchant-certificate-file apiclient_cert.pem` (infra/runbooks/keys.md)"
            ),
        ),
        _ if is_being_deleted(state) => Finding::error(
            "kms-key-being-deleted",
            format!(
                "{logical} will be deleted, and with it all that was sealed or encrypted under it."
            ),
            evidence,
            format!(
                "`aws kms cancel-key-deletion --key-id {physical}`, then `aws kms enable-key --key-id {physical}`"
            ),
        ),
        _ => Finding::error(
            "kms-key-not-enabled",
            format!("{logical} cannot be used: what needs it fails."),
            evidence,
            format!(
                "find out who disabled it and why, then `aws kms enable-key --key-id {physical}`"
            ),
        ),
    }
}
