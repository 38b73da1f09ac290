//! Keys of both sides, and the four things done with them: sign, verify, seal (AES-256-GCM) and
//! OAEP.

use std::sync::{Arc, OnceLock};

use aes_gcm::{
    Aes256Gcm, AesGcm, KeyInit,
    aead::{Aead, Payload, consts::U16},
    aes::Aes256,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rsa::{
    Oaep, Pkcs1v15Sign, PrivateKey, PublicKey,
    pkcs1v15::{Signature, VerifyingKey},
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding},
    sha2::{Digest, Sha256},
    signature::Verifier,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::{
    certificate::{self, CertificateError},
    config::{Keys, SigningMode},
    ids::Ids,
};

/// The keys in `test-keys/`. Published, therefore worthless: for tests only.
pub(crate) const PUBLISHED_MERCHANT_KEY: &str = include_str!("../test-keys/merchant.pem");
const PUBLISHED: [&str; 4] = [
    include_str!("../test-keys/public-key-1.pem"),
    include_str!("../test-keys/platform-1.pem"),
    include_str!("../test-keys/public-key-2.pem"),
    include_str!("../test-keys/platform-2.pem"),
];

const FIVE_YEARS_MS: i64 = 1_826 * 86_400_000;

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The generator gave none.
    #[error("cannot make an RSA key; try again")]
    Generate(#[source] rsa::Error),
    /// A private key's PEM.
    #[error("a private key is not PKCS#8 PEM; delete the state file to have new ones made")]
    Private(#[source] rsa::pkcs8::Error),
    /// The merchant's public key.
    #[error(
        "merchant_public_key is not SPKI PEM; make it with `openssl rsa -in apiclient_key.pem -pubout`"
    )]
    Public(#[source] rsa::pkcs8::spki::Error),
    /// A key could not be written as PEM.
    #[error("cannot write a key as PEM")]
    Write(#[source] rsa::pkcs8::Error),
    /// A certificate could not be issued.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A key with which WeChat Pay signs, under the name that goes into `Wechatpay-Serial`.
#[derive(Clone)]
pub(crate) struct PlatformKey {
    pub(crate) serial: String,
    key: Arc<PrivateKey>,
    /// Only in certificate mode.
    pub(crate) certificate: Option<IssuedCertificate>,
}

/// A platform certificate as `/v3/certificates` lists it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IssuedCertificate {
    pub(crate) pem: String,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl PlatformKey {
    pub(crate) fn mode(&self) -> SigningMode {
        match self.certificate {
            Some(_) => SigningMode::Certificate,
            None => SigningMode::PublicKey,
        }
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, Base64.
    #[expect(
        clippy::disallowed_methods,
        reason = "signs by `rsa`, which the product does not: on loopback, with keys made for tests"
    )]
    pub(crate) fn sign(&self, text: &[u8]) -> String {
        // Without blinding, which takes as long again and hides a key that is no secret.
        let signed = self
            .key
            .sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text));
        signed
            .map(|signature| BASE64.encode(signature))
            .unwrap_or_default()
    }

    /// Opens a sensitive field that a client encrypted to this key (OAEP, SHA-1).
    #[expect(
        clippy::disallowed_methods,
        reason = "opens by `rsa`, which the product does not: on loopback, with keys made for tests"
    )]
    pub(crate) fn open(&self, base64: &str) -> Option<Vec<u8>> {
        let sealed = BASE64.decode(base64).ok()?;
        self.key.decrypt(Oaep::<Sha1>::new(), &sealed).ok()
    }

    /// The certificate, or in the other mode the public key.
    pub(crate) fn pem(&self) -> String {
        let certificate = self.certificate.as_ref();
        certificate.map_or_else(|| self.public_pem(), |issued| issued.pem.clone())
    }

    /// The public half as SPKI PEM.
    pub(crate) fn public_pem(&self) -> String {
        PublicKey::from(self.key.as_ref())
            .to_public_key_pem(LineEnding::LF)
            .unwrap_or_default()
    }
}

/// The merchant's public key: checks its signatures, and encrypts to it.
#[derive(Clone)]
pub(crate) struct MerchantKey(PublicKey);

impl MerchantKey {
    pub(crate) fn from_public_pem(pem: &str) -> Result<Self, KeyError> {
        PublicKey::from_public_key_pem(pem.trim())
            .map(Self)
            .map_err(KeyError::Public)
    }

    pub(crate) fn from_private_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self(PublicKey::from(&private_key(pem)?)))
    }

    pub(crate) fn verifies(&self, text: &[u8], signature_base64: &str) -> bool {
        BASE64
            .decode(signature_base64)
            .ok()
            .and_then(|bytes| Signature::try_from(bytes.as_slice()).ok())
            .is_some_and(|signature| {
                VerifyingKey::<Sha256>::new(self.0.clone())
                    .verify(text, &signature)
                    .is_ok()
            })
    }

    /// OAEP with SHA-1, Base64. `None` if `plain` is longer than 214 bytes.
    pub(crate) fn encrypt(&self, plain: &[u8]) -> Option<String> {
        let sealed = self
            .0
            .encrypt(&mut rand::rng(), Oaep::<Sha1>::new(), plain)
            .ok()?;
        Some(BASE64.encode(sealed))
    }
}

/// WeChat Pay's keys: every one that was ever in use, the newest of its kind last.
pub(crate) struct Keyring {
    public_keys: Vec<PlatformKey>,
    certificates: Vec<PlatformKey>,
    /// The next certificate: listed already, and signing nothing yet.
    announced: Option<PlatformKey>,
    source: Keys,
}

/// A [`Keyring`] as it is stored in the state file.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct StoredKey {
    serial: String,
    private_key: String,
    certificate: Option<IssuedCertificate>,
}

impl Keyring {
    /// One key of each mode.
    pub(crate) fn new(source: Keys, ids: &mut Ids, now_ms: i64) -> Result<Self, KeyError> {
        let mut keys = Self {
            public_keys: Vec::new(),
            certificates: Vec::new(),
            announced: None,
            source,
        };
        keys.rotate(SigningMode::PublicKey, ids, now_ms)?;
        keys.rotate(SigningMode::Certificate, ids, now_ms)?;
        Ok(keys)
    }

    pub(crate) fn restore(stored: Vec<StoredKey>, source: Keys) -> Result<Self, KeyError> {
        let mut keys = Self {
            public_keys: Vec::new(),
            certificates: Vec::new(),
            announced: None,
            source,
        };
        for stored in stored {
            let key = PlatformKey {
                serial: stored.serial,
                key: Arc::new(private_key(&stored.private_key)?),
                certificate: stored.certificate,
            };
            match key.certificate {
                Some(_) => keys.certificates.push(key),
                None => keys.public_keys.push(key),
            }
        }
        Ok(keys)
    }

    /// How many keys there are, of both modes.
    pub(crate) fn len(&self) -> usize {
        self.all().count()
    }

    fn all(&self) -> impl Iterator<Item = &PlatformKey> {
        let public_keys = self.public_keys.iter();
        public_keys.chain(&self.certificates).chain(&self.announced)
    }

    /// One that is announced is stored as any other: it signs from the next start on.
    pub(crate) fn store(&self) -> Vec<StoredKey> {
        self.all()
            .map(|key| StoredKey {
                serial: key.serial.clone(),
                private_key: private_pem(&key.key).unwrap_or_default(),
                certificate: key.certificate.clone(),
            })
            .collect()
    }

    /// Makes a new key of that mode, which signs from now on, or puts the announced certificate in
    /// force. Its predecessors stay usable by their names.
    pub(crate) fn rotate(
        &mut self,
        mode: SigningMode,
        ids: &mut Ids,
        now_ms: i64,
    ) -> Result<String, KeyError> {
        let key = match (mode, self.announced.take()) {
            (SigningMode::Certificate, Some(announced)) => announced,
            (_, announced) => {
                self.announced = announced;
                self.make(mode, ids, now_ms)?
            }
        };
        let serial = key.serial.clone();
        match mode {
            SigningMode::PublicKey => self.public_keys.push(key),
            SigningMode::Certificate => self.certificates.push(key),
        }
        Ok(serial)
    }

    /// Lists the next certificate, if that was not done; it signs from the next rotation on.
    pub(crate) fn announce(
        &mut self,
        ids: &mut Ids,
        now_ms: i64,
    ) -> Result<&PlatformKey, KeyError> {
        let next = match self.announced.take() {
            Some(next) => next,
            None => self.make(SigningMode::Certificate, ids, now_ms)?,
        };
        Ok(self.announced.insert(next))
    }

    fn make(&self, mode: SigningMode, ids: &mut Ids, now_ms: i64) -> Result<PlatformKey, KeyError> {
        let private = self.next_private_key()?;
        let (serial, certificate) = match mode {
            SigningMode::PublicKey => (format!("PUB_KEY_ID_0{}", ids.digits(33)), None),
            SigningMode::Certificate => {
                let serial = ids.certificate_serial();
                let to_ms = now_ms.saturating_add(FIVE_YEARS_MS);
                let pem =
                    certificate::issue(&private, certificate::PLATFORM, &serial, now_ms, to_ms)?;
                let issued = IssuedCertificate {
                    pem,
                    from_ms: now_ms,
                    to_ms,
                };
                (serial, Some(issued))
            }
        };
        Ok(PlatformKey {
            serial,
            key: private,
            certificate,
        })
    }

    /// The published keys first, if they were asked for; then new ones.
    fn next_private_key(&self) -> Result<Arc<PrivateKey>, KeyError> {
        match self.source {
            Keys::Published => published(self.len()).unwrap_or_else(|| generate().map(Arc::new)),
            Keys::Generated => generate().map(Arc::new),
        }
    }

    pub(crate) fn newest(&self, mode: SigningMode) -> Option<&PlatformKey> {
        match mode {
            SigningMode::PublicKey => self.public_keys.last(),
            SigningMode::Certificate => self.certificates.last(),
        }
    }

    /// The key with that serial, whatever its mode or age. Upper and lower case are the same.
    pub(crate) fn find(&self, serial: &str) -> Option<&PlatformKey> {
        self.all()
            .find(|key| key.serial.eq_ignore_ascii_case(serial))
    }

    /// Certificates that are valid, the newest two: old and new side by side.
    pub(crate) fn valid_certificates(
        &self,
        now_ms: i64,
    ) -> impl Iterator<Item = (&str, &IssuedCertificate)> {
        let newest_first = self.announced.iter().chain(self.certificates.iter().rev());
        newest_first
            .take(2)
            .filter_map(|key| {
                key.certificate
                    .as_ref()
                    .map(|issued| (key.serial.as_str(), issued))
            })
            .filter(move |(_, issued)| issued.to_ms > now_ms)
    }
}

/// A new RSA-2048 key.
pub(crate) fn generate() -> Result<PrivateKey, KeyError> {
    PrivateKey::new(&mut rand::rng(), 2048).map_err(KeyError::Generate)
}

/// PKCS#8 PEM.
pub(crate) fn private_pem(key: &PrivateKey) -> Result<String, KeyError> {
    key.to_pkcs8_pem(LineEnding::LF)
        .map(|pem| pem.as_str().to_owned())
        .map_err(KeyError::Write)
}

/// The published key at this position, if there are so many. Each is read and checked once in a
/// process, in which tests start a simulator for each case.
fn published(at: usize) -> Option<Result<Arc<PrivateKey>, KeyError>> {
    static READ: [OnceLock<Arc<PrivateKey>>; PUBLISHED.len()] =
        [const { OnceLock::new() }; PUBLISHED.len()];
    let (pem, read) = PUBLISHED.get(at).zip(READ.get(at))?;
    Some(match read.get() {
        Some(key) => Ok(Arc::clone(key)),
        None => private_key(pem).map(|key| Arc::clone(read.get_or_init(|| Arc::new(key)))),
    })
}

fn private_key(pem: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pkcs8_pem(pem.trim()).map_err(KeyError::Private)
}

/// The certificate of a merchant over its private key, as PEM.
pub(crate) fn merchant_certificate(
    private_pem: &str,
    mchid: &str,
    serial: &str,
    now_ms: i64,
) -> Result<String, KeyError> {
    let subject = certificate::of_merchant(mchid);
    let to_ms = now_ms.saturating_add(FIVE_YEARS_MS);
    let key = private_key(private_pem)?;
    Ok(certificate::issue(&key, &subject, serial, now_ms, to_ms)?)
}

/// Seals `plaintext` as WeChat Pay does in callbacks and `/v3/certificates`: `AEAD_AES_256_GCM`,
/// the tag at the end. `nonce` must have 12 characters, or 16 as the manual allows, and `apiv3_key`
/// 32; otherwise nothing comes out.
pub(crate) fn seal(
    apiv3_key: &str,
    nonce: &str,
    associated_data: &str,
    plaintext: &[u8],
) -> Option<Value> {
    let key = apiv3_key.as_bytes();
    let payload = Payload {
        msg: plaintext,
        aad: associated_data.as_bytes(),
    };
    let sealed = if let Ok(nonce) = <[u8; 12]>::try_from(nonce.as_bytes()) {
        let cipher = Aes256Gcm::new_from_slice(key).ok()?;
        cipher.encrypt(&nonce.into(), payload).ok()?
    } else {
        let nonce: [u8; 16] = nonce.as_bytes().try_into().ok()?;
        let cipher = AesGcm::<Aes256, U16>::new_from_slice(key).ok()?;
        cipher.encrypt(&nonce.into(), payload).ok()?
    };
    Some(json!({
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": associated_data,
        "ciphertext": BASE64.encode(sealed),
    }))
}

/// The first ciphertext with the last 16 bytes of the second, which are its tag; both Base64. Were
/// the tags the same, one of its bits is turned over, so that what comes out never verifies.
pub(crate) fn with_tag_of(ciphertext: &str, other: &str) -> Option<String> {
    let mut forged = BASE64.decode(ciphertext).ok()?;
    let other = BASE64.decode(other).ok()?;
    let (_, tag) = other.split_last_chunk::<16>()?;
    let (_, place) = forged.split_last_chunk_mut::<16>()?;
    if place == tag {
        place.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    } else {
        *place = *tag;
    }
    Some(BASE64.encode(forged))
}

#[cfg(test)]
mod tests;
