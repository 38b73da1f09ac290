//! Settings of `process-payment` from its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{CoreSettings, fields_key_id},
};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `FIELDS_KEY_ID`: the KMS key of stored personal fields.
    pub fields_key_id: String,
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
        let core = CoreSettings::read(&mut reader);
        let fields_key_id = fields_key_id(&mut reader);
        let payment_results_url = reader.required(
            "PAYMENT_RESULTS_QUEUE_URL",
            "the URL of the queue payment-results",
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                core: core?,
                fields_key_id: fields_key_id?,
                payment_results_url: payment_results_url?,
            })
        })
    }
}
