//! Settings of `notify-operators` from its environment.

use flows::{sandbox::FunctionSettings, settings::webhook_reach};
use runtime::{aws::AwsSettings, env::SettingsReader, net::Reach};
use stores::settings::{KeysSettings, guards_table, mchid, notifications_url};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    pub keys: KeysSettings,
    /// The merchant number.
    pub mchid: String,
    /// `GUARDS_TABLE`.
    pub guards_table: String,
    /// `NOTIFICATIONS_QUEUE_URL`.
    pub notifications_url: String,
    /// `OPERATORS_TOPIC_ARN`, if there is one: the topic of channels of the kind `sns`.
    pub operators_topic: Option<String>,
    /// `WEBHOOK_ALLOW_LOOPBACK`: whether channels may be on this very machine.
    pub reach: Reach,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let mchid = mchid(reader);
        let guards_table = guards_table(reader);
        let notifications_url = notifications_url(reader);
        let operators_topic = reader.optional("OPERATORS_TOPIC_ARN");
        let reach = webhook_reach(reader, aws);
        Some(Self {
            keys: keys?,
            mchid: mchid?,
            guards_table: guards_table?,
            notifications_url: notifications_url?,
            operators_topic,
            reach: reach?,
        })
    }
}
