//! The order store: writes every change that the rules decide on, from whatever source the news
//! came.

use payments::{
    model::{
        journal::ChangeContext,
        merchant::MerchantFacts,
        refund::{PaymentKind, REDIRECTED, ReceivedBy, Refund, RefundState},
    },
    rules::{
        change::{OrderChange, RefundChange},
        overdue_refund,
    },
};
use runtime::{backoff::Backoff, clock::Clock, random::Random, telemetry::emf::HELD};
use stores::{
    order_table::{ApplyOutcome, OrderTable, TableError},
    queues::{PaymentRequest, Queue},
};
use tracing::{error, info, warn};
use wechatpay::{
    RequestId, UnixSeconds,
    api::{ErrorCode, Side},
};

use crate::{
    origin::{Origin, record_event},
    problem::ErrorChain,
    trace::Trace,
};

/// The orders table with what is needed to change it by the rules. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OrderStore {
    pub(crate) orders: OrderTable,
    pub(crate) facts: MerchantFacts,
    pub(crate) clock: Clock,
    requests: Queue,
    random: Random,
}

/// Why a change could not be written now. It must be retried.
#[derive(Debug, thiserror::Error)]
pub enum OrderStoreError {
    #[error("the order could not be read or written now")]
    Table(#[from] TableError),
    /// Other processes kept changing the order between our read and our write.
    #[error("the order changed {TRIES} times while it was being written")]
    Contended,
}

/// How often one call decides again because the order changed.
const TRIES: u32 = 6;

/// The pause before each further round.
const BETWEEN_ROUNDS: Backoff = Backoff {
    first_ms: 20,
    max_ms: 640,
};

impl OrderStore {
    /// Creates the store over this table; `requests` is the queue for new refunds.
    pub fn new(
        orders: OrderTable,
        facts: MerchantFacts,
        requests: Queue,
        clock: Clock,
        random: Random,
    ) -> Self {
        Self {
            orders,
            facts,
            clock,
            requests,
            random,
        }
    }

    /// The context that all events of a change decided now share.
    pub(crate) fn context(&self, origin: &Origin) -> ChangeContext {
        origin.change_context(self.clock.now_ms())
    }

    /// Writes a change; `false` if the order changed or is locked at this moment: read and decide
    /// again.
    pub(crate) async fn write(
        &self,
        change: &OrderChange,
        origin: &Origin,
    ) -> Result<bool, TableError> {
        match self.orders.apply(change).await {
            Ok(ApplyOutcome::Applied) => {
                log(change);
                for event in &change.events {
                    let before = change.from.latest_event.as_ref();
                    record_event(&change.from.order_no, event, before, origin);
                }
                self.announce(change, origin).await;
                Ok(true)
            }
            Ok(ApplyOutcome::VersionMoved) => {
                info!(target: HELD, conflict = "version", DynamodbConflicts = 1);
                Ok(false)
            }
            // Counted where DynamoDB answered.
            Err(TableError::Conflict) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Sends a message for a refund that must go to WeChat Pay. The sweep would find it too, so a
    /// failure of the queue only costs time.
    async fn announce(&self, change: &OrderChange, origin: &Origin) {
        let (Some(RefundChange::New(refund) | RefundChange::Updated(_, refund)), Some(event)) =
            (&change.refund, change.events.last())
        else {
            return;
        };
        if let Some(at) = refund.next_try_at(None) {
            // The message follows the event that it announces.
            let trace = origin.trace.of_event(&refund.order_no, event);
            self.announce_refund(refund, at, &trace).await;
        }
    }

    /// The same for one refund, with the time of its check.
    pub(crate) async fn announce_refund(&self, refund: &Refund, at: UnixSeconds, trace: &Trace) {
        let message = PaymentRequest::RefundV1 {
            order_no: refund.order_no.clone(),
            refund_no: refund.refund_no.clone(),
        };
        let delay_s = at.since(self.clock.now());
        if let Err(error) = self
            .requests
            .send_request(&message, delay_s, trace.headers())
            .await
        {
            warn!(
                order_no = refund.order_no.as_str(),
                refund_no = refund.refund_no.as_str(),
                error = %ErrorChain(&error),
                "a refund was not sent to the queue: the sweep will find it"
            );
        }
    }

    /// The rounds of one call that reads, decides and writes.
    pub(crate) fn rounds(&self) -> Rounds<'_> {
        Rounds {
            store: self,
            begun: 0,
        }
    }
}

/// Rounds of read, decide and write on the version that was read. A concurrent write costs another
/// round.
pub(crate) struct Rounds<'a> {
    store: &'a OrderStore,
    begun: u32,
}

impl Rounds<'_> {
    /// Begins a round. Waits before each further one, so that two processes that collided do not
    /// collide again.
    ///
    /// # Errors
    /// [`OrderStoreError::Contended`] when there were enough of them.
    pub(crate) async fn begin(&mut self) -> Result<(), OrderStoreError> {
        if self.begun == TRIES {
            return Err(OrderStoreError::Contended);
        }
        if self.begun > 0 {
            let pause = BETWEEN_ROUNDS.pause(self.begun, &self.store.random);
            self.store.clock.sleep(pause).await;
        }
        self.begun = self.begun.saturating_add(1);
        Ok(())
    }

    /// Whether this round is not the first.
    pub(crate) fn is_another(&self) -> bool {
        self.begun > 1
    }
}

/// Logs one line for each change; an ERROR if an operator must act.
fn log(change: &OrderChange) {
    let order_no = change.from.order_no.as_str();
    let event = change.events.first();
    let (cause_id, trace_id) = (
        event.map(|event| event.cause.id()),
        event.map(|event| event.trace.as_str()),
    );
    let wechat_request_id = change
        .events
        .iter()
        .find_map(|event| event.request_id.as_ref());
    let wechat_request_id = wechat_request_id.map(RequestId::as_str);
    if change.from.state.name() != change.to.name() {
        let booked = change.books().zip(event);
        info!(
            order_no,
            from = change.from.state.name(),
            to = change.to.name(),
            brought_by = event.map(|event| event.cause.kind()),
            cause_id,
            trace_id,
            wechat_request_id,
            SettlementDelay = booked.map(|(payment, event)| event.at.since(payment.paid_at).max(0)),
            PaidFen = booked.map(|_| change.from.amount.get()),
            "order changed"
        );
    }
    let (from, to) = match &change.refund {
        None => return,
        Some(RefundChange::New(refund)) => (None, refund),
        Some(RefundChange::Updated(from, to)) => (Some(from.state.name()), to),
    };
    info!(
        order_no,
        refund_no = to.refund_no.as_str(),
        from,
        to = to.state.name(),
        state = to.state.name(),
        amount_fen = to.amount.get(),
        cause_id,
        trace_id,
        wechat_request_id,
        RefundAge = event.map(|event| event.at.since(to.created_at).max(0)),
        "refund changed"
    );
    if let Some(what_to_do) = what_to_do(to) {
        error!(
            order_no,
            refund_no = to.refund_no.as_str(),
            state = to.state.name(),
            trouble = to.trouble,
            wechat_request_id,
            what_to_do,
            "refund needs a person"
        );
    }
}

/// What an operator must do about a refund in this state; `None` if it makes progress by itself or
/// is final.
pub fn what_to_do(refund: &Refund) -> Option<&'static str> {
    if refund.overdue_since.is_some() {
        return Some(overdue(refund.trouble.as_deref().unwrap_or_default()));
    }
    match &refund.state {
        RefundState::Abnormal if refund.is_redirected() => None,
        RefundState::Abnormal => Some(
            "the payer's account cannot accept the money: choose its destination with POST .../abnormal, or settle it in WeChat Pay's console. For a second payment, or an order without a client, do it in our console",
        ),
        RefundState::Succeeded(_) if refund.needs_payer_statement() => {
            Some(match refund.received_by {
                Some(ReceivedBy::Payer) => {
                    "the money was sent to the merchant's own account, and WeChat Pay says that the payer has it: do not pay the payer. Check the refund in WeChat Pay's console, then record what you found with POST .../payer-paid. For a second payment, or an order without a client, do it in our console"
                }
                Some(ReceivedBy::Merchant) => {
                    "the money went to the merchant's own account, so the payer has none of it: pay the payer by other means, then record how with POST .../payer-paid. For a second payment, or an order without a client, do it in our console"
                }
                None => {
                    "the money was sent to the merchant's own account, and it is not known here whose account has it: check the refund in WeChat Pay's console. If the payer has none of it, pay the payer by other means. Then record what you found with POST .../payer-paid. For a second payment, or an order without a client, do it in our console"
                }
            })
        }
        RefundState::Refused(_) => Some(
            "WeChat Pay does not accept this refund: remove the cause and send POST .../retry, or release the reserved money with POST .../release. For a second payment, or an order without a client, do it in our console",
        ),
        RefundState::Reserved if refund.trouble.as_deref().is_some_and(is_low_balance) => Some(
            "the merchant's balance at WeChat Pay is too low: top it up; the refund then continues by itself",
        ),
        RefundState::Reserved if refund.trouble.as_deref().is_some_and(is_of_the_merchant) => Some(
            "WeChat Pay refuses the merchant for now, with the code in `trouble`: correct that in its console; the refund then continues by itself",
        ),
        RefundState::Reserved | RefundState::Processing
            if refund.trouble.as_deref() == Some(UNREADABLE_ANSWER) =>
        {
            Some(
                "WeChat Pay has the refund and its answers about it cannot be read: check it in its console, and tell the developers the new form of its answers",
            )
        }
        RefundState::Closed if refund.returns_owed_money() => Some(match refund.of {
            PaymentKind::Booked => {
                "WeChat Pay could not give late money back: find out why in its console, then ask for a new refund of this order"
            }
            PaymentKind::Parked => {
                "WeChat Pay could not give a payment back that is not its order's: find out why in its console. A second payment is then proposed in our console once more, for two persons; any other is given back by a new refund with its transaction_id"
            }
        }),
        RefundState::Reserved
        | RefundState::Processing
        | RefundState::Succeeded(_)
        | RefundState::Closed => None,
    }
}

/// What an operator must do about an overdue refund with this cause.
fn overdue(trouble: &str) -> &'static str {
    match trouble {
        overdue_refund::PROCESSING => {
            "WeChat Pay has reported PROCESSING for over ten days: check the refund in its console and open a case; do not refund the money again in the meantime. It is still queried, and this ends by itself"
        }
        REDIRECTED => {
            "WeChat Pay got the destination of the money over ten days ago, and has not paid it out: open a case. It is still queried, and this ends by itself"
        }
        overdue_refund::UNANSWERED => {
            "WeChat Pay does not answer the query of the refund: check it in its console; do not refund the money again in the meantime. It is still queried, and this ends by itself"
        }
        _ => {
            "WeChat Pay refuses the query of the refund, with the code in `trouble`: correct what the code names, and check the refund in its console; do not refund the money again in the meantime. It is still queried, and this ends by itself"
        }
    }
}

/// A blocked account, a missing permission or a wrong setting, which refuses every refund.
fn is_of_the_merchant(code: &str) -> bool {
    ErrorCode::parse(code).side() == Some(Side::Merchant)
}

/// Value of `trouble` when WeChat Pay has the refund but its answer is unreadable.
pub(crate) const UNREADABLE_ANSWER: &str = "UNREADABLE_ANSWER";

/// `NOT_ENOUGH`, in either spelling.
pub(crate) fn is_low_balance(code: &str) -> bool {
    code.replace('_', "").eq_ignore_ascii_case("NOTENOUGH")
}
