//! Settings of `receive-callback` from its environment.

use flows::sandbox::FunctionSettings;
use runtime::{aws::AwsSettings, env::SettingsReader};
use stores::settings::{KeysSettings, guards_table, mchid, payment_results_url};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    pub keys: KeysSettings,
    /// The merchant number.
    pub mchid: String,
    /// `GUARDS_TABLE`.
    pub guards_table: String,
    /// `PAYMENT_RESULTS_QUEUE_URL`.
    pub payment_results_url: String,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, _: Option<&AwsSettings>) -> Option<Self> {
        let keys = KeysSettings::read(reader);
        let mchid = mchid(reader);
        let guards_table = guards_table(reader);
        let payment_results_url = payment_results_url(reader);
        Some(Self {
            keys: keys?,
            mchid: mchid?,
            guards_table: guards_table?,
            payment_results_url: payment_results_url?,
        })
    }
}
