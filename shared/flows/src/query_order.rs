//! Queries an order at WeChat Pay, and settles the answer. Used after every unknown result.

use std::time::Duration;

use payments::{
    model::ids::{OrderNo, TransactionId},
    news::{call_outcome::CallOutcome, trade::TradeNotice, unreadable::UnreadableNotice},
};
use tracing::error;
use wechat_client::api::{CallReply, NotSent, WechatApi};
use wechatpay::{
    RequestId,
    api::{Call, ErrorCode, QueryByOutTradeNo, QueryByTransactionId, Refusal},
    wire::Transaction,
};

use crate::{
    order_store::OrderStoreError,
    origin::Origin,
    settle_payment::{SettleFlow, SettleOutcome},
};

/// Asks and settles.
#[derive(Clone, Debug)]
pub struct QueryFlow {
    wechat: WechatApi,
    settling: SettleFlow,
}

/// Result of the query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryOutcome {
    /// WeChat Pay gave the order's state, and it is settled.
    Settled(SettleOutcome),
    /// WeChat Pay does not know the order (yet).
    NotThere,
    /// WeChat Pay refused the query.
    Refused(Refusal),
    /// No answer that can be trusted.
    Unknown(String),
}

/// Why the query failed on our side.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query could not be sent.
    #[error("WeChat Pay could not be asked")]
    NotSent(#[from] NotSent),
    /// The answer could not be settled now.
    #[error("WeChat Pay's answer could not be settled")]
    Settle(#[from] OrderStoreError),
    /// The answer is signed but cannot be parsed as news about an order. An operator must read it.
    #[error("WeChat Pay's answer about the order cannot be read")]
    Unreadable(#[from] UnreadableNotice),
}

impl QueryFlow {
    /// Creates the flow over this client and this settlement.
    pub fn new(wechat: WechatApi, settling: SettleFlow) -> Self {
        Self { wechat, settling }
    }

    /// Queries, and settles the answer. If a host gives no answer, an unauthentic one or a server
    /// error, the other host is asked; no host is asked twice. All within the time given: with 4.5
    /// s even a slow first host gets the 3 s that WeChat Pay calls normal.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn ask(
        &self,
        order_no: &OrderNo,
        within: Duration,
        origin: &Origin,
    ) -> Result<QueryOutcome, QueryError> {
        Ok(match self.order(order_no, within).await? {
            Ok(notice) => QueryOutcome::Settled(self.settling.settle(&notice, origin).await?),
            Err(failure) => failure,
        })
    }

    /// Queries the number of an order that was never sent to WeChat Pay but that WeChat Pay has.
    /// That order is another system's: paid or not, it is not settled as ours.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn query_used_elsewhere(
        &self,
        order_no: &OrderNo,
        within: Duration,
        origin: &Origin,
    ) -> Result<QueryOutcome, QueryError> {
        Ok(match self.order(order_no, within).await? {
            Ok(notice) => {
                QueryOutcome::Settled(self.settling.settle_used_elsewhere(&notice, origin).await?)
            }
            Err(failure) => failure,
        })
    }

    /// WeChat Pay's answer about an order, by our number.
    async fn order(
        &self,
        order_no: &OrderNo,
        within: Duration,
    ) -> Result<Result<TradeNotice, QueryOutcome>, QueryError> {
        let query = QueryByOutTradeNo {
            mchid: self.wechat.mchid().to_owned(),
            out_trade_no: order_no.as_str().to_owned(),
        };
        Ok(match self.answered(&query, within).await? {
            Ok((transaction, request_id)) => {
                let notice = TradeNotice::try_from(transaction)?.with_request_id(request_id);
                if notice.order_no == *order_no {
                    Ok(notice)
                } else {
                    Err(QueryOutcome::Unknown(
                        "it is about another order".to_owned(),
                    ))
                }
            }
            Err(failure) => Err(failure),
        })
    }

    /// WeChat Pay's answer about one payment, by its own number, and the answer's `Request-ID`.
    /// Nothing is settled. (For an order paid twice, a query by order number returns only one of
    /// the payments.)
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn payment(
        &self,
        transaction_id: &TransactionId,
        within: Duration,
    ) -> Result<Result<(Transaction, Option<RequestId>), QueryOutcome>, QueryError> {
        let query = QueryByTransactionId {
            mchid: self.wechat.mchid().to_owned(),
            transaction_id: transaction_id.as_str().to_owned(),
        };
        self.answered(&query, within).await
    }

    async fn answered<C: Call<Answer = Transaction>>(
        &self,
        query: &C,
        within: Duration,
    ) -> Result<Result<(Transaction, Option<RequestId>), QueryOutcome>, QueryError> {
        let CallReply { answer, request_id } = self.wechat.call_either(query, within).await?;
        Ok(match answer {
            CallOutcome::Done(transaction) => Ok((transaction, request_id)),
            CallOutcome::Refused(refusal) if refusal.code == ErrorCode::OrderNotExist => {
                Err(QueryOutcome::NotThere)
            }
            CallOutcome::Refused(refusal) => Err(QueryOutcome::Refused(refusal)),
            CallOutcome::Unreadable(unreadable) => {
                return Err(UnreadableNotice::Answer(unreadable).into());
            }
            CallOutcome::Unknown(cause) => Err(QueryOutcome::Unknown(cause)),
        })
    }
}

/// An unreadable answer is treated like no answer, but an operator is notified.
pub(crate) fn report_unreadable(
    order_no: &OrderNo,
    asked: Result<QueryOutcome, QueryError>,
) -> Result<QueryOutcome, QueryError> {
    match asked {
        Err(QueryError::Unreadable(unreadable)) => {
            error!(
                order_no = order_no.as_str(),
                error = %unreadable,
                %unreadable,
                what_to_do = "check the order in WeChat Pay's console, and tell the developers the new form of its answers",
                "WeChat Pay's answer about an order cannot be read"
            );
            Ok(QueryOutcome::Unknown(unreadable.to_string()))
        }
        asked => asked,
    }
}
