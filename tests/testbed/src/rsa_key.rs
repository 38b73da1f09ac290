//! RSA keys, in the shapes in which they are kept and handed on.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An RSA-2048 key.
pub struct RsaKey {
    pair: RsaKeyPair,
}

impl RsaKey {
    /// A fresh key.
    ///
    /// # Panics
    /// When the machine has no random numbers.
    pub fn generate() -> Self {
        Self {
            pair: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"),
        }
    }

    /// The key of this PKCS#8 DER.
    ///
    /// # Panics
    /// When it is none.
    pub fn of_pkcs8(der: &[u8]) -> Self {
        Self {
            pair: RsaKeyPair::from_pkcs8(der).expect("PKCS#8"),
        }
    }

    /// The key as the library has it, for benchmarks of the library alone.
    pub fn pair(&self) -> &RsaKeyPair {
        &self.pair
    }

    /// The private key as PKCS#8 DER.
    ///
    /// # Panics
    /// Never: every pair has this form.
    pub fn pkcs8(&self) -> Vec<u8> {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.pair).expect("PKCS#8");
        der.as_ref().to_vec()
    }

    /// The public key as SPKI DER.
    ///
    /// # Panics
    /// Never: every pair has this form.
    pub fn public_der(&self) -> Vec<u8> {
        let public = self.pair.public_key();
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(public).expect("SPKI");
        der.as_ref().to_vec()
    }

    /// The private key as PEM.
    pub fn private_pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8())
    }

    /// The public key as PEM.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// The signature over `text`: RSASSA-PKCS1-v1_5 with SHA-256.
    ///
    /// # Panics
    /// When the machine has no random numbers.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text,
                &mut signature,
            )
            .expect("a signature");
        signature
    }

    /// The same over a text of which only the SHA-256 is known; `None` if it is none.
    #[cfg(feature = "engines")]
    pub(crate) fn sign_digest(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let digest =
            aws_lc_rs::digest::Digest::import_less_safe(digest, &aws_lc_rs::digest::SHA256).ok()?;
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature)
            .ok()?;
        Some(signature)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").finish_non_exhaustive()
    }
}

/// One PEM block.
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
