//! Settings of `send-webhook` from its environment.

use flows::{sandbox::FunctionSettings, settings::webhook_reach};
use runtime::{aws::AwsSettings, env::SettingsReader, net::Reach};
use stores::settings::{KeysSettings, mchid, undelivered_events_table, webhooks_url};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    pub keys: KeysSettings,
    /// The merchant number.
    pub mchid: String,
    /// `WEBHOOKS_QUEUE_URL`.
    pub webhooks_url: String,
    /// `UNDELIVERED_EVENTS_TABLE`.
    pub undelivered_events_table: String,
    /// `WEBHOOK_ALLOW_LOOPBACK`: whether receivers may be on this very machine.
    pub reach: Reach,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let mchid = mchid(reader);
        let webhooks_url = webhooks_url(reader);
        let undelivered_events_table = undelivered_events_table(reader);
        let reach = webhook_reach(reader, aws);
        Some(Self {
            keys: keys?,
            mchid: mchid?,
            webhooks_url: webhooks_url?,
            undelivered_events_table: undelivered_events_table?,
            reach: reach?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runtime::env::{SettingsError, Vars};

    use super::*;

    fn read(vars: &dyn Vars) -> Result<Settings, SettingsError> {
        flows::sandbox::read(vars).map(|(_, settings)| settings)
    }

    #[test]
    fn webhooks_reach_this_machine_only_where_all_of_aws_is_on_it() {
        let mut vars = BTreeMap::from([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("KEYS_TABLE", "keys"),
            ("SECRETS_KEY_ID", "key"),
            ("WECHATPAY_MCHID", "1900000001"),
            ("WEBHOOKS_QUEUE_URL", "https://sqs.example/q"),
            ("UNDELIVERED_EVENTS_TABLE", "undelivered-events"),
        ]);
        assert_eq!(read(&vars).unwrap().reach, Reach::Public);
        vars.insert("WEBHOOK_ALLOW_LOOPBACK", "true");
        for elsewhere in ["", "http://10.0.0.7:4566", "https://127.0.0.1.example.com"] {
            vars.insert("AWS_ENDPOINT_URL", elsewhere);
            let error = read(&vars).unwrap_err();
            assert_eq!(error.names(), ["WEBHOOK_ALLOW_LOOPBACK"], "{elsewhere}");
        }
        vars.insert("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
        let reach = read(&vars).unwrap().reach;
        assert_eq!(reach, Reach::PublicAndLoopback);
    }
}
