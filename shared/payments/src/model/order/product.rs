//! Where the payer pays.

use serde::{Deserialize, Serialize};

/// Where the payer pays. Our API calls it a product. WeChat Pay has only four: a mini program pays
/// by JSAPI.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// A QR code that the payer scans.
    Native,
    /// A page inside WeChat.
    Jsapi,
    /// A mini program inside WeChat.
    MiniProgram,
    /// A mobile app of the merchant's.
    App,
    /// A page in a mobile browser outside WeChat.
    H5,
}

impl Product {
    /// The name in our API, table and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Jsapi => "jsapi",
            Self::MiniProgram => "mini_program",
            Self::App => "app",
            Self::H5 => "h5",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Native,
            Self::Jsapi,
            Self::MiniProgram,
            Self::App,
            Self::H5,
        ]
        .into_iter()
        .find(|product| product.name() == name)
    }

    /// WeChat Pay's name for it in notices and bills (`trade_type`, 交易类型): a mini program pays
    /// by JSAPI.
    pub const fn trade_type(self) -> &'static str {
        match self {
            Self::Native => "NATIVE",
            Self::Jsapi | Self::MiniProgram => "JSAPI",
            Self::App => "APP",
            Self::H5 => "MWEB",
        }
    }

    /// The product whose prepay route is called.
    pub const fn at_wechat(self) -> wechatpay::api::PrepayProduct {
        match self {
            Self::Native => wechatpay::api::PrepayProduct::Native,
            Self::Jsapi | Self::MiniProgram => wechatpay::api::PrepayProduct::Jsapi,
            Self::App => wechatpay::api::PrepayProduct::App,
            Self::H5 => wechatpay::api::PrepayProduct::H5,
        }
    }
}
