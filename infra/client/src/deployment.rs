//! The deployment whose keys the `setup` commands read and write.

use std::error::Error;

use runtime::clock::Clock;
use runtime::kms::Kms;
use stores::keys_table::KeysTable;

use crate::args::{Args, UsageError};
use crate::cloud::{Account, PROFILE};

/// Which deployment: options of every `setup` command.
pub(crate) const DEPLOYMENT: [&str; 4] = ["mchid", "keys-table", "secrets-key-id", PROFILE];

/// The KMS key that signs for the merchant.
pub(crate) const SIGNING_KEY: &str = "signing-key-id";

/// The same by the name that functions have it under.
pub(crate) const SIGNING_KEY_VARIABLE: &str = "MERCHANT_SIGNING_KEY_ID";

/// The KMS key that signs, if one is named. Its certificate is registered under this name, so it is
/// one that functions know the key by.
pub(crate) fn optional_signing_key(args: &mut Args) -> Result<Option<String>, UsageError> {
    match args.optional_setting(SIGNING_KEY, SIGNING_KEY_VARIABLE)? {
        Some(given) if given.starts_with("alias/") || given.contains(":alias/") => {
            Err(UsageError::Value {
                name: SIGNING_KEY,
                expected: "takes the id or the ARN of a key, since functions know no alias",
                given,
            })
        }
        other => Ok(other),
    }
}

/// The same, if one is needed.
pub(crate) fn signing_key(args: &mut Args) -> Result<String, UsageError> {
    optional_signing_key(args)?.ok_or_else(|| {
        let what = format!("--{SIGNING_KEY} (or the variable {SIGNING_KEY_VARIABLE})");
        UsageError::Missing(what)
    })
}

/// What KMS refuses with while a key has no material.
pub(crate) const NO_MATERIAL: &str = "KMSInvalidStateException";

/// Why a KMS key does nothing yet.
pub(crate) fn waits_for_its_import(key: &str) -> String {
    format!(
        "{key} waits for its private key, which has a certificate already: `cargo client keys import \
         --merchant-key-file FILE --merchant-certificate-file FILE` gives it and registers the certificate"
    )
}

/// The account's key service.
pub(crate) async fn key_service(account: &Account) -> Result<Kms, Box<dyn Error>> {
    Ok(Kms::new(account.connect(&Clock::system()).await?.kms()))
}

/// The deployment that a command line, or the environment, names.
pub(crate) struct Deployment {
    pub(crate) mchid: String,
    pub(crate) account: Account,
    table: String,
    secrets_key_id: String,
}

impl Deployment {
    /// Each option, or the variable by which the functions have it.
    pub(crate) fn read(args: &mut Args) -> Result<Self, UsageError> {
        Ok(Self {
            mchid: args.setting("mchid", "WECHATPAY_MCHID")?,
            account: Account::named(args)?,
            table: args.setting("keys-table", "KEYS_TABLE")?,
            secrets_key_id: args.setting("secrets-key-id", "SECRETS_KEY_ID")?,
        })
    }

    /// Its keys.
    pub(crate) async fn keys_table(&self) -> Result<KeysTable, Box<dyn Error>> {
        let clock = Clock::system();
        let aws = self.account.connect(&clock).await?;
        Ok(KeysTable::new(
            aws.dynamodb(),
            &self.table,
            &self.mchid,
            Kms::new(aws.kms()),
            &self.secrets_key_id,
            clock,
        ))
    }
}
