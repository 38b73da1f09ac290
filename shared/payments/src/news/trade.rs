//! News about payments: parses WeChat Pay's callbacks and query answers into our own types.

use wechatpay::{
    RequestId, UnixSeconds,
    time::parse_rfc3339,
    wire::{TradeState, Transaction},
};

use crate::{
    model::{
        ids::{OrderNo, TransactionId},
        money::Fen,
        order::Payment,
    },
    news::unreadable::UnreadableNotice,
};

/// What WeChat Pay says about one order, typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TradeNotice {
    /// The merchant number it names.
    pub mchid: String,
    /// The appid it names.
    pub appid: String,
    /// The order it names.
    pub order_no: OrderNo,
    /// The order's state there.
    pub outcome: TradeOutcome,
    /// WeChat Pay's `Request-ID` of the answer or callback.
    pub request_id: Option<RequestId>,
}

impl TradeNotice {
    /// The same with the `Request-ID` that it came with.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<RequestId>) -> Self {
        self.request_id = request_id;
        self
    }
}

/// The state of an order at WeChat Pay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TradeOutcome {
    /// Money arrived.
    Paid(ReportedPayment),
    /// Not paid so far.
    Unpaid,
    /// Closed there; it can no longer be paid.
    Closed,
}

/// A payment as WeChat Pay reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportedPayment {
    pub payment: Payment,
    /// `amount.total`.
    pub total: Fen,
    /// `amount.currency`.
    pub currency: String,
    /// WeChat Pay says `REFUND`: at least a part was refunded already.
    pub refunded: bool,
}

impl TryFrom<Transaction> for TradeNotice {
    type Error = UnreadableNotice;

    fn try_from(wire: Transaction) -> Result<Self, UnreadableNotice> {
        let order_no = OrderNo::parse(&wire.out_trade_no)
            .map_err(|_| UnreadableNotice::Invalid("out_trade_no"))?;
        let outcome = match &wire.trade_state {
            TradeState::Success => TradeOutcome::Paid(money(&wire, false)?),
            // Paid, then refunded elsewhere (shared/payments/STATES.md, I4). Without a
            // transaction_id nothing was ever paid.
            TradeState::Refund => TradeOutcome::Paid(money(&wire, true)?),
            TradeState::NotPay | TradeState::UserPaying | TradeState::PayError => {
                TradeOutcome::Unpaid
            }
            TradeState::Closed | TradeState::Revoked => TradeOutcome::Closed,
            TradeState::Unknown(state) => {
                return Err(UnreadableNotice::unknown_state(state));
            }
        };
        Ok(Self {
            mchid: wire.mchid,
            appid: wire.appid,
            order_no,
            outcome,
            request_id: None,
        })
    }
}

fn money(wire: &Transaction, refunded: bool) -> Result<ReportedPayment, UnreadableNotice> {
    let transaction_id = wire
        .transaction_id
        .as_deref()
        .ok_or(UnreadableNotice::Missing("transaction_id"))?;
    let success_time = wire
        .success_time
        .as_deref()
        .ok_or(UnreadableNotice::Missing("success_time"))?;
    let amount = wire
        .amount
        .as_ref()
        .ok_or(UnreadableNotice::Missing("amount"))?;
    let paid_at: UnixSeconds =
        parse_rfc3339(success_time).map_err(|_| UnreadableNotice::Invalid("success_time"))?;
    Ok(ReportedPayment {
        payment: Payment {
            transaction_id: TransactionId::parse(transaction_id)
                .map_err(|_| UnreadableNotice::Invalid("transaction_id"))?,
            paid_at,
        },
        total: amount
            .total
            .ok_or(UnreadableNotice::Missing("amount.total"))
            .and_then(|fen| Fen::new(fen).ok_or(UnreadableNotice::Invalid("amount.total")))?,
        currency: amount
            .currency
            .clone()
            .ok_or(UnreadableNotice::Missing("amount.currency"))?,
        refunded,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wire(changes: &Value) -> Transaction {
        let mut body = json!({
            "appid": "wxa", "mchid": "1900000001", "out_trade_no": "ORDER-1", "trade_state": "SUCCESS", "trade_state_desc": "",
            "transaction_id": "420001", "success_time": "2026-08-01T12:00:01+08:00",
            "amount": {"total": 100, "payer_total": 90, "currency": "CNY", "payer_currency": "CNY"}
        });
        for (key, value) in changes.as_object().unwrap() {
            if value.is_null() {
                body.as_object_mut().unwrap().remove(key);
            } else {
                body[key] = value.clone();
            }
        }
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn each_trade_state_has_its_outcome() {
        for (state, expected) in [
            ("NOTPAY", TradeOutcome::Unpaid),
            ("USERPAYING", TradeOutcome::Unpaid),
            ("PAYERROR", TradeOutcome::Unpaid),
            ("CLOSED", TradeOutcome::Closed),
            ("REVOKED", TradeOutcome::Closed),
        ] {
            let bare = json!({"trade_state": state, "transaction_id": null, "success_time": null, "amount": null});
            assert_eq!(
                TradeNotice::try_from(wire(&bare)).unwrap().outcome,
                expected,
                "{state}"
            );
        }
        for (state, refunded) in [("SUCCESS", false), ("REFUND", true)] {
            let TradeOutcome::Paid(money) =
                TradeNotice::try_from(wire(&json!({"trade_state": state})))
                    .unwrap()
                    .outcome
            else {
                panic!("{state}")
            };
            assert_eq!(
                (money.total.get(), money.refunded, money.payment.paid_at),
                (100, refunded, UnixSeconds(1_785_556_801))
            );
        }
    }

    #[test]
    fn paid_news_without_its_facts_is_unreadable() {
        for (changes, field) in [
            (
                json!({"transaction_id": null}),
                UnreadableNotice::Missing("transaction_id"),
            ),
            (
                json!({"success_time": null}),
                UnreadableNotice::Missing("success_time"),
            ),
            (
                json!({"success_time": "yesterday"}),
                UnreadableNotice::Invalid("success_time"),
            ),
            (json!({"amount": null}), UnreadableNotice::Missing("amount")),
            (
                json!({"amount": {"total": 0, "currency": "CNY"}}),
                UnreadableNotice::Invalid("amount.total"),
            ),
            (
                json!({"amount": {"total": -5, "currency": "CNY"}}),
                UnreadableNotice::Invalid("amount.total"),
            ),
            (
                json!({"amount": {"total": 5}}),
                UnreadableNotice::Missing("amount.currency"),
            ),
            (
                json!({"out_trade_no": "*"}),
                UnreadableNotice::Invalid("out_trade_no"),
            ),
            (
                json!({"trade_state": "ACCEPT"}),
                UnreadableNotice::UnknownState("ACCEPT".into()),
            ),
        ] {
            assert_eq!(
                TradeNotice::try_from(wire(&changes)),
                Err(field),
                "{changes}"
            );
        }
    }
}
