//! What a payer needs to pay.

use serde::{Deserialize, Serialize};
use strict_json::{Null, Object, Wrong};
use wechatpay::{
    UnixSeconds,
    api::PrepayValue,
    pay::{AppParams, JsapiParams, MiniProgramParams},
};

use super::product::Product;

/// What a payer needs to pay, and until when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prepay {
    /// What the client passes to the payer's device.
    #[serde(flatten)]
    pub params: PayParams,
    /// When WeChat Pay stops accepting it (Unix seconds).
    pub expires_at: UnixSeconds,
}

impl Prepay {
    /// Subtracted from a prepay value's life, so that a value still works when the payer uses it.
    const MARGIN_S: i64 = 30;

    /// Reads it as it is stored.
    ///
    /// # Errors
    /// [`Wrong`] when it is something else.
    pub fn stored(text: &str) -> Result<Self, Wrong> {
        let mut members = Object::read(text.as_bytes(), Null::Absent)?;
        let expires_at = members.take("expires_at")?;
        Ok(Self {
            params: members.rest()?,
            expires_at,
        })
    }

    /// A value received at `now`. It expires with the order if it lives as long, else some time
    /// before its own end.
    pub fn issued(
        params: PayParams,
        product: Product,
        now: UnixSeconds,
        order_expires_at: UnixSeconds,
    ) -> Self {
        let life_ends = now.plus_s(product.at_wechat().value_life_s());
        let expires_at = if life_ends >= order_expires_at {
            order_expires_at
        } else {
            life_ends.plus_s(-Self::MARGIN_S)
        };
        Self { params, expires_at }
    }
}

/// The data that starts the payment on the payer's device, by product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayParams {
    /// Native: the text to draw as a QR code.
    CodeUrl(String),
    /// H5: the page to open.
    H5Url(String),
    /// JSAPI: for `getBrandWCPayRequest`, signed.
    Jsapi(JsapiParams),
    /// Mini program: for `wx.requestPayment`, signed.
    MiniProgram(MiniProgramParams),
    /// APP: for `PayReq`, signed.
    App(AppParams),
}

/// What WeChat Pay's answer still needs before a payer can use it.
#[derive(Clone, Debug, PartialEq)]
pub enum PrepayDelivery {
    /// Nothing: pass it on as received.
    AsIs(PayParams),
    /// The merchant's second signature over this `prepay_id`.
    Sign(String),
}

/// WeChat Pay answered one product's call with another product's value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("WeChat Pay answered a {0} order with another product's value")]
pub struct WrongValue(pub &'static str);

/// The value that the payer can use, or what must be signed first.
///
/// # Errors
/// If the value is not of the product's kind.
pub fn prepay_delivery(product: Product, value: PrepayValue) -> Result<PrepayDelivery, WrongValue> {
    match (product, value) {
        (Product::Native, PrepayValue::CodeUrl(url)) => {
            Ok(PrepayDelivery::AsIs(PayParams::CodeUrl(url)))
        }
        (Product::H5, PrepayValue::H5Url(url)) => Ok(PrepayDelivery::AsIs(PayParams::H5Url(url))),
        (Product::Jsapi | Product::MiniProgram | Product::App, PrepayValue::PrepayId(id)) => {
            Ok(PrepayDelivery::Sign(id))
        }
        (Product::Native, PrepayValue::PrepayId(_) | PrepayValue::H5Url(_))
        | (Product::H5, PrepayValue::PrepayId(_) | PrepayValue::CodeUrl(_))
        | (
            Product::Jsapi | Product::MiniProgram | Product::App,
            PrepayValue::CodeUrl(_) | PrepayValue::H5Url(_),
        ) => Err(WrongValue(product.name())),
    }
}
