//! Settings of `receive-callback` from its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{KeysSettings, mchid},
};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// The keys.
    pub keys: KeysSettings,
    /// The merchant number.
    pub mchid: String,
    /// `GUARDS_TABLE`.
    pub guards_table: String,
    /// `PAYMENT_RESULTS_QUEUE_URL`.
    pub payment_results_url: String,
}

impl Settings {
    /// Reads them all.
    ///
    /// # Errors
    /// [`SettingsError`] names everything that is missing or malformed.
    pub fn read(vars: &dyn Vars) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(vars);
        let aws = AwsSettings::read(&mut reader);
        let keys = KeysSettings::read(&mut reader);
        let mchid = mchid(&mut reader);
        let guards_table = reader.required("GUARDS_TABLE", "the name of the guards table");
        let payment_results_url = reader.required(
            "PAYMENT_RESULTS_QUEUE_URL",
            "the URL of the queue payment-results",
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                keys: keys?,
                mchid: mchid?,
                guards_table: guards_table?,
                payment_results_url: payment_results_url?,
            })
        })
    }
}
