//! Settings of `manage-order` from its environment.

use flows::{
    sandbox::FunctionSettings,
    settings::{CoreSettings, client_requests_per_s},
};
use runtime::{aws::AwsSettings, env::SettingsReader};
use stores::settings::{undelivered_events_table, webhooks_url};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `CLIENT_REQUESTS_PER_S`: how many requests a second each client's key may send.
    pub client_requests_per_s: u32,
    /// `WEBHOOKS_QUEUE_URL`.
    pub webhooks_url: String,
    /// `UNDELIVERED_EVENTS_TABLE`.
    pub undelivered_events_table: String,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, _: Option<&AwsSettings>) -> Option<Self> {
        let core = CoreSettings::read(reader);
        let client_requests_per_s = client_requests_per_s(reader);
        let webhooks_url = webhooks_url(reader);
        let undelivered_events_table = undelivered_events_table(reader);
        Some(Self {
            core: core?,
            client_requests_per_s: client_requests_per_s?,
            webhooks_url: webhooks_url?,
            undelivered_events_table: undelivered_events_table?,
        })
    }
}
