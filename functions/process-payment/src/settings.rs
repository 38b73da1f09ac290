//! What `process-payment` is told by its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{KeysSettings, WechatSettings, mchid},
};

/// The settings, read once per sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// The keys.
    pub keys: KeysSettings,
    /// WeChat Pay.
    pub wechat: WechatSettings,
    /// The merchant number.
    pub mchid: String,
    /// `ORDERS_TABLE`.
    pub orders_table: String,
    /// `FIELDS_KEY_ID`: the KMS key of stored personal fields.
    pub fields_key_id: String,
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
        let mchid = mchid(&mut reader);
        let orders_table = reader.required("ORDERS_TABLE", "the name of the orders table");
        let fields_key_id = reader.required(
            "FIELDS_KEY_ID",
            "the id or ARN of the KMS key that seals personal fields",
        );
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                keys: keys?,
                wechat: wechat?,
                mchid: mchid?,
                orders_table: orders_table?,
                fields_key_id: fields_key_id?,
            })
        })
    }
}
