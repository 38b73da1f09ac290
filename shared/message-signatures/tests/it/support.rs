//! A request that tests sign, alter and have checked.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_signatures::{
    Algorithm, Claim, Params, Profile, Refusal, Request, SigningKey, VerifyingKey, claim, sign,
    verify,
};

pub(crate) const NOW_S: i64 = 1_790_000_000;
pub(crate) const PROFILE: Profile = Profile::MERCHANT_API;
pub(crate) const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// A request that owns its parts.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Draft {
    pub(crate) fn post() -> Self {
        Self {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            authority: "api.example.com".to_owned(),
            path: "/v1/orders".to_owned(),
            query: None,
            headers: vec![
                ("Idempotency-Key".to_owned(), b"a-1".to_vec()),
                ("Prefer".to_owned(), b"respond-async".to_vec()),
            ],
            body: br#"{"amount_fen":100}"#.to_vec(),
        }
    }

    pub(crate) fn get() -> Self {
        let (method, path) = ("GET".to_owned(), "/v1/orders/abc-123".to_owned());
        Self {
            method,
            path,
            query: Some("expand=1".to_owned()),
            headers: Vec::new(),
            body: Vec::new(),
            ..Self::post()
        }
    }

    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        use_it(&Request {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }

    /// Adds a header line.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(line, _)| !line.eq_ignore_ascii_case(name));
        self
    }

    /// Signs with this crate.
    pub(crate) fn signed(self, key: &SigningKey) -> Self {
        let params = Params {
            keyid: "k1",
            created_s: NOW_S,
            expires_s: None,
            nonce: Some("n1"),
        };
        self.signed_as(key, &params)
    }

    pub(crate) fn signed_as(mut self, key: &SigningKey, params: &Params<'_>) -> Self {
        let fields = self
            .with(|request| sign(request, params, key, &PROFILE))
            .expect("the request can be signed");
        for (name, value) in fields.iter() {
            self.headers
                .push((name.to_owned(), value.as_bytes().to_vec()));
        }
        self
    }

    /// Signs by HMAC with a base that the test wrote by hand: `lines` are names and values,
    /// `params` what follows the list of names. Shares no code with the crate.
    pub(crate) fn signed_by_hand(self, label: &str, lines: &[(&str, &str)], params: &str) -> Self {
        let names: Vec<String> = lines
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let input = format!("({}){params}", names.join(" "));
        let text: String = lines
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value}\n"))
            .collect();
        let text = format!("{text}\"@signature-params\": {input}");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), text.as_bytes());
        self.header("Signature-Input", format!("{label}={input}"))
            .header(
                "Signature",
                format!("{label}=:{}:", STANDARD.encode(signature)),
            )
    }

    /// Claims and verifies as a server does.
    pub(crate) fn check(&self, key: &VerifyingKey) -> Result<Claim, Refusal> {
        self.check_at(key, NOW_S)
    }

    pub(crate) fn check_at(&self, key: &VerifyingKey, now_s: i64) -> Result<Claim, Refusal> {
        self.with(|request| {
            let claim = claim(request, &PROFILE)?;
            verify(request, &claim, key, now_s, &PROFILE)?;
            Ok(claim)
        })
    }

    /// Signs with the shared secret, lets `alter` change the request in transit, and returns the
    /// name of the refusal.
    pub(crate) fn refusal_after(self, alter: impl FnOnce(&mut Self)) -> &'static str {
        let mut sent = self.signed(&hmac_signer());
        alter(&mut sent);
        sent.check(&hmac_verifier())
            .expect_err("the altered request is refused")
            .name()
    }
}

/// What [`Draft::get`] must have covered, in the order of the profile.
pub(crate) fn get_lines() -> [(&'static str, &'static str); 4] {
    [
        ("@method", "GET"),
        ("@authority", "api.example.com"),
        ("@path", "/v1/orders/abc-123"),
        ("@query", "?expand=1"),
    ]
}

/// The same by `@target-uri`, which covers three of them.
pub(crate) fn target_lines() -> [(&'static str, &'static str); 2] {
    [
        ("@method", "GET"),
        (
            "@target-uri",
            "https://api.example.com/v1/orders/abc-123?expand=1",
        ),
    ]
}

pub(crate) fn created() -> String {
    format!(";created={NOW_S};keyid=\"k1\"")
}

pub(crate) fn hmac_signer() -> SigningKey {
    SigningKey::from_secret(&SECRET).unwrap()
}

pub(crate) fn hmac_verifier() -> VerifyingKey {
    VerifyingKey::from_secret(&SECRET).unwrap()
}

/// A key pair as PEM texts.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
}

impl Pair {
    pub(crate) fn signer(&self) -> SigningKey {
        SigningKey::from_private_key_pem(self.algorithm, &self.private_pem).unwrap()
    }

    pub(crate) fn verifier(&self) -> VerifyingKey {
        VerifyingKey::from_public_key_pem(self.algorithm, &self.public_pem).unwrap()
    }
}

pub(crate) static RSA: LazyLock<Pair> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Pair {
        algorithm: Algorithm::RsaV15Sha256,
        private_pem: pem("PRIVATE KEY", private.as_ref()),
        public_pem: pem("PUBLIC KEY", public.as_ref()),
    }
});

pub(crate) static ED25519: LazyLock<Pair> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Pair {
        algorithm: Algorithm::Ed25519,
        private_pem: pem("PRIVATE KEY", private.as_ref()),
        public_pem: pem("PUBLIC KEY", public.as_ref()),
    }
});

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}
