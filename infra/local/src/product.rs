//! The products that a scenario pays with.

use client::NewOrder;

/// What an order costs.
pub(crate) const AMOUNT_FEN: i64 = 100;

/// A product of the merchant API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Product {
    Native,
    Jsapi,
    MiniProgram,
    App,
    H5,
}

impl Product {
    /// All, in the order in which their scenarios run.
    pub(crate) const ALL: [Self; 5] = [
        Self::Native,
        Self::Jsapi,
        Self::MiniProgram,
        Self::App,
        Self::H5,
    ];

    /// The API's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Jsapi => "jsapi",
            Self::MiniProgram => "mini_program",
            Self::App => "app",
            Self::H5 => "h5",
        }
    }

    /// An order of it over [`AMOUNT_FEN`].
    pub(crate) fn order(self, order_no: &str) -> NewOrder {
        let order = NewOrder {
            product: self.name().to_owned(),
            amount_fen: AMOUNT_FEN,
            description: "A cup of tea".to_owned(),
            order_no: Some(order_no.to_owned()),
            ..NewOrder::default()
        };
        match self {
            Self::Native | Self::App => order,
            // The payer, as WeChat names them to the merchant's appid.
            Self::Jsapi | Self::MiniProgram => NewOrder {
                openid: Some("oLocalPayer0123456789abcdefg".to_owned()),
                ..order
            },
            Self::H5 => NewOrder {
                payer_client_ip: Some("203.0.113.7".to_owned()),
                h5_type: Some("Wap".to_owned()),
                ..order
            },
        }
    }
}
