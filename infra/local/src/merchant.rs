//! Makes the merchant: its RSA key, its APIv3 key, and what the functions need of both in the keys
//! table.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use payments::model::permissions::Permissions;
use runtime::aws::{Aws, AwsError};
use runtime::clock::Clock;
use runtime::kms::Kms;
use runtime::random::Random;
use serde::{Deserialize, Serialize};
use stores::keys_table::{
    KeysTable, VerificationEntry, VerificationKind,
    client_keys::NewClientKey,
    write::{NewApiV3Key, NewMerchant},
};
use wechatpay_simulator::{ClientDetails, GivenMerchant};

use crate::caller::{ApiCaller, CLIENT_ID};
use crate::deploy::Deployed;
use crate::failure::Failure;
use crate::state::StateDir;

/// The merchant number. WeChat's own examples use this range.
pub(crate) const MCHID: &str = "1900000001";

/// The merchant's appid.
pub(crate) const APPID: &str = "wx0123456789abcdef";

const FILE: &str = "merchant.json";

/// The secrets that are stored outside AWS, so that a new engine gets the same merchant.
#[derive(Debug, Default, Deserialize, Serialize)]
struct StoredSecrets {
    apiv3_key: String,
    /// PKCS#8 DER; made when `--sealed-key` is first used.
    sealed_key_base64: Option<String>,
}

/// A merchant as the simulator and the functions need to know it.
pub(crate) struct Merchant {
    apiv3_key: String,
    serial_no: String,
    public_key_pem: String,
    key: SigningKey,
}

/// Where the merchant's private key is.
enum SigningKey {
    /// In KMS, under this id.
    Kms(String),
    /// In the keys table, sealed: PKCS#8 DER.
    Sealed(Vec<u8>),
}

impl Merchant {
    /// The merchant whose key was born in KMS and never leaves it.
    ///
    /// # Errors
    /// KMS does not give the public key, or the state directory fails.
    pub(crate) async fn with_kms_key(
        state: &StateDir,
        random: &Random,
        aws: &Aws,
        deployed: &Deployed,
    ) -> Result<Self, Failure> {
        let key_id = deployed.output("MerchantSigningKeyId")?;
        let answer = aws
            .kms()
            .get_public_key()
            .key_id(key_id)
            .send()
            .await
            .map_err(|error| {
                let error = AwsError::new("GetPublicKey", error);
                Failure::because("the merchant key cannot be had from KMS", &error)
            })?;
        let public_key = answer
            .public_key
            .ok_or_else(|| Failure::new("KMS answered GetPublicKey without a key"))?;
        let kept = kept(state, random)?;
        let key = SigningKey::Kms(key_id.to_owned());
        Ok(Self::new(kept, public_key.as_ref(), key))
    }

    /// The merchant whose key is sealed in the keys table.
    ///
    /// # Errors
    /// The state directory fails.
    pub(crate) fn with_sealed_key(state: &StateDir, random: &Random) -> Result<Self, Failure> {
        let mut kept = kept(state, random)?;
        let private_key = match &kept.sealed_key_base64 {
            Some(text) => STANDARD
                .decode(text)
                .map_err(|error| Failure::because(format!("{FILE} is damaged"), &error))?,
            None => {
                let made = new_private_key()
                    .map_err(|error| Failure::because("no RSA key was made", &error))?;
                kept.sealed_key_base64 = Some(STANDARD.encode(&made));
                state.write(FILE, &kept)?;
                made
            }
        };
        let public_key = public_key_of(&private_key).ok_or_else(|| {
            Failure::new(format!(
                "the key in {FILE} is damaged (--fresh makes a new one)"
            ))
        })?;
        Ok(Self::new(
            kept,
            &public_key,
            SigningKey::Sealed(private_key),
        ))
    }

    fn new(kept: StoredSecrets, public_key: &[u8], key: SigningKey) -> Self {
        Self {
            apiv3_key: kept.apiv3_key,
            serial_no: serial_of(public_key),
            public_key_pem: pem("PUBLIC KEY", public_key),
            key,
        }
    }

    /// The simulator's settings for it.
    pub(crate) fn given(&self) -> GivenMerchant {
        GivenMerchant {
            mchid: MCHID.to_owned(),
            appids: vec![APPID.to_owned()],
            merchant_serial: self.serial_no.clone(),
            merchant_public_key: self.public_key_pem.clone(),
            merchant_private_key_file: None,
            apiv3_key: self.apiv3_key.clone(),
        }
    }

    /// Writes the merchant's and the client's items of the keys table; secrets are sealed under the
    /// secrets key.
    ///
    /// # Errors
    /// KMS does not seal or DynamoDB does not write.
    pub(crate) async fn store(
        &self,
        keys: &KeysTable,
        wechatpay: &ClientDetails,
        caller: &ApiCaller,
    ) -> Result<(), Failure> {
        let verification = [
            VerificationEntry {
                id: wechatpay.wechatpay_public_key_id.clone(),
                kind: VerificationKind::PublicKey,
                pem: wechatpay.wechatpay_public_key.clone(),
            },
            VerificationEntry {
                id: wechatpay.platform_certificate_serial.clone(),
                kind: VerificationKind::Certificate,
                pem: wechatpay.platform_certificate.clone(),
            },
        ];
        let (signer_kms_key_id, signer_pkcs8) = match &self.key {
            SigningKey::Kms(key_id) => (Some(key_id.as_str()), None),
            SigningKey::Sealed(private_key) => (None, Some(private_key.as_slice())),
        };
        let merchant = NewMerchant {
            verification: &verification,
            response_serial: &wechatpay.wechatpay_public_key_id,
            apiv3: &[NewApiV3Key {
                version: 1,
                bytes: self.apiv3_key.as_bytes(),
            }],
            signer_serial: &self.serial_no,
            signer_kms_key_id,
            signer_pkcs8,
        };
        keys.put_merchant(&merchant)
            .await
            .map_err(|error| Failure::because("the merchant's keys were not stored", &error))?;
        keys.put_client_hmac(
            NewClientKey {
                keyid: caller.keyid(),
                client_id: CLIENT_ID,
                permissions: &Permissions::all(),
            },
            caller.secret(),
        )
        .await
        .map_err(|error| Failure::because("the API client's key was not stored", &error))
    }
}

/// The keys table of the deployed stack.
///
/// # Errors
/// The template has no such outputs.
pub(crate) fn keys_table(aws: &Aws, deployed: &Deployed) -> Result<KeysTable, Failure> {
    Ok(KeysTable::new(
        aws.dynamodb(),
        deployed.output("KeysTableName")?,
        MCHID,
        Kms::new(aws.kms()),
        deployed.output("SecretsKeyId")?,
        Clock::system(),
    ))
}

fn kept(state: &StateDir, random: &Random) -> Result<StoredSecrets, Failure> {
    if let Some(kept) = state.read::<StoredSecrets>(FILE)? {
        return Ok(kept);
    }
    let kept = StoredSecrets {
        // 32 characters, as a merchant sets it on WeChat Pay's platform.
        apiv3_key: random.nonce(),
        sealed_key_base64: None,
    };
    state.write(FILE, &kept)?;
    Ok(kept)
}

fn new_private_key() -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?;
    Ok(der.as_ref().to_vec())
}

/// The public half as SPKI DER; `None` if this is no RSA key.
fn public_key_of(private_key: &[u8]) -> Option<Vec<u8>> {
    let pair = KeyPair::from_pkcs8(private_key).ok()?;
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).ok()?;
    Some(der.as_ref().to_vec())
}

/// A certificate number for the key: 40 hexadecimal digits, the same for the same key.
fn serial_of(public_key: &[u8]) -> String {
    let hash = digest(&SHA256, public_key);
    hash.as_ref()
        .iter()
        .take(20)
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// DER in PEM's clothes, 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, letter) in STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealed_key_is_made_once_and_then_kept() {
        let path = std::env::temp_dir().join(format!("local-merchant-test-{}", std::process::id()));
        let state = StateDir::take(&path, false).unwrap();
        let random = Random::system();
        let first = Merchant::with_sealed_key(&state, &random).unwrap();
        let second = Merchant::with_sealed_key(&state, &random).unwrap();
        assert_eq!(first.public_key_pem, second.public_key_pem);
        assert_eq!(first.apiv3_key, second.apiv3_key);
        let given = first.given();
        assert!(
            given.merchant_serial.len() == 40
                && given
                    .merchant_serial
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit())
        );
        assert_eq!(given.apiv3_key.len(), 32);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn pem_lines_are_64_characters() {
        let text = pem("PUBLIC KEY", &[7; 100]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines.iter().map(|line| line.len()).collect::<Vec<_>>(),
            [26, 64, 64, 8, 24]
        );
    }
}
