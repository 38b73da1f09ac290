//! Settings of `manage-order` from its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{CoreSettings, undelivered_events_table},
};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `WEBHOOKS_QUEUE_URL`.
    pub webhooks_url: String,
    /// `UNDELIVERED_EVENTS_TABLE`.
    pub undelivered_events_table: String,
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
        let webhooks_url = reader.required("WEBHOOKS_QUEUE_URL", "the URL of the queue webhooks");
        let undelivered_events_table = undelivered_events_table(&mut reader);
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                core: core?,
                webhooks_url: webhooks_url?,
                undelivered_events_table: undelivered_events_table?,
            })
        })
    }
}
