//! Asking WeChat Pay how an order stands, and settling what it says. The way on after every unknown
//! outcome.

use std::time::Duration;

use adapters::wechat_api::{CallReply, NotSent, WechatApi};
use payments::{
    ids::{OrderNo, TransactionId},
    issue::CallOutcome,
    journal::Cause,
    notice::{TradeNotice, UnreadableNotice},
};
use tracing::error;
use wechatpay::{
    RequestId,
    api::{Call, ErrorCode, QueryByOutTradeNo, QueryByTransactionId, Refusal},
    wire::Transaction,
};

use crate::{
    order_store::OrderStoreError,
    settle_payment::{SettleFlow, SettleOutcome},
};

/// Asks and settles.
#[derive(Clone, Debug)]
pub struct QueryFlow {
    wechat: WechatApi,
    settling: SettleFlow,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryOutcome {
    /// WeChat Pay told how the order stands, and that is settled.
    Settled(SettleOutcome),
    /// WeChat Pay does not know the order (yet).
    NotThere,
    /// WeChat Pay refused to tell.
    Refused(Refusal),
    /// No answer that can be trusted.
    Unknown(String),
}

/// Why asking failed on our side.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question could not be sent.
    #[error("WeChat Pay could not be asked")]
    NotSent(#[from] NotSent),
    /// The answer could not be settled now.
    #[error("WeChat Pay's answer could not be settled")]
    Settle(#[from] OrderStoreError),
    /// The answer is signed but is no news about an order. A person has to look at it.
    #[error("WeChat Pay's answer about the order cannot be read")]
    Unreadable(#[from] UnreadableNotice),
}

impl QueryFlow {
    /// Asks through this client, settles by this path.
    pub fn new(wechat: WechatApi, settling: SettleFlow) -> Self {
        Self { wechat, settling }
    }

    /// Asks, and settles the answer. A host that does not answer, or not believably, or with an
    /// error of its own is not asked twice: the other one is. All within the time given; with 4.5 s
    /// even a slow first host gets the 3 s that WeChat Pay counts as normal.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn ask(
        &self,
        order_no: &OrderNo,
        within: Duration,
        cause: &Cause,
        trace: &str,
    ) -> Result<QueryOutcome, QueryError> {
        Ok(match self.order(order_no, within).await? {
            Ok(notice) => QueryOutcome::Settled(self.settling.settle(&notice, cause, trace).await?),
            Err(untold) => untold,
        })
    }

    /// Asks about the number of an order that WeChat Pay was never asked to make, and yet says that
    /// it has. What it has is another system's: paid or not, it is not settled as ours.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn query_used_elsewhere(
        &self,
        order_no: &OrderNo,
        within: Duration,
        cause: &Cause,
        trace: &str,
    ) -> Result<QueryOutcome, QueryError> {
        Ok(match self.order(order_no, within).await? {
            Ok(notice) => QueryOutcome::Settled(
                self.settling
                    .settle_used_elsewhere(&notice, cause, trace)
                    .await?,
            ),
            Err(untold) => untold,
        })
    }

    /// What WeChat Pay says of an order, by our number.
    async fn order(
        &self,
        order_no: &OrderNo,
        within: Duration,
    ) -> Result<Result<TradeNotice, QueryOutcome>, QueryError> {
        let query = QueryByOutTradeNo {
            mchid: self.wechat.mchid().to_owned(),
            out_trade_no: order_no.as_str().to_owned(),
        };
        Ok(match self.told(&query, within).await? {
            Ok((transaction, request_id)) => {
                let notice = TradeNotice::try_from(transaction)?.told_under(request_id);
                if notice.order_no == *order_no {
                    Ok(notice)
                } else {
                    Err(QueryOutcome::Unknown(
                        "it is about another order".to_owned(),
                    ))
                }
            }
            Err(untold) => Err(untold),
        })
    }

    /// What WeChat Pay says of one payment, by its own number, and what it calls the question.
    /// Nothing is settled: of an order that was paid twice, a query by the order's number would
    /// tell of the other payment.
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
        self.told(&query, within).await
    }

    async fn told<C: Call<Answer = Transaction>>(
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

/// An answer that cannot be read leaves the order as it is, as none would, but a person is told.
pub(crate) fn report_unreadable(
    order_no: &OrderNo,
    asked: Result<QueryOutcome, QueryError>,
) -> Result<QueryOutcome, QueryError> {
    match asked {
        Err(QueryError::Unreadable(unreadable)) => {
            error!(
                order_no = order_no.as_str(),
                %unreadable,
                what_to_do = "look the order up in WeChat Pay's console, and tell the developers what its answers have come to look like",
                "WeChat Pay's answer about an order cannot be read"
            );
            Ok(QueryOutcome::Unknown(unreadable.to_string()))
        }
        asked => asked,
    }
}
