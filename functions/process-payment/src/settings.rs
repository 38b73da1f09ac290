//! Settings of `process-payment` from its environment.

use flows::{sandbox::FunctionSettings, settings::CoreSettings};
use runtime::{aws::AwsSettings, env::SettingsReader};
use stores::settings::{fields_key_id, payment_results_url};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `FIELDS_KEY_ID`: the KMS key of stored personal fields.
    pub fields_key_id: String,
    /// `PAYMENT_RESULTS_QUEUE_URL`.
    pub payment_results_url: String,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, _: Option<&AwsSettings>) -> Option<Self> {
        let core = CoreSettings::read(reader);
        let fields_key_id = fields_key_id(reader);
        let payment_results_url = payment_results_url(reader);
        Some(Self {
            core: core?,
            fields_key_id: fields_key_id?,
            payment_results_url: payment_results_url?,
        })
    }
}
