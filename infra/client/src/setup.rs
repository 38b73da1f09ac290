//! Sets up a deployment's keys: the merchant's record and the API clients' keys. Everything is read
//! from files, since every process of the machine can see a command line, and the shell's history
//! stores it.

use std::fs;
use std::path::{Path, PathBuf};

use lenient_pem::{CERTIFICATE, NotPem, PUBLIC_KEY};
use message_signatures::Algorithm;
use runtime::signer::SignWith;
use stores::keys_table::{
    KeysError, KeysTable, VerificationEntry, VerificationKind,
    change::{AddedApiV3Key, ChangeError, MerchantChange, SignerCertificate, Validity},
    client_keys::NewClientKey,
};
use wechatpay::merchant_files::{
    MerchantCertificate, MerchantFileError, MerchantKey, MerchantPublicKey,
};
use wechatpay::verify::VerificationKeys;
use zeroize::Zeroizing;

/// The files of a merchant, as downloaded from WeChat Pay's merchant platform. What is not named
/// stays as it is; a merchant that is not there yet needs its certificate or its serial, an APIv3
/// key and a key of WeChat Pay's.
#[derive(Clone, Debug, Default)]
pub struct MerchantFiles {
    /// The serial number of the merchant's API certificate.
    pub merchant_serial: Option<String>,
    /// That certificate (`apiclient_cert.pem`), in place of its serial number. It has to be the
    /// merchant's, and to belong to `merchant_key` where that is named.
    pub merchant_certificate: Option<PathBuf>,
    /// The key in KMS whose certificate it is, by id or ARN. Left out with `merchant_key`, which is
    /// sealed with it.
    pub signing_key_id: Option<String>,
    /// Keys that WeChat Pay signs with. Requests ask for answers signed with the first, if any is
    /// named.
    pub platform_keys: Vec<PlatformKey>,
    /// A file with the 32 characters of the APIv3 key.
    pub apiv3_key: Option<PathBuf>,
    /// Counts the merchant's APIv3 keys, from 1. Without one a new key is the next.
    pub apiv3_version: Option<u32>,
    /// The APIv3 key before, while callbacks may still come under it.
    pub previous_apiv3_key: Option<PathBuf>,
    /// The merchant's private key (`apiclient_key.pem`), if it is to be sealed into the table; left
    /// out if it is in KMS.
    pub merchant_key: Option<PathBuf>,
    /// Whether a sealed private key is removed from the table, since the key is in KMS now.
    pub removes_sealed_key: bool,
}

impl MerchantFiles {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn name_nothing(&self) -> bool {
        self.merchant_serial.is_none()
            && self.merchant_certificate.is_none()
            && self.platform_keys.is_empty()
            && self.apiv3_key.is_none()
            && self.previous_apiv3_key.is_none()
            && self.merchant_key.is_none()
            && !self.removes_sealed_key
    }
}

/// A key that WeChat Pay signs with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlatformKey {
    /// A WeChat Pay public key.
    PublicKey {
        /// `PUB_KEY_ID_...`
        id: String,
        file: PathBuf,
    },
    /// A platform certificate; its serial number is read from it.
    Certificate { file: PathBuf },
}

/// What a client of the API signs with.
pub enum ApiClientKey {
    /// A shared secret, for `hmac-sha256`.
    Secret(Zeroizing<[u8; 32]>),
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
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A platform certificate is not valid.
    #[error("{path} is not a certificate of WeChat Pay's")]
    Certificate {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is not the key or certificate that it should be.
    #[error("{path} cannot be used: {source}")]
    Pem {
        path: PathBuf,
        /// What it is instead.
        source: NotPem,
    },
    /// A file is not the merchant's key or certificate.
    #[error("{path} cannot be used: {source}")]
    MerchantFile {
        path: PathBuf,
        /// What it is instead.
        source: MerchantFileError,
    },
    /// A version that leaves none for the previous key.
    #[error("an APIv3 key version counts from 1; with a previous key it is at least 2")]
    Version,
    /// A key that another has the name of.
    #[error("a key with the id {0} is there already, in use or revoked: choose another id")]
    KeyIdTaken(String),
    /// The merchant's record was not changed.
    #[error("the keys were not written")]
    Merchant(#[source] ChangeError),
    /// The table did not take them.
    #[error("the keys were not written")]
    Keys(#[source] KeysError),
}

/// Writes what is named into the merchant's record, secrets sealed. What else it holds stays.
///
/// # Errors
/// [`SetupError`].
pub async fn change_merchant(table: &KeysTable, files: &MerchantFiles) -> Result<(), SetupError> {
    let verification = files
        .platform_keys
        .iter()
        .map(read_platform_key)
        .collect::<Result<Vec<_>, _>>()?;
    let before = files
        .apiv3_version
        .map(|version| version.checked_sub(1).ok_or(SetupError::Version))
        .transpose()?;
    let mut apiv3 = Vec::new();
    if let Some(path) = &files.previous_apiv3_key {
        if before == Some(0) {
            return Err(SetupError::Version);
        }
        apiv3.push(AddedApiV3Key {
            version: before,
            bytes: read_secret(path)?,
        });
    }
    if let Some(path) = &files.apiv3_key {
        apiv3.push(AddedApiV3Key {
            version: files.apiv3_version,
            bytes: read_secret(path)?,
        });
    }
    let signer = files
        .merchant_key
        .as_deref()
        .map(read_merchant_key)
        .transpose()?;
    let certificate = match &files.merchant_certificate {
        Some(path) => {
            let key = signer.as_ref().map(MerchantKey::public_key);
            Some(read_merchant_certificate(path, table.mchid(), key)?)
        }
        None => None,
    };
    let key_id = files.signing_key_id.clone().filter(|_| signer.is_none());
    let signs = key_id.map(|key_id| SignWith::Kms { key_id });
    let numbered = |serial_no| SignerCertificate {
        signs: signs.as_ref(),
        serial_no,
        validity: None,
    };
    let numbered = files.merchant_serial.as_deref().map(numbered);
    let certified = |certificate| certified(certificate, signs.as_ref());
    let change = MerchantChange {
        add_verification: &verification,
        response_serial: verification.first().map(|entry| entry.id.as_str()),
        add_apiv3: &apiv3,
        signer_certificate: certificate.as_ref().map(certified).or(numbered),
        signer_pkcs8: signer.as_ref().map(MerchantKey::pkcs8_der),
        removes_sealed_signer: files.removes_sealed_key,
        ..MerchantChange::default()
    };
    table
        .change_merchant(&change)
        .await
        .map_err(SetupError::Merchant)
}

/// A certificate as the merchant's record has it: without the file its end is unknown. It is that
/// of the key that `signs`, where that is said.
#[must_use]
pub fn certified<'a>(
    certificate: &'a MerchantCertificate,
    signs: Option<&'a SignWith>,
) -> SignerCertificate<'a> {
    SignerCertificate {
        signs,
        serial_no: certificate.serial_no(),
        validity: Some(Validity {
            from: certificate.not_before(),
            until: certificate.not_after(),
        }),
    }
}

/// Adds a key of WeChat Pay's beside those that are there, and gives back its id. With
/// `signs_answers` requests ask for answers signed with it from then on.
///
/// # Errors
/// [`SetupError`].
pub async fn add_platform_key(
    table: &KeysTable,
    key: &PlatformKey,
    signs_answers: bool,
) -> Result<String, SetupError> {
    let entry = read_platform_key(key)?;
    let change = MerchantChange {
        response_serial: signs_answers.then_some(entry.id.as_str()),
        add_verification: std::slice::from_ref(&entry),
        ..MerchantChange::default()
    };
    let changed = table.change_merchant(&change).await;
    changed.map_err(SetupError::Merchant)?;
    Ok(entry.id)
}

/// Registers a key of an API client, never in place of another. Keys of one client have the same
/// `client_id`.
///
/// # Errors
/// [`SetupError`].
pub async fn add_client(
    table: &KeysTable,
    of: NewClientKey<'_>,
    key: &ApiClientKey,
) -> Result<(), SetupError> {
    let written = match key {
        ApiClientKey::Secret(secret) => table.add_client_hmac(of, secret.as_slice()).await,
        ApiClientKey::Public { algorithm, file } => {
            let pem = read_pem(file, PUBLIC_KEY)?;
            table.add_client_public(of, *algorithm, &pem).await
        }
    };
    written.map_err(|error| {
        if matches!(error, KeysError::Changed { .. }) {
            SetupError::KeyIdTaken(of.keyid.to_owned())
        } else {
            SetupError::Keys(error)
        }
    })
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

/// Reads `apiclient_key.pem`.
///
/// # Errors
/// [`SetupError::File`], [`SetupError::MerchantFile`].
pub fn read_merchant_key(path: &Path) -> Result<MerchantKey, SetupError> {
    MerchantKey::read(&read_bytes(path)?).map_err(not_the_merchant_s(path))
}

/// Reads `apiclient_cert.pem`, which has to be the merchant's and, where its key is known, to
/// belong to that.
///
/// # Errors
/// [`SetupError::File`], [`SetupError::MerchantFile`].
pub fn read_merchant_certificate(
    path: &Path,
    mchid: &str,
    key: Option<&MerchantPublicKey>,
) -> Result<MerchantCertificate, SetupError> {
    let read = |file: &[u8]| {
        let certificate = MerchantCertificate::read(file)?;
        certificate.is_of(mchid)?;
        if let Some(key) = key {
            certificate.belongs_to(key)?;
        }
        Ok(certificate)
    };
    read(&read_bytes(path)?).map_err(not_the_merchant_s(path))
}

fn not_the_merchant_s(path: &Path) -> impl Fn(MerchantFileError) -> SetupError {
    move |source| SetupError::MerchantFile {
        path: path.to_owned(),
        source,
    }
}

/// A PEM file in the usual form, in which it is also stored.
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

fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| SetupError::File {
            path: path.to_owned(),
            source,
        })
}

fn read_text(path: &Path) -> Result<String, SetupError> {
    fs::read_to_string(path).map_err(|source| SetupError::File {
        path: path.to_owned(),
        source,
    })
}
