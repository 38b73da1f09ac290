//! Querying and closing orders (manual pages 4012791859, 4012791860).

use serde::Serialize;

use super::call::{Call, UnreadableAnswer, read_json, write_json};
use super::interface::Interface;
use super::path::escape;
use crate::outgoing::Outgoing;
use crate::wire::Transaction;

/// Queries an order by the merchant's number. Any age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryByOutTradeNo {
    /// The merchant number.
    pub mchid: String,
    /// The merchant's order number.
    pub out_trade_no: String,
}

impl Call for QueryByOutTradeNo {
    type Answer = Transaction;

    fn interface(&self) -> Interface {
        Interface::QueryByOutTradeNo
    }

    fn outgoing(&self) -> Outgoing {
        let (number, mchid) = (escape(&self.out_trade_no), escape(&self.mchid));
        Outgoing::get(format!(
            "/v3/pay/transactions/out-trade-no/{number}?mchid={mchid}"
        ))
    }

    fn answer(status: u16, body: &[u8]) -> Result<Transaction, UnreadableAnswer> {
        read_json(status, body)
    }
}

/// Queries a paid order by WeChat Pay's number of the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryByTransactionId {
    /// The merchant number.
    pub mchid: String,
    /// WeChat Pay's number of the payment.
    pub transaction_id: String,
}

impl Call for QueryByTransactionId {
    type Answer = Transaction;

    fn interface(&self) -> Interface {
        Interface::QueryByTransactionId
    }

    fn outgoing(&self) -> Outgoing {
        let (number, mchid) = (escape(&self.transaction_id), escape(&self.mchid));
        Outgoing::get(format!("/v3/pay/transactions/id/{number}?mchid={mchid}"))
    }

    fn answer(status: u16, body: &[u8]) -> Result<Transaction, UnreadableAnswer> {
        read_json(status, body)
    }
}

/// Closes an unpaid order. May be repeated; after success the order number is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The merchant number.
    pub mchid: String,
    /// The merchant's order number.
    pub out_trade_no: String,
}

impl Call for Close {
    type Answer = ();

    fn interface(&self) -> Interface {
        Interface::Close
    }

    fn outgoing(&self) -> Outgoing {
        #[derive(Serialize)]
        struct Body<'a> {
            mchid: &'a str,
        }
        let number = escape(&self.out_trade_no);
        Outgoing::post(
            format!("/v3/pay/transactions/out-trade-no/{number}/close"),
            write_json(&Body { mchid: &self.mchid }),
        )
    }

    /// The documented answer is 204 without a body. What another 2xx would say is not documented,
    /// so it is no proof.
    fn answer(status: u16, _body: &[u8]) -> Result<(), UnreadableAnswer> {
        if status == 204 {
            Ok(())
        } else {
            Err(UnreadableAnswer {
                status,
                line: 0,
                column: 0,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TradeState;

    #[test]
    fn numbers_are_escaped_into_the_path() {
        let query = QueryByOutTradeNo {
            mchid: "1900007291".to_owned(),
            out_trade_no: "a*b|c1".to_owned(),
        };
        let expected = "/v3/pay/transactions/out-trade-no/a%2Ab%7Cc1?mchid=1900007291";
        assert_eq!(query.outgoing().path_and_query, expected);
        let query = QueryByTransactionId {
            mchid: "1900007291".to_owned(),
            transaction_id: "4200".to_owned(),
        };
        assert_eq!(
            query.outgoing().path_and_query,
            "/v3/pay/transactions/id/4200?mchid=1900007291"
        );
        let close = Close {
            mchid: "1900007291".to_owned(),
            out_trade_no: "ORDER1".to_owned(),
        }
        .outgoing();
        assert_eq!(
            close.path_and_query,
            "/v3/pay/transactions/out-trade-no/ORDER1/close"
        );
        assert_eq!(close.body, br#"{"mchid":"1900007291"}"#);
    }

    #[test]
    fn an_unpaid_order_reads_without_what_only_paid_ones_have() {
        let body = r#"{"amount":{"payer_currency":"CNY","total":1},"appid":"wx1","mchid":"1900007291","out_trade_no":"ORDER1","promotion_detail":[],"scene_info":{"device_id":""},"trade_state":"NOTPAY","trade_state_desc":"订单未支付"}"#;
        let transaction = QueryByOutTradeNo::answer(200, body.as_bytes()).expect("documented");
        assert_eq!(transaction.trade_state, TradeState::NotPay);
        assert_eq!(transaction.transaction_id, None);
    }

    #[test]
    fn an_unknown_state_is_kept() {
        let body = br#"{"appid":"wx1","mchid":"m","out_trade_no":"o","trade_state":"ACCEPT"}"#;
        let transaction = QueryByTransactionId::answer(200, body).expect("readable");
        assert_eq!(
            transaction.trade_state,
            TradeState::Unknown("ACCEPT".to_owned())
        );
        assert!(
            serde_json::to_string(&transaction)
                .expect("JSON")
                .contains(r#""trade_state":"ACCEPT""#)
        );
    }

    #[test]
    fn only_a_204_means_closed() {
        assert_eq!(Close::answer(204, b""), Ok(()));
        assert!(Close::answer(202, b"").is_err());
    }
}
