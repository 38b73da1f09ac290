//! The merchant as the stack's functions have it: its settings, its keys, and calls to WeChat Pay.

use std::error::Error;
use std::time::Duration;

use runtime::aws::Aws;
use runtime::clock::Clock;
use runtime::env::{SettingsError, SettingsReader};
use runtime::kms::Kms;
use runtime::random::Random;
use runtime::signer::SignWith;
use stores::keys_table::KeysTable;
use stores::notices::Notices;
use wechat_client::api::{WechatApi, WechatSettings};

use crate::doctor::stack::Stack;

/// WeChat Pay counts 5 s as no answer itself.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(5);

/// The merchant as the functions have it.
pub(crate) struct Merchant<'a> {
    pub(super) stack: &'a Stack,
    pub(super) keys: KeysTable,
    pub(super) notices: Notices,
    pub(super) api: WechatApi,
    pub(super) sign_with: SignWith,
    pub(super) kms: Kms,
    pub(super) clock: Clock,
    pub(super) random: Random,
}

impl<'a> Merchant<'a> {
    pub(crate) fn of(stack: &'a Stack, aws: &Aws, clock: &Clock) -> Result<Self, Box<dyn Error>> {
        let settings = settings(stack)?;
        let mchid = stack.parameter("Mchid");
        let keys = KeysTable::new(
            aws.dynamodb(),
            stack.output("KeysTableName"),
            mchid,
            Kms::new(aws.kms()),
            stack.output("SecretsKeyId"),
            clock.clone(),
        );
        Ok(Self {
            stack,
            notices: Notices::new(aws.dynamodb(), stack.output("NoticesTableName"), mchid),
            sign_with: settings.sign_with.clone(),
            api: WechatApi::new(
                settings,
                mchid,
                keys.clone(),
                clock.clone(),
                Random::system(),
            ),
            keys,
            kms: Kms::new(aws.kms()),
            clock: clock.clone(),
            random: Random::system(),
        })
    }
}

/// `kms` where the stack's template has no such parameter.
fn signer(stack: &Stack) -> &str {
    match stack.parameter("MerchantSigner") {
        "" => "kms",
        signer => signer,
    }
}

/// The settings of calls to WeChat Pay, as the stack's functions have them.
fn settings(stack: &Stack) -> Result<WechatSettings, SettingsError> {
    let vars = std::collections::BTreeMap::from([
        ("WECHATPAY_BASE_URL", stack.parameter("WechatpayBaseUrl")),
        (
            "WECHATPAY_BACKUP_URL",
            stack.parameter("WechatpayBackupUrl"),
        ),
        ("MERCHANT_SIGNER", signer(stack)),
        (
            "MERCHANT_SIGNING_KEY_ID",
            stack.output("MerchantSigningKeyId"),
        ),
    ]);
    let mut reader = SettingsReader::new(&vars);
    let settings = WechatSettings::read(&mut reader);
    reader.finish(|| settings)
}

/// Who signs for the merchant.
pub(crate) fn sign_with(stack: &Stack) -> Result<SignWith, SettingsError> {
    Ok(settings(stack)?.sign_with)
}
