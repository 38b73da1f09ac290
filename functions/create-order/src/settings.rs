//! What `create-order` is told by its environment.

use std::time::Duration;

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{KeysSettings, WechatSettings, merchant},
};
use payments::create::Merchant;

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// The keys.
    pub keys: KeysSettings,
    /// WeChat Pay.
    pub wechat: WechatSettings,
    /// What goes into every order.
    pub merchant: Merchant,
    /// `ORDERS_TABLE`.
    pub orders_table: String,
    /// `GUARDS_TABLE`.
    pub guards_table: String,
    /// `FIELDS_KEY_ID`: the KMS key of stored personal fields.
    pub fields_key_id: String,
    /// `PAYMENT_REQUESTS_QUEUE_URL`.
    pub payment_requests_url: String,
    /// `PREPAY_BUDGET_MS`: how long WeChat Pay may take before an order goes to the queue.
    pub prepay_budget: Duration,
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
        let wechat = WechatSettings::read(&mut reader);
        let merchant = merchant(&mut reader);
        let orders_table = reader.required("ORDERS_TABLE", "the name of the orders table");
        let guards_table = reader.required("GUARDS_TABLE", "the name of the guards table");
        let fields_key_id = reader.required(
            "FIELDS_KEY_ID",
            "the id or ARN of the KMS key that seals personal fields",
        );
        let payment_requests_url = reader.required(
            "PAYMENT_REQUESTS_QUEUE_URL",
            "the URL of the queue payment-requests",
        );
        let prepay_budget = reader.parsed_or(
            "PREPAY_BUDGET_MS",
            "500 to 9000 milliseconds",
            Duration::from_millis(4500),
            |text| {
                let ms = text.parse().ok().filter(|ms| (500..=9000).contains(ms))?;
                Some(Duration::from_millis(ms))
            },
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                keys: keys?,
                wechat: wechat?,
                merchant: merchant?,
                orders_table: orders_table?,
                guards_table: guards_table?,
                fields_key_id: fields_key_id?,
                payment_requests_url: payment_requests_url?,
                prepay_budget: prepay_budget?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = Settings::read(&BTreeMap::<String, String>::new()).unwrap_err();
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
            "FIELDS_KEY_ID",
            "PAYMENT_REQUESTS_QUEUE_URL",
        ] {
            assert!(error.names().contains(&name), "{name} in {error}");
        }
    }
}
