//! What most tests of keys need: a manual clock, a KMS, and a wire to count on.

use std::time::Duration;

use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use wechatpay::UnixSeconds;

use crate::engines::AwsEngines;
use crate::environment::AWS_IN_PROCESS;
use crate::service::Service;
use crate::wire::{FaultyTransport, Match};

/// When the tests take place, unless they move the clock: noon of 1 August 2026 in Beijing.
pub const NOW: UnixSeconds = UnixSeconds(1_785_556_800);

/// KMS in this process, over a wire of one's own.
#[derive(Debug)]
pub struct KmsBench {
    /// Stands still until a test moves it.
    pub clock: Clock,
    /// What counts the calls, and breaks them.
    pub wire: FaultyTransport,
    /// KMS over that wire.
    pub kms: Kms,
    engines: AwsEngines,
}

impl KmsBench {
    /// A KMS of its own.
    pub fn start() -> Self {
        let clock = Clock::manual(NOW);
        let engines = AwsEngines::new(clock.clone());
        let wire = FaultyTransport::around(engines.http_client(), clock.clone());
        let settings = AwsSettings::local(AWS_IN_PROCESS);
        let aws = Aws::with_http_client(&settings, &clock, wire.http_client());
        Self {
            clock,
            wire,
            kms: Kms::new(aws.kms()),
            engines,
        }
    }

    /// A new key for secrets or fields.
    pub fn symmetric_key(&self) -> String {
        self.engines.keys().make_encryption_key()
    }

    /// A new RSA key for signatures, and its public key as DER.
    pub fn signing_key(&self) -> (String, Vec<u8>) {
        self.engines.keys().make_signing_key()
    }

    /// An operator disables the key.
    pub fn disable(&self, key_id: &str) {
        self.engines.keys().disable(key_id);
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
