//! What most tests need: a manual clock, a KMS with keys, and a wire to count on.

#![expect(
    clippy::expect_used,
    reason = "what a test cannot do without ends the test, with what it was"
)]

use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local::engine;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use wechatpay::UnixSeconds;

use crate::{
    service::Service,
    wire::{FaultyTransport, Match},
};

/// When the tests take place, unless they move the clock.
pub const NOW: UnixSeconds = UnixSeconds(1_785_556_800);

/// KMS on the local engine, over a wire of one's own.
#[derive(Debug)]
pub struct KmsBench {
    /// Stands still until a test moves it.
    pub clock: Clock,
    /// What counts the calls, and breaks them.
    pub wire: FaultyTransport,
    /// KMS over that wire.
    pub kms: Kms,
    client: aws_sdk_kms::Client,
}

impl KmsBench {
    /// On the engine of this process.
    pub fn start() -> Self {
        let clock = Clock::manual(NOW);
        let wire = FaultyTransport::new(clock.clone());
        let settings = AwsSettings::local(engine_endpoint());
        let aws = Aws::with_http_client(&settings, &clock, wire.http_client());
        let client = Aws::new(&settings, &Clock::system()).kms();
        Self {
            clock,
            wire,
            kms: Kms::new(aws.kms()),
            client,
        }
    }

    /// A new key for secrets or fields.
    pub async fn symmetric_key(&self) -> String {
        let made = self.client.create_key().send().await.expect("a key");
        made.key_metadata.expect("its metadata").key_id
    }

    /// A new RSA key for signatures, and its public key as DER.
    pub async fn signing_key(&self) -> (String, Vec<u8>) {
        let create = self
            .client
            .create_key()
            .key_spec(KeySpec::Rsa2048)
            .key_usage(KeyUsageType::SignVerify);
        let key_id = create
            .send()
            .await
            .expect("a key")
            .key_metadata
            .expect("its metadata")
            .key_id;
        let public = self
            .client
            .get_public_key()
            .key_id(&key_id)
            .send()
            .await
            .expect("its public half");
        (key_id, public.public_key.expect("DER").into_inner())
    }

    /// Removes the key, as if an operator had deleted it.
    pub async fn disable(&self, key_id: &str) {
        self.client
            .disable_key()
            .key_id(key_id)
            .send()
            .await
            .expect("a disabled key");
    }

    /// How often KMS was asked for this.
    pub fn asked(&self, operation: &str) -> usize {
        self.wire.count(&Match::operation(Service::Kms, operation))
    }

    /// Moves the clock on.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// One engine for the whole test process. It ends with it.
pub fn engine_endpoint() -> String {
    static ENGINE: OnceLock<engine::Engine> = OnceLock::new();
    ENGINE
        .get_or_init(|| engine::start(engine::Options::default()).expect("the local engine"))
        .endpoint()
}

/// A fresh RSA-2048 key: PKCS#8 and public DER.
pub fn rsa_key() -> (Vec<u8>, Vec<u8>) {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
        .expect("PKCS#8")
        .as_ref()
        .to_vec();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
        .expect("SPKI")
        .as_ref()
        .to_vec();
    (private, public)
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

/// An error with all its causes, as it would be logged.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
