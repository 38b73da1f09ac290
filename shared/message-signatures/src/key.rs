//! Keys and algorithms. The algorithm is a property of the key: what a request says about it is
//! only compared.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair,
};

use lenient_pem::{NotPem, PRIVATE_KEY, PUBLIC_KEY};

use crate::limits::{SECRET_MAX, SECRET_MIN};

/// Signature algorithms, by their names in the IANA registry that RFC 9421 section 6.2 set up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// `hmac-sha256`: both sides share a secret.
    HmacSha256,
    /// `rsa-v1_5-sha256`: RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    RsaV15Sha256,
    /// `ed25519`: RFC 8032.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::RsaV15Sha256, Self::Ed25519];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of this registered name, if it is supported here.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The secret is too short or too long.
    #[error("an HMAC secret has {SECRET_MIN} to {SECRET_MAX} bytes, this one has {length}")]
    SecretLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The text is not one PEM block of the expected kind.
    #[error(transparent)]
    Pem(#[from] NotPem),
    /// The key is of another kind, too small, or damaged.
    #[error("the key cannot be used for {algorithm}: it is of another kind, too small, or damaged")]
    Rejected {
        /// What the key was to be used for.
        algorithm: &'static str,
    },
    /// A PEM key was given for an algorithm that uses a shared secret.
    #[error("hmac-sha256 uses a shared secret, not a PEM key")]
    PemForHmac,
}

/// A shared secret. It cannot be read back, and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Box<hmac::Key>);

impl Secret {
    /// Takes a secret of 32 to 1024 bytes.
    ///
    /// # Errors
    /// [`KeyError::SecretLength`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) {
            Ok(Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes))))
        } else {
            Err(KeyError::SecretLength {
                length: bytes.len(),
            })
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a server holds for one `keyid`. Parsed once, used often: reading an RSA key costs more than
/// verifying with it.
#[derive(Clone, Debug)]
pub enum VerifyingKey {
    /// For `hmac-sha256`.
    HmacSha256(Secret),
    /// For `rsa-v1_5-sha256`.
    RsaV15Sha256(ParsedPublicKey),
    /// For `ed25519`.
    Ed25519(ParsedPublicKey),
}

impl VerifyingKey {
    /// A key for `hmac-sha256`.
    ///
    /// # Errors
    /// [`KeyError::SecretLength`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        Secret::new(secret).map(Self::HmacSha256)
    }

    /// A public key from PEM (`BEGIN PUBLIC KEY`, a SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`KeyError`] if the text is something else, or the key does not fit the algorithm.
    pub fn from_public_key_pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let read = || lenient_pem::one(text, PUBLIC_KEY);
        let rejected = |_| KeyError::Rejected {
            algorithm: algorithm.name(),
        };
        match algorithm {
            Algorithm::HmacSha256 => Err(KeyError::PemForHmac),
            Algorithm::RsaV15Sha256 => {
                let der = read()?;
                // A parsed key refuses other sizes only when it verifies; this refuses them here.
                PublicEncryptingKey::from_der(&der).map_err(rejected)?;
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &*der)
                    .map_err(rejected)
                    .map(Self::RsaV15Sha256)
            }
            Algorithm::Ed25519 => ParsedPublicKey::new(&ED25519, &*read()?)
                .map_err(rejected)
                .map(Self::Ed25519),
        }
    }

    /// What this key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::HmacSha256(_) => Algorithm::HmacSha256,
            Self::RsaV15Sha256(_) => Algorithm::RsaV15Sha256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Whether the signature is this key's over the text. HMACs are compared in constant time.
    pub(crate) fn accepts(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::HmacSha256(Secret(key)) => hmac::verify(key, text, signature).is_ok(),
            Self::RsaV15Sha256(key) | Self::Ed25519(key) => key.verify_sig(text, signature).is_ok(),
        }
    }
}

/// What a client signs with.
#[derive(Debug)]
pub enum SigningKey {
    /// For `hmac-sha256`.
    HmacSha256(Secret),
    /// For `rsa-v1_5-sha256`.
    RsaV15Sha256(RsaKeyPair),
    /// For `ed25519`.
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A key for `hmac-sha256`.
    ///
    /// # Errors
    /// [`KeyError::SecretLength`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        Secret::new(secret).map(Self::HmacSha256)
    }

    /// A private key from PEM (`BEGIN PRIVATE KEY`, unencrypted PKCS#8).
    ///
    /// # Errors
    /// [`KeyError`] if the text is something else, or the key does not fit the algorithm.
    pub fn from_private_key_pem(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let read = || lenient_pem::one(text, PRIVATE_KEY);
        let rejected = |_| KeyError::Rejected {
            algorithm: algorithm.name(),
        };
        match algorithm {
            Algorithm::HmacSha256 => Err(KeyError::PemForHmac),
            Algorithm::RsaV15Sha256 => RsaKeyPair::from_pkcs8(&read()?)
                .map_err(rejected)
                .map(Self::RsaV15Sha256),
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(&read()?)
                .map_err(rejected)
                .map(Self::Ed25519),
        }
    }

    /// What this key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::HmacSha256(_) => Algorithm::HmacSha256,
            Self::RsaV15Sha256(_) => Algorithm::RsaV15Sha256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Signs the text; `None` only if the library fails inside.
    pub(crate) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::HmacSha256(Secret(key)) => Some(hmac::sign(key, text).as_ref().to_vec()),
            Self::RsaV15Sha256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    text,
                    &mut signature,
                )
                .ok()?;
                Some(signature)
            }
            Self::Ed25519(pair) => Some(pair.sign(text).as_ref().to_vec()),
        }
    }
}
