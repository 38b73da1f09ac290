//! The second signature: what the client (web page, mini program, app) needs to start a payment.
//!
//! Signed with the same merchant key as the order. JSAPI and mini programs sign `prepay_id=wx...`,
//! apps sign the bare `wx...`: mixing these up is the classic mistake (manual pages 4012365339,
//! 4012365340, 4012365341). H5 and Native need no second signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::sign::{SignError, Signer};
use crate::time::UnixSeconds;

/// The only `signType` of APIv3.
const SIGN_TYPE: &str = "RSA";
/// The fixed `packageValue` of apps.
const APP_PACKAGE: &str = "Sign=WXPay";

/// The argument of `WeixinJSBridge.invoke('getBrandWCPayRequest', ...)` (page 4012791857).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsapiParams {
    /// The official account's appid, the one of the order.
    pub app_id: String,
    /// Seconds since 1970, as text.
    pub time_stamp: String,
    /// The nonce that was signed, up to 32 characters.
    pub nonce_str: String,
    /// `prepay_id=wx...`
    pub package: String,
    /// `RSA`
    pub sign_type: String,
    /// The signature, Base64.
    pub pay_sign: String,
}

/// The argument of `wx.requestPayment(...)` (page 4012791898): as for JSAPI, without the appid,
/// which is signed all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MiniProgramParams {
    /// Seconds since 1970, as text.
    pub time_stamp: String,
    /// The nonce that was signed, up to 32 characters.
    pub nonce_str: String,
    /// `prepay_id=wx...`
    pub package: String,
    /// `RSA`
    pub sign_type: String,
    /// The signature, Base64.
    pub pay_sign: String,
}

/// The fields of a `PayReq` of the app SDKs (page 4013070351). iOS calls `package_value` `package`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppParams {
    /// The mobile app's appid, the one of the order.
    pub app_id: String,
    /// The merchant number.
    pub partner_id: String,
    /// `wx...`
    pub prepay_id: String,
    /// `Sign=WXPay`
    pub package_value: String,
    /// The nonce that was signed, up to 32 characters.
    pub nonce_str: String,
    /// Seconds since 1970, ten digits.
    pub time_stamp: String,
    /// The signature, Base64.
    pub sign: String,
}

/// Signs a JSAPI payment.
///
/// # Errors
/// [`SignError`] when the signer fails.
pub async fn jsapi(
    signer: &impl Signer,
    appid: &str,
    prepay_id: &str,
    at: UnixSeconds,
    nonce: &str,
) -> Result<JsapiParams, SignError> {
    let package = format!("prepay_id={prepay_id}");
    let pay_sign = signature(signer, appid, at, nonce, &package).await?;
    Ok(JsapiParams {
        app_id: appid.to_owned(),
        time_stamp: at.0.to_string(),
        nonce_str: nonce.to_owned(),
        package,
        sign_type: SIGN_TYPE.to_owned(),
        pay_sign,
    })
}

/// Signs a mini program's payment.
///
/// # Errors
/// [`SignError`] when the signer fails.
pub async fn mini_program(
    signer: &impl Signer,
    appid: &str,
    prepay_id: &str,
    at: UnixSeconds,
    nonce: &str,
) -> Result<MiniProgramParams, SignError> {
    let JsapiParams {
        app_id: _,
        time_stamp,
        nonce_str,
        package,
        sign_type,
        pay_sign,
    } = jsapi(signer, appid, prepay_id, at, nonce).await?;
    Ok(MiniProgramParams {
        time_stamp,
        nonce_str,
        package,
        sign_type,
        pay_sign,
    })
}

/// Signs an app's payment.
///
/// # Errors
/// [`SignError`] when the signer fails.
pub async fn app(
    signer: &impl Signer,
    appid: &str,
    mchid: &str,
    prepay_id: &str,
    at: UnixSeconds,
    nonce: &str,
) -> Result<AppParams, SignError> {
    let sign = signature(signer, appid, at, nonce, prepay_id).await?;
    Ok(AppParams {
        app_id: appid.to_owned(),
        partner_id: mchid.to_owned(),
        prepay_id: prepay_id.to_owned(),
        package_value: APP_PACKAGE.to_owned(),
        nonce_str: nonce.to_owned(),
        time_stamp: at.0.to_string(),
        sign,
    })
}

async fn signature(
    signer: &impl Signer,
    appid: &str,
    at: UnixSeconds,
    nonce: &str,
    package: &str,
) -> Result<String, SignError> {
    let text = canonical::payment(appid, at, nonce, package);
    Ok(BASE64.encode(signer.sign(&text).await?))
}
