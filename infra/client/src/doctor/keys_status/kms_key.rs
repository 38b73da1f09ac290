//! The stack's keys in KMS.

use runtime::kms::signing_key::KeyDescription;
use runtime::kms::{Kms, KmsError};

use super::key::{KeyStatus, time};
use crate::doctor::finding::Finding;
use crate::doctor::keys::{gone, rotation_off, unusable};
use crate::doctor::stack::Resource;

const NOT_FOUND: &str = "NotFoundException";

pub(super) async fn symmetric(kms: &Kms, key: &Resource) -> Result<KeyStatus, KmsError> {
    let (described, mut finding) = described_key(kms, key).await?;
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
pub(super) async fn described_key(
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

pub(super) fn words(key: &KeyDescription) -> String {
    let regions = if key.is_multi_region {
        "multi-Region"
    } else {
        "single-Region"
    };
    format!("{} in KMS, origin {}, {regions}", key.state, key.origin)
}
