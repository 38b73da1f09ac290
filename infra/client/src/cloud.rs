//! The AWS account that a command works in.

use adapters::aws::{Aws, AwsSettings};
use adapters::clock::Clock;
use adapters::env::{ProcessEnv, Reader, SettingsError};

/// Clients for the account that the environment names.
pub(crate) fn connect(clock: &Clock) -> Result<Aws, SettingsError> {
    Ok(Aws::new(&settings()?, clock))
}

/// The account that the environment names.
pub(crate) fn settings() -> Result<AwsSettings, SettingsError> {
    let mut reader = Reader::new(&ProcessEnv);
    let settings = AwsSettings::read(&mut reader);
    reader.finish(|| settings)
}
