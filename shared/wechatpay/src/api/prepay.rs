//! Creating an order (manual pages 4012791856 JSAPI, 4013070347 APP, 4012791834 H5, 4012791877
//! Native).
//!
//! To renew an expired prepay value send the *identical* parameters again; changed ones are
//! refused. So keep the bytes of [`PrepayCall::body`] and send them again with
//! [`PrepayCall::stored`].

use serde::{Deserialize, Serialize};

use super::call::{Call, UnreadableAnswer, read_json, write_json};
use super::interface::Interface;
use crate::loose;
use crate::outgoing::Outgoing;
use crate::wire::Payer;

/// How the user pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepayProduct {
    /// In a page inside WeChat, or in a mini program. Prepay value: `prepay_id`, 2 hours.
    Jsapi,
    /// In a mobile app. `prepay_id`, 2 hours.
    App,
    /// In a browser outside WeChat. `h5_url`, 5 minutes.
    H5,
    /// By scanning a QR code. `code_url`, 2 hours.
    Native,
}

impl PrepayProduct {
    /// Where an order of this product is created.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Jsapi => "/v3/pay/transactions/jsapi",
            Self::App => "/v3/pay/transactions/app",
            Self::H5 => "/v3/pay/transactions/h5",
            Self::Native => "/v3/pay/transactions/native",
        }
    }

    /// How long a prepay value lives, in seconds.
    #[must_use]
    pub fn value_life_s(self) -> i64 {
        match self {
            Self::Jsapi | Self::App | Self::Native => 2 * 60 * 60,
            Self::H5 => 5 * 60,
        }
    }
}

/// The body of an order. Lengths are in characters. Absent fields are left out, since `null` is
/// refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepayBody {
    /// To 32; bound to `mchid`, and of the product's kind.
    pub appid: String,
    /// To 32; the one in `Authorization`.
    pub mchid: String,
    /// To 127; shown in the user's bill.
    pub description: String,
    /// 6 to 32 of digits, letters, `_`, `-`, `*` and `|`; unique per merchant.
    pub out_trade_no: String,
    /// RFC 3339; the last moment of payment. 1 minute to 15 days after the order, 7 days if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_expire: Option<String>,
    /// Up to 128; returned in queries, callbacks and bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// To 255; an absolute https URL without query.
    pub notify_url: String,
    /// To 32; a marker for coupons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goods_tag: Option<String>,
    /// Whether the entry for an invoice is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_fapiao: Option<bool>,
    /// How much.
    pub amount: PrepayAmount,
    /// Who pays; required for JSAPI, absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
    /// What is bought; to 6144 bytes as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<OrderDetail>,
    /// Where; required for H5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene_info: Option<PrepaySceneInfo>,
    /// Whether the money is frozen for profit sharing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_info: Option<SettleInfo>,
}

/// The amount of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepayAmount {
    /// Fen, at least 1.
    pub total: i64,
    /// `CNY`, which is meant if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What is bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDetail {
    /// Fen; another than the total disables discounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_price: Option<i64>,
    /// To 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<String>,
    /// At least one, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goods_detail: Vec<GoodsDetail>,
}

/// One kind of goods of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsDetail {
    /// To 32 of `[0-9A-Za-z_-]`.
    pub merchant_goods_id: String,
    /// To 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wechatpay_goods_id: Option<String>,
    /// To 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goods_name: Option<String>,
    /// How many.
    pub quantity: i64,
    /// The price of one after discounts, in fen.
    pub unit_price: i64,
}

/// Where an order is paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepaySceneInfo {
    /// The user's IPv4 or IPv6 address; H5 refuses 127.0.0.1.
    pub payer_client_ip: String,
    /// To 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_info: Option<StoreInfo>,
    /// The browser; required for H5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h5_info: Option<H5Info>,
}

/// A shop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreInfo {
    /// To 32.
    pub id: String,
    /// To 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// To 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_code: Option<String>,
    /// To 512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The browser of an H5 payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct H5Info {
    /// `iOS`, `Android` or `Wap`.
    #[serde(rename = "type")]
    pub kind: String,
    /// To 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// To 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_url: Option<String>,
    /// To 128; iOS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_id: Option<String>,
    /// To 128; Android.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_name: Option<String>,
}

/// How the money is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleInfo {
    /// `true` freezes the money for sharing, for up to 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profit_sharing: Option<bool>,
}

/// Creates an order, or renews its prepay value.
#[derive(Clone, PartialEq, Eq)]
pub struct PrepayCall {
    product: PrepayProduct,
    body: Vec<u8>,
}

impl PrepayCall {
    /// A new order. The body is serialised here, once.
    #[must_use]
    pub fn new(product: PrepayProduct, body: &PrepayBody) -> Self {
        Self {
            product,
            body: write_json(body),
        }
    }

    /// An order that was sent before: these bytes go out again as they are.
    #[must_use]
    pub fn stored(product: PrepayProduct, body: Vec<u8>) -> Self {
        Self { product, body }
    }

    /// The bytes to store, to send the same order again.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl std::fmt::Debug for PrepayCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepay({:?}, {} bytes)", self.product, self.body.len())
    }
}

/// What the client needs to start paying. For `PrepayId` see [`crate::pay`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepayValue {
    /// JSAPI and APP: to be signed for the client.
    PrepayId(String),
    /// H5: to be opened from a page on the registered domain.
    H5Url(String),
    /// Native: to be shown as a QR code.
    CodeUrl(String),
}

/// An answer has one of these as a text. Its other members decide nothing.
#[derive(Deserialize)]
struct ValueOnTheWire {
    #[serde(default, deserialize_with = "loose::text")]
    prepay_id: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    h5_url: Option<String>,
    #[serde(default, deserialize_with = "loose::text")]
    code_url: Option<String>,
}

impl ValueOnTheWire {
    fn value(self) -> Option<PrepayValue> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        given(self.prepay_id)
            .map(PrepayValue::PrepayId)
            .or_else(|| given(self.h5_url).map(PrepayValue::H5Url))
            .or_else(|| given(self.code_url).map(PrepayValue::CodeUrl))
    }
}

impl Call for PrepayCall {
    type Answer = PrepayValue;

    fn interface(&self) -> Interface {
        match self.product {
            PrepayProduct::Jsapi => Interface::PrepayJsapi,
            PrepayProduct::App => Interface::PrepayApp,
            PrepayProduct::H5 => Interface::PrepayH5,
            PrepayProduct::Native => Interface::PrepayNative,
        }
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::post(self.product.path(), self.body.clone())
    }

    fn answer(status: u16, body: &[u8]) -> Result<PrepayValue, UnreadableAnswer> {
        let read: ValueOnTheWire = read_json(status, body)?;
        read.value().ok_or(UnreadableAnswer {
            status,
            line: 0,
            column: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_written_as_in_the_manual_and_absent_fields_are_left_out() {
        let body = PrepayBody {
            appid: "wxd678efh567hg6787".to_owned(),
            mchid: "1900007291".to_owned(),
            description: "Image形象店-深圳腾大-QQ公仔".to_owned(),
            out_trade_no: "1217752501201407033233368018".to_owned(),
            notify_url: "https://www.weixin.qq.com/wxpay/pay.php".to_owned(),
            amount: PrepayAmount {
                total: 100,
                currency: Some("CNY".to_owned()),
            },
            payer: Some(Payer {
                openid: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
            }),
            ..PrepayBody::default()
        };
        let outgoing = PrepayCall::new(PrepayProduct::Jsapi, &body).outgoing();
        assert_eq!(outgoing.path_and_query, "/v3/pay/transactions/jsapi");
        // Key order is irrelevant to WeChat; this is the text of the manual's second signing
        // example.
        let manual = include_bytes!("../../vectors/request-manual-post/body");
        assert_eq!(outgoing.body, manual);
    }

    #[test]
    fn all_fields_have_wechats_names() {
        let body = r#"{"appid":"a","mchid":"m","description":"d","out_trade_no":"o","time_expire":"t","attach":"x","notify_url":"u","goods_tag":"g","support_fapiao":true,"amount":{"total":1,"currency":"CNY"},"detail":{"cost_price":2,"invoice_id":"i","goods_detail":[{"merchant_goods_id":"1","wechatpay_goods_id":"2","goods_name":"n","quantity":1,"unit_price":1}]},"scene_info":{"payer_client_ip":"::1","device_id":"dev","store_info":{"id":"s","name":"n","area_code":"1","address":"a"},"h5_info":{"type":"iOS","app_name":"n","app_url":"u","bundle_id":"b","package_name":"p"}},"settle_info":{"profit_sharing":false}}"#;
        let read: PrepayBody = serde_json::from_str(body).expect("documented");
        assert_eq!(
            PrepayCall::new(PrepayProduct::H5, &read).body(),
            body.as_bytes()
        );
    }

    #[test]
    fn stored_bytes_go_out_as_they_are() {
        let bytes = b"{ \"appid\" : \"a\" }\n".to_vec();
        assert_eq!(
            PrepayCall::stored(PrepayProduct::Native, bytes.clone())
                .outgoing()
                .body,
            bytes
        );
    }

    #[test]
    fn each_product_answers_its_value() {
        for (body, value) in [
            (
                r#"{"prepay_id":"wx1"}"#,
                PrepayValue::PrepayId("wx1".to_owned()),
            ),
            (
                r#"{"h5_url":"https://wx.tenpay.com/x"}"#,
                PrepayValue::H5Url("https://wx.tenpay.com/x".to_owned()),
            ),
            (
                r#"{"code_url":"weixin://x"}"#,
                PrepayValue::CodeUrl("weixin://x".to_owned()),
            ),
            (
                r#"{"a_new_field":[1],"code_url":"weixin://x"}"#,
                PrepayValue::CodeUrl("weixin://x".to_owned()),
            ),
            (
                r#"{"prepay_id":null,"h5_url":[],"code_url":"weixin://x"}"#,
                PrepayValue::CodeUrl("weixin://x".to_owned()),
            ),
            (
                r#"{"prepay_id":"","h5_url":"https://wx.tenpay.com/x"}"#,
                PrepayValue::H5Url("https://wx.tenpay.com/x".to_owned()),
            ),
        ] {
            assert_eq!(
                PrepayCall::answer(200, body.as_bytes()),
                Ok(value),
                "{body}"
            );
        }
        for none in [
            &b"{}"[..],
            br#"{"code_url":""}"#,
            br#"{"code_url":7}"#,
            br#"["wx1"]"#,
        ] {
            assert!(PrepayCall::answer(200, none).is_err());
        }
        assert!(PrepayCall::answer(204, b"").is_err());
    }

    #[test]
    fn no_openid_is_shown() {
        let body = br#"{"payer":{"openid":"oUpF8"}}"#.to_vec();
        let prepay = PrepayCall::stored(PrepayProduct::Jsapi, body);
        assert!(!format!("{prepay:?} {:?}", prepay.outgoing()).contains("oUpF8"));
        assert!(
            !format!(
                "{:?}",
                Payer {
                    openid: Some("oUpF8".to_owned())
                }
            )
            .contains("oUpF8")
        );
    }
}
