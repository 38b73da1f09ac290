//! Settings of `create-order` from its environment.

use std::time::Duration;

use flows::{
    sandbox::FunctionSettings,
    settings::{CoreSettings, appids, client_requests_per_s},
};
use runtime::{aws::AwsSettings, env::SettingsReader};
use stores::settings::fields_key_id;

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tables, queue, keys and WeChat Pay.
    pub core: CoreSettings,
    /// `WECHATPAY_APPIDS`: the appids that orders may be made for, the default first.
    pub appids: Vec<String>,
    /// `FIELDS_KEY_ID`: the KMS key of stored personal fields.
    pub fields_key_id: String,
    /// `CLIENT_REQUESTS_PER_S`: how many requests a second each client's key may send.
    pub client_requests_per_s: u32,
    /// `PREPAY_BUDGET_MS`: how long WeChat Pay may take before an order goes to the queue.
    pub prepay_budget: Duration,
}

impl FunctionSettings for Settings {
    fn read(reader: &mut SettingsReader<'_>, _: Option<&AwsSettings>) -> Option<Self> {
        let core = CoreSettings::read(reader);
        let appids = appids(reader);
        let fields_key_id = fields_key_id(reader);
        let client_requests_per_s = client_requests_per_s(reader);
        let prepay_budget = reader.parsed_or(
            "PREPAY_BUDGET_MS",
            "500 to 9000 milliseconds",
            Duration::from_millis(4500),
            |text| {
                let ms = text.parse().ok().filter(|ms| (500..=9000).contains(ms))?;
                Some(Duration::from_millis(ms))
            },
        );
        Some(Self {
            core: core?,
            appids: appids?,
            fields_key_id: fields_key_id?,
            client_requests_per_s: client_requests_per_s?,
            prepay_budget: prepay_budget?,
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
    fn everything_that_is_missing_is_named_at_once() {
        let error = read(&BTreeMap::<String, String>::new()).unwrap_err();
        for name in [
            "AWS_REGION",
            "KEYS_TABLE",
            "SECRETS_KEY_ID",
            "MERCHANT_SIGNER",
            "WECHATPAY_MCHID",
            "WECHATPAY_APPIDS",
            "NOTIFY_URL",
            "ORDERS_TABLE",
            "GUARDS_TABLE",
            "NOTICES_TABLE",
            "FIELDS_KEY_ID",
            "PAYMENT_REQUESTS_QUEUE_URL",
        ] {
            assert!(error.names().contains(&name), "{name} in {error}");
        }
    }
}
