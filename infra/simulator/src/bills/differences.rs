//! Differences between the merchant's books and a day's bill, put in on purpose.
//!
//! The trade bill, its summary and the fund bill agree on each of them, so that one difference is
//! found once; only those that are between two parts of the bills keep to one part.

use serde::{Deserialize, Serialize};

/// What a bill says that the merchant's books do not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum PlantedDifference {
    /// A payment is left out.
    DropPayment,
    /// A payment has another amount.
    AlterAmount {
        /// The order's total in the bill; by default one fen too much.
        #[serde(default)]
        fen: Option<i64>,
    },
    /// A row has another state (交易状态).
    AlterState {
        /// `REVOKED` by default.
        #[serde(default = "revoked")]
        state: String,
    },
    /// A row has another currency.
    AlterCurrency {
        /// `USD` by default.
        #[serde(default = "dollars")]
        currency: String,
    },
    /// A row has another appid.
    AlterAppid {
        /// By default one that is not the merchant's.
        #[serde(default = "foreign_appid")]
        appid: String,
    },
    /// A row has another merchant.
    AlterMchid {
        /// `1900000000` by default.
        #[serde(default = "foreign_mchid")]
        mchid: String,
    },
    /// A payment of an order that the merchant never made. It is one in every respect: it can be
    /// queried and refunded.
    UnknownOrder {
        /// Its amount; by default drawn from the seed.
        #[serde(default)]
        fen: Option<i64>,
    },
    /// A refund is left out.
    DropRefund,
    /// A refund has another amount.
    AlterRefundAmount {
        /// The requested amount in the bill; by default one fen too much.
        #[serde(default)]
        fen: Option<i64>,
    },
    /// A refund has another state (退款状态).
    AlterRefundState {
        /// The status in the bill; by default `FAIL` for a refund that is `SUCCESS`, and `SUCCESS`
        /// for any other.
        #[serde(default)]
        state: Option<String>,
    },
    /// A fee is off the rate.
    AlterFee {
        /// The fee, also that of a refund, as a positive number; by default one fen too much.
        #[serde(default)]
        fen: Option<i64>,
    },
    /// Money came onto the account for a payment that is in no trade bill. It is on the account.
    FundWithoutTrade {
        /// The amount; by default drawn from the seed.
        #[serde(default)]
        fen: Option<i64>,
    },
    /// All movements of a payment or refund are left out of the fund bill.
    TradeWithoutFund,
    /// The summary row is not the sum of the rows.
    SummaryOff {
        #[serde(default)]
        bill: SummaryOf,
        /// Added to the first amount of the summary (应结订单总金额, 总交易额, 收入金额); by
        /// default 1 if `count` is 0.
        #[serde(default)]
        fen: Option<i64>,
        /// Added to its count.
        #[serde(default)]
        count: i64,
    },
}

/// Whose summary is off.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SummaryOf {
    /// All three kinds of trade bill.
    #[default]
    Trade,
    /// The fund bills.
    Fund,
}

/// A difference that is to be put into a day's bill.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WantedDifference {
    /// The Beijing day, `2026-08-03`.
    pub date: String,
    #[serde(flatten)]
    pub difference: PlantedDifference,
    /// The order whose payment (or refund) it is about; one of the day is picked by the seed unless
    /// it is named.
    #[serde(default)]
    pub order: Option<String>,
    /// Which payment, for an order that was paid again; by default the first of that day.
    #[serde(default)]
    pub transaction_id: Option<String>,
    /// The refund that it is about.
    #[serde(default)]
    pub out_refund_no: Option<String>,
}

impl WantedDifference {
    /// On that day, about a payment or refund that the seed picks.
    pub fn picked(date: &str, difference: PlantedDifference) -> Self {
        Self {
            date: date.to_owned(),
            difference,
            order: None,
            transaction_id: None,
            out_refund_no: None,
        }
    }

    /// The same about this order.
    #[must_use]
    pub fn of_order(mut self, order: &str) -> Self {
        self.order = Some(order.to_owned());
        self
    }

    /// The same about this refund.
    #[must_use]
    pub fn of_refund(mut self, out_refund_no: &str) -> Self {
        self.out_refund_no = Some(out_refund_no.to_owned());
        self
    }
}

/// A difference that is in a day's bill.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InjectedDifference {
    /// The Beijing day.
    pub date: String,
    #[serde(flatten)]
    pub difference: PlantedDifference,
    /// The order's number; `None` of a summary.
    pub order: Option<String>,
    /// The payment's number.
    pub transaction_id: Option<String>,
    /// The refund's number, if it is about one.
    pub out_refund_no: Option<String>,
    /// WeChat Pay's number of that refund.
    pub refund_id: Option<String>,
}

impl InjectedDifference {
    /// The number under which its row is found.
    pub(crate) fn id(&self) -> Option<&str> {
        self.refund_id.as_deref().or(self.transaction_id.as_deref())
    }
}

fn revoked() -> String {
    "REVOKED".to_owned()
}

fn dollars() -> String {
    "USD".to_owned()
}

fn foreign_appid() -> String {
    "wx0000000000000000".to_owned()
}

fn foreign_mchid() -> String {
    "1900000000".to_owned()
}
