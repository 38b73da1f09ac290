//! The AWS account that a command works in.

use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::env::{ProcessEnv, SettingsError, SettingsReader};

/// Clients for the account that the environment names.
pub(crate) fn connect(clock: &Clock) -> Result<Aws, SettingsError> {
    Ok(Aws::new(&settings()?, clock))
}

/// The account that the environment names.
pub(crate) fn settings() -> Result<AwsSettings, SettingsError> {
    let mut reader = SettingsReader::new(&ProcessEnv);
    let settings = AwsSettings::read(&mut reader);
    reader.finish(|| settings)
}
