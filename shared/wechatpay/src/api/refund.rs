//! Refunds (manual pages 4012791862 to 4012791864).
//!
//! After any failure repeat with the *same* `out_refund_no` and the same parameters, or query: a
//! new number can refund twice (page 4014959631).

use serde::{Deserialize, Serialize};

use super::call::{Call, UnreadableAnswer, read_json, write_json};
use super::interface::Interface;
use super::path::escape;
use crate::outgoing::Outgoing;
use crate::sensitive::EncryptedField;
use crate::wire::{Refund, RefundGoods, RefundSource};

const PATH: &str = "/v3/refund/domestic/refunds";

/// The body of a refund. Give `transaction_id` or `out_trade_no`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundBody {
    /// WeChat Pay's number of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The merchant's order number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_trade_no: Option<String>,
    /// 1 to 64 of digits, letters, `_`, `-`, `*`, `@` and `|`; one number refunds once.
    pub out_refund_no: String,
    /// To 80 *bytes*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// To 256. Without it a URL set in the console gets the old v2 XML notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
    /// `AVAILABLE` or `UNSETTLED`; special contracts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funds_account: Option<String>,
    /// How much.
    pub amount: RefundBodyAmount,
    /// Which goods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goods_detail: Vec<RefundGoods>,
}

/// The amount of a refund, in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundBodyAmount {
    /// To refund now, at most what was paid.
    pub refund: i64,
    /// The original order's total.
    pub total: i64,
    /// `CNY`
    pub currency: String,
    /// Which accounts it is taken from; orders with profit sharing only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<RefundSource>,
}

/// Asks for a refund. An answer means that it was accepted, not that the money is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRefund {
    body: Vec<u8>,
}

impl CreateRefund {
    /// A new refund. The body is serialised here, once.
    #[must_use]
    pub fn new(body: &RefundBody) -> Self {
        Self {
            body: write_json(body),
        }
    }

    /// A refund that was sent before: these bytes go out again as they are.
    #[must_use]
    pub fn stored(body: Vec<u8>) -> Self {
        Self { body }
    }

    /// The bytes to store, to send the same refund again.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Call for CreateRefund {
    type Answer = Refund;

    fn interface(&self) -> Interface {
        Interface::CreateRefund
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::post(PATH, self.body.clone())
    }

    fn answer(status: u16, body: &[u8]) -> Result<Refund, UnreadableAnswer> {
        read_json(status, body)
    }
}

/// Queries a refund by the merchant's number. Any age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRefund {
    /// The merchant's number of the refund.
    pub out_refund_no: String,
}

impl Call for QueryRefund {
    type Answer = Refund;

    fn interface(&self) -> Interface {
        Interface::QueryRefund
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::get(format!("{PATH}/{}", escape(&self.out_refund_no)))
    }

    fn answer(status: u16, body: &[u8]) -> Result<Refund, UnreadableAnswer> {
        read_json(status, body)
    }
}

/// Where the money of an abnormal refund goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AbnormalRefundTo {
    /// To another bank card of the user. Debit cards of certain banks only.
    UserBankCard {
        /// Such as `ICBC_DEBIT`.
        bank_type: String,
        /// The card number, encrypted by [`crate::FieldKey::encrypt`].
        bank_account: EncryptedField,
        /// The holder's name, encrypted by [`crate::FieldKey::encrypt`].
        real_name: EncryptedField,
    },
    /// To the merchant's own account.
    MerchantBankCard,
}

/// The body of an abnormal refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbnormalRefundBody {
    /// The merchant's number of the refund.
    pub out_refund_no: String,
    /// Where the money goes.
    #[serde(flatten)]
    pub to: AbnormalRefundTo,
}

/// Redirects a refund whose state is `ABNORMAL`. With a user's card, `Wechatpay-Serial` must name
/// the key the fields were encrypted to ([`crate::FieldKey::serial`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyAbnormalRefund {
    refund_id: String,
    body: Vec<u8>,
}

impl ApplyAbnormalRefund {
    /// For the refund with WeChat Pay's number `refund_id`. The body is serialised here, once.
    #[must_use]
    pub fn new(refund_id: impl Into<String>, body: &AbnormalRefundBody) -> Self {
        Self {
            refund_id: refund_id.into(),
            body: write_json(body),
        }
    }
}

impl Call for ApplyAbnormalRefund {
    type Answer = Refund;

    fn interface(&self) -> Interface {
        Interface::AbnormalRefund
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::post(
            format!("{PATH}/{}/apply-abnormal-refund", escape(&self.refund_id)),
            self.body.clone(),
        )
    }

    fn answer(status: u16, body: &[u8]) -> Result<Refund, UnreadableAnswer> {
        read_json(status, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RefundStatus;

    #[test]
    fn a_refund_is_written_with_wechats_names() {
        let body = RefundBody {
            transaction_id: Some("4200".to_owned()),
            out_refund_no: "R@1".to_owned(),
            notify_url: Some("https://example.com/n".to_owned()),
            amount: RefundBodyAmount {
                refund: 40,
                total: 100,
                currency: "CNY".to_owned(),
                from: Vec::new(),
            },
            ..RefundBody::default()
        };
        let create = CreateRefund::new(&body);
        let outgoing = create.outgoing();
        assert_eq!(outgoing.path_and_query, "/v3/refund/domestic/refunds");
        assert_eq!(
            String::from_utf8_lossy(&outgoing.body),
            r#"{"transaction_id":"4200","out_refund_no":"R@1","notify_url":"https://example.com/n","amount":{"refund":40,"total":100,"currency":"CNY"}}"#
        );
        assert_eq!(CreateRefund::stored(create.body().to_vec()), create);
        let query = QueryRefund {
            out_refund_no: "R@1".to_owned(),
        }
        .outgoing();
        assert_eq!(query.path_and_query, "/v3/refund/domestic/refunds/R%401");
    }

    #[test]
    fn an_abnormal_refund_says_where_the_money_goes() {
        let body = AbnormalRefundBody {
            out_refund_no: "R1".to_owned(),
            to: AbnormalRefundTo::MerchantBankCard,
        };
        let outgoing = ApplyAbnormalRefund::new("5000", &body).outgoing();
        assert_eq!(
            outgoing.path_and_query,
            "/v3/refund/domestic/refunds/5000/apply-abnormal-refund"
        );
        assert_eq!(
            outgoing.body,
            br#"{"out_refund_no":"R1","type":"MERCHANT_BANK_CARD"}"#
        );

        let field = |text: &str| serde_json::from_value(text.into()).expect("a text");
        let to = AbnormalRefundTo::UserBankCard {
            bank_type: "ICBC_DEBIT".to_owned(),
            bank_account: field("YQ=="),
            real_name: field("Yg=="),
        };
        let outgoing =
            ApplyAbnormalRefund::new("5000", &AbnormalRefundBody { to, ..body }).outgoing();
        assert_eq!(
            String::from_utf8_lossy(&outgoing.body),
            r#"{"out_refund_no":"R1","type":"USER_BANK_CARD","bank_type":"ICBC_DEBIT","bank_account":"YQ==","real_name":"Yg=="}"#
        );
    }

    #[test]
    fn the_manuals_answer_reads() {
        let body = r#"{"refund_id":"50000000382019052709732678859","out_refund_no":"1217752501201407033233368018","transaction_id":"1217752501201407033233368018","out_trade_no":"1217752501201407033233368018","channel":"ORIGINAL","user_received_account":"招商银行信用卡0403","success_time":"2020-12-01T16:18:12+08:00","create_time":"2020-12-01T16:18:12+08:00","status":"SUCCESS","funds_account":"UNSETTLED","amount":{"total":100,"refund":100,"from":[{"account":"AVAILABLE","amount":444}],"payer_total":90,"payer_refund":90,"settlement_refund":100,"settlement_total":100,"discount_refund":10,"currency":"CNY","refund_fee":100},"promotion_detail":[{"promotion_id":"109519","scope":"GLOBAL","type":"COUPON","amount":5,"refund_amount":100,"goods_detail":[{"merchant_goods_id":"1217752501201407033233368018","wechatpay_goods_id":"1001","goods_name":"iPhone6s 16G","unit_price":528800,"refund_amount":528800,"refund_quantity":1}]}]}"#;
        let refund = CreateRefund::answer(200, body.as_bytes()).expect("documented");
        assert_eq!(refund.state(), Some(&RefundStatus::Success));
        let from = refund.amount.from.as_ref().expect("it came");
        assert_eq!(
            from.read::<Vec<RefundSource>>().expect("as documented"),
            [RefundSource {
                account: "AVAILABLE".to_owned(),
                amount: 444
            }]
        );
        let again = serde_json::to_value(&refund).expect("JSON");
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(body).expect("JSON")
        );
    }
}
