//! What `send-webhook` is told by its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{KeysSettings, mchid},
    webhook_http::Reach,
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
    /// `WEBHOOKS_QUEUE_URL`.
    pub webhooks_url: String,
    /// `WEBHOOK_ALLOW_LOOPBACK`: whether receivers may be on this very machine.
    pub reach: Reach,
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
        let webhooks_url = reader.required("WEBHOOKS_QUEUE_URL", "the URL of the queue webhooks");
        let reach = reader.parsed_or(
            "WEBHOOK_ALLOW_LOOPBACK",
            "`true` on a local stack, else `false`",
            Reach::Public,
            |word| match word {
                "true" => Some(Reach::PublicAndLoopback),
                "false" => Some(Reach::Public),
                _ => None,
            },
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                keys: keys?,
                mchid: mchid?,
                webhooks_url: webhooks_url?,
                reach: reach?,
            })
        })
    }
}
