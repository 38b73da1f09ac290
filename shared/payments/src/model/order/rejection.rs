//! Why an order is rejected.

use crate::model::order_refusal::OrderRefusal;

/// Why an order was rejected. It decides what happens to a payment under its number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rejection {
    /// WeChat Pay refused to create it, with this text. Orders that an earlier version rejected
    /// have none.
    Refused(Option<OrderRefusal>),
    /// Another system that shares the merchant number has used the order's number at WeChat Pay.
    /// Payments there are that system's.
    NumberUsedElsewhere,
}

impl Rejection {
    /// The name in the table.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::NumberUsedElsewhere => "number_used_elsewhere",
        }
    }

    /// The reason by its name, with WeChat Pay's refusal as stored.
    pub fn named(name: &str, refusal: Option<OrderRefusal>) -> Option<Self> {
        [Self::Refused(refusal), Self::NumberUsedElsewhere]
            .into_iter()
            .find(|reason| reason.name() == name)
    }

    /// The answer to its client.
    pub fn refusal(&self) -> OrderRefusal {
        match self {
            Self::Refused(Some(refusal)) => refusal.clone(),
            Self::Refused(None) => OrderRefusal {
                code: "UNKNOWN".to_owned(),
                message: "its reason was not kept when it was refused".to_owned(),
            },
            Self::NumberUsedElsewhere => OrderRefusal {
                code: "OUT_TRADE_NO_USED".to_owned(),
                message: "the number is in use at WeChat Pay for an order that was not made here"
                    .to_owned(),
            },
        }
    }
}
