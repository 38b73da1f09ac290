//! Querying and closing orders (manual pages 4012791859, 4012791860).

use serde::Serialize;

use super::path::escape;
use super::{Call, Outgoing, Unreadable, read_json, write_json};
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

    fn outgoing(&self) -> Outgoing {
        let (number, mchid) = (escape(&self.out_trade_no), escape(&self.mchid));
        Outgoing::get(format!(
            "/v3/pay/transactions/out-trade-no/{number}?mchid={mchid}"
        ))
    }

    fn answer(status: u16, body: &[u8]) -> Result<Transaction, Unreadable> {
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

    fn outgoing(&self) -> Outgoing {
        let (number, mchid) = (escape(&self.transaction_id), escape(&self.mchid));
        Outgoing::get(format!("/v3/pay/transactions/id/{number}?mchid={mchid}"))
    }

    fn answer(status: u16, body: &[u8]) -> Result<Transaction, Unreadable> {
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

    /// The documented answer is 204 without a body. What another 2xx would say is not documented, so it is no proof.
    fn answer(status: u16, _body: &[u8]) -> Result<(), Unreadable> {
        if status == 204 {
            Ok(())
        } else {
            Err(Unreadable {
                status,
                line: 0,
                column: 0,
            })
        }
    }
}
