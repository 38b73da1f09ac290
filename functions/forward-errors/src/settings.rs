//! Settings of `forward-errors` from its environment.

use flows::{sandbox::FunctionSettings, settings::webhook_reach};
use runtime::{aws::AwsSettings, env::SettingsReader, net::Reach};
use stores::settings::{KeysSettings, forward_errors_dlq_url, mchid};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    pub keys: KeysSettings,
    /// The merchant number.
    pub mchid: String,
    /// `FORWARD_ERRORS_DLQ_URL`.
    pub dlq_url: String,
    /// `METRICS_NAMESPACE`, which is the stack's name: log groups begin with it.
    pub stack: String,
    /// `AWS_LAMBDA_LOG_GROUP_NAME`, which Lambda sets: what comes from there is not forwarded.
    pub own_log_group: Option<String>,
    /// `WEBHOOK_ALLOW_LOOPBACK`: whether sinks may be on this very machine.
    pub reach: Reach,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, aws: Option<&AwsSettings>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let mchid = mchid(reader);
        let dlq_url = forward_errors_dlq_url(reader);
        let stack = reader.required("METRICS_NAMESPACE", "the stack's name");
        let own_log_group = reader.optional("AWS_LAMBDA_LOG_GROUP_NAME");
        let reach = webhook_reach(reader, aws);
        Some(Self {
            keys: keys?,
            mchid: mchid?,
            dlq_url: dlq_url?,
            stack: stack?,
            own_log_group,
            reach: reach?,
        })
    }
}
