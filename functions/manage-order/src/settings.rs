//! What `manage-order` is told by its environment.

use adapters::{
    aws::AwsSettings,
    env::{Reader, SettingsError, Vars},
    settings::{KeysSettings, mchid},
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
    /// `ORDERS_TABLE`.
    pub orders_table: String,
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
        let orders_table = reader.required("ORDERS_TABLE", "the name of the orders table");
        reader.finish(|| {
            Some(Self {
                aws: aws?,
                keys: keys?,
                mchid: mchid?,
                orders_table: orders_table?,
            })
        })
    }
}
