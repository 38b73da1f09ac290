//! The table as the source of the keys that calls of WeChat Pay need.

use std::sync::Arc;

use runtime::{
    call_keys::{CallKeys, KeySource, KeysFuture, KeysUnavailable},
    signer::{MerchantSigner, SignWith},
};
use wechatpay::{FieldKey, resource::ApiV3Key, verify::VerificationKeys};

use super::{KeysTable, error::KeysError, merchant_keys::MerchantKeys};

impl KeySource for KeysTable {
    fn current(&self) -> KeysFuture<'_, Arc<dyn CallKeys>> {
        Box::pin(async { as_call_keys(self.merchant().await) })
    }

    fn refreshed<'a>(&'a self, serial: &'a str) -> KeysFuture<'a, Arc<dyn CallKeys>> {
        Box::pin(async move { as_call_keys(self.refresh_merchant(serial).await) })
    }
}

impl CallKeys for MerchantKeys {
    fn verification(&self) -> &VerificationKeys {
        &self.verification
    }

    fn response_serial(&self) -> &str {
        &self.response_serial
    }

    fn field_key(&self) -> Result<FieldKey, KeysUnavailable> {
        Self::field_key(self).map_err(unavailable)
    }

    fn apiv3(&self) -> KeysFuture<'_, &[ApiV3Key]> {
        Box::pin(async { Self::apiv3(self).await.map_err(unavailable) })
    }

    fn signer<'a>(&'a self, with: &'a SignWith) -> KeysFuture<'a, MerchantSigner> {
        Box::pin(async move { Self::signer(self, with).await.map_err(unavailable) })
    }
}

fn as_call_keys(
    read: Result<Arc<MerchantKeys>, KeysError>,
) -> Result<Arc<dyn CallKeys>, KeysUnavailable> {
    match read {
        Ok(keys) => Ok(keys),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(error: KeysError) -> KeysUnavailable {
    let is_transient = error.is_transient();
    KeysUnavailable::new(error, is_transient)
}
