//! Giving a deployment its keys: the merchant's record and the API clients' keys. Everything is read from files, since
//! a command line is seen by every process of the machine and kept in the shell's history.

use std::fs;
use std::path::{Path, PathBuf};

use adapters::keys_table::{
    KeysError, KeysTable, NewApiV3Key, NewMerchant, VerificationEntry, VerificationKind,
};
use lenient_pem::{CERTIFICATE, NotPem, PRIVATE_KEY, PUBLIC_KEY};
use message_signatures::Algorithm;
use wechatpay::verify::VerificationKeys;
use zeroize::Zeroizing;

/// The files of a merchant, as downloaded from WeChat Pay's merchant platform.
#[derive(Clone, Debug)]
pub struct MerchantFiles {
    /// The serial number of the merchant's API certificate.
    pub merchant_serial: String,
    /// The keys that WeChat Pay signs with. Requests ask for answers signed with the first.
    pub platform_keys: Vec<PlatformKey>,
    /// A file with the 32 characters of the APIv3 key.
    pub apiv3_key: PathBuf,
    /// Counts the merchant's APIv3 keys, from 1.
    pub apiv3_version: u32,
    /// The APIv3 key before, while callbacks may still come under it.
    pub previous_apiv3_key: Option<PathBuf>,
    /// The merchant's private key (`apiclient_key.pem`), if it is to be sealed into the table; left out if it is in KMS.
    pub merchant_key: Option<PathBuf>,
}

/// A key that WeChat Pay signs with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlatformKey {
    /// A WeChat Pay public key.
    PublicKey {
        /// `PUB_KEY_ID_...`
        id: String,
        /// The PEM file.
        file: PathBuf,
    },
    /// A platform certificate; its serial number is read from it.
    Certificate {
        /// The PEM file.
        file: PathBuf,
    },
}

/// What a client of the API signs with.
pub enum ApiClientKey {
    /// A shared secret, for `hmac-sha256`.
    Secret(Zeroizing<[u8; 32]>),
    /// A public key.
    Public {
        /// `ed25519` or `rsa-v1_5-sha256`.
        algorithm: Algorithm,
        /// The PEM file (`BEGIN PUBLIC KEY`).
        file: PathBuf,
    },
}

/// Why a deployment did not get its keys.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A platform certificate is none.
    #[error("{path} is not a certificate of WeChat Pay's")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is not the key or certificate that it should be.
    #[error("{path} cannot be used: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        source: NotPem,
    },
    /// No key of WeChat Pay's was given.
    #[error("no key of WeChat Pay's is given: nothing it sends could be verified")]
    NoPlatformKey,
    /// A version that leaves none for the key before.
    #[error("an APIv3 key version counts from 1; with a previous key it is at least 2")]
    Version,
    /// The table did not take them.
    #[error("the keys were not written")]
    Keys(#[source] KeysError),
}

/// Seals and writes the merchant's record, in place of one that is there.
///
/// # Errors
/// [`SetupError`].
pub async fn put_merchant(table: &KeysTable, files: &MerchantFiles) -> Result<(), SetupError> {
    let verification = files
        .platform_keys
        .iter()
        .map(read_platform_key)
        .collect::<Result<Vec<_>, _>>()?;
    let response_serial = verification
        .first()
        .map(|entry| entry.id.clone())
        .ok_or(SetupError::NoPlatformKey)?;
    let apiv3 = read_secret(&files.apiv3_key)?;
    let previous = files
        .previous_apiv3_key
        .as_deref()
        .map(read_secret)
        .transpose()?;
    let before = files
        .apiv3_version
        .checked_sub(1)
        .ok_or(SetupError::Version)?;
    let mut keys = vec![NewApiV3Key {
        version: files.apiv3_version,
        bytes: &apiv3,
    }];
    if let Some(previous) = &previous {
        if before == 0 {
            return Err(SetupError::Version);
        }
        keys.push(NewApiV3Key {
            version: before,
            bytes: previous,
        });
    }
    let signer = files
        .merchant_key
        .as_deref()
        .map(read_merchant_key)
        .transpose()?;
    let merchant = NewMerchant {
        verification: &verification,
        response_serial: &response_serial,
        apiv3: &keys,
        signer_serial: &files.merchant_serial,
        signer_pkcs8: signer.as_ref().map(|der| der.as_slice()),
    };
    table
        .put_merchant(&merchant)
        .await
        .map_err(SetupError::Keys)
}

/// Registers a key of an API client, in place of one that has this id. `client_id` says whose orders it may touch: keys
/// of one client have the same.
///
/// # Errors
/// [`SetupError`].
pub async fn put_client(
    table: &KeysTable,
    keyid: &str,
    client_id: &str,
    key: &ApiClientKey,
) -> Result<(), SetupError> {
    let written = match key {
        ApiClientKey::Secret(secret) => {
            table
                .put_client_hmac(keyid, client_id, secret.as_slice())
                .await
        }
        ApiClientKey::Public { algorithm, file } => {
            table
                .put_client_public(keyid, client_id, *algorithm, &read_pem(file, PUBLIC_KEY)?)
                .await
        }
    };
    written.map_err(SetupError::Keys)
}

fn read_platform_key(key: &PlatformKey) -> Result<VerificationEntry, SetupError> {
    match key {
        PlatformKey::PublicKey { id, file } => Ok(VerificationEntry {
            id: id.clone(),
            kind: VerificationKind::PublicKey,
            pem: read_pem(file, PUBLIC_KEY)?.to_string(),
        }),
        PlatformKey::Certificate { file } => {
            let pem = read_pem(file, CERTIFICATE)?.to_string();
            let no_certificate = |source| SetupError::Certificate {
                path: file.clone(),
                source,
            };
            let id = VerificationKeys::new()
                .add_certificate(&pem)
                .map_err(|error| no_certificate(Box::new(error)))?;
            Ok(VerificationEntry {
                id,
                kind: VerificationKind::Certificate,
                pem,
            })
        }
    }
}

fn read_merchant_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let text = Zeroizing::new(read_text(path)?);
    lenient_pem::one(&text, PRIVATE_KEY).map_err(|source| SetupError::Pem {
        path: path.to_owned(),
        source,
    })
}

/// A PEM file, in the form that everybody reads: what is kept is kept so.
fn read_pem(path: &Path, wanted: &'static str) -> Result<Zeroizing<String>, SetupError> {
    let text = Zeroizing::new(read_text(path)?);
    lenient_pem::canonical(&text, wanted).map_err(|source| SetupError::Pem {
        path: path.to_owned(),
        source,
    })
}

/// A secret in a text file; what an editor adds at its ends does not count.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let text = Zeroizing::new(read_text(path)?);
    Ok(Zeroizing::new(
        text.trim_start_matches('\u{feff}')
            .trim_end()
            .as_bytes()
            .to_vec(),
    ))
}

fn read_text(path: &Path) -> Result<String, SetupError> {
    fs::read_to_string(path).map_err(|source| SetupError::File {
        path: path.to_owned(),
        source,
    })
}
