//! Getting a prepay value for an order: from `reserved` to `awaiting_payment`, or a fresh value for
//! an expired one.

use std::time::Duration;

use payments::{
    model::{
        ids::OrderNo,
        order::{
            Order, OrderRefusal, OrderState, PayParams, PrepayDelivery, Product, Rejection,
            WrongValue, prepay_delivery,
        },
    },
    rules::{
        change::OrderChange,
        issue_order::{self, IssueFailure, IssueStep, IssuedPrepay},
    },
};
use runtime::{
    clock::{Clock, Deadline},
    random::Random,
};
use stores::{
    fields::FieldError,
    order_table::{ApplyOutcome, OrderTable, TableError, WriteOutcome},
};
use tracing::{info, warn};
use wechat_client::api::{BETWEEN_HOSTS, CALL_MAX, CALL_MIN, CallReply, NotSent, WechatApi};
use wechatpay::{
    RequestId,
    api::{PrepayCall, PrepayValue, Refusal},
    pay,
    sign::SignError,
};

use crate::{
    origin::Origin,
    problem::Problem,
    query_order::{QueryError, QueryFlow, QueryOutcome, report_unreadable},
    settle_payment::SettleOutcome,
    stored_body::StoredBodies,
};

/// Gets prepay values.
#[derive(Clone, Debug)]
pub struct IssueFlow {
    orders: OrderTable,
    wechat: WechatApi,
    bodies: StoredBodies,
    query_flow: QueryFlow,
    clock: Clock,
    random: Random,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum IssueOutcome {
    /// The present order, which needs no further attempt: it has a prepay value, or changed
    /// meanwhile (paid, closed).
    Order(Box<Order>),
    /// The order is rejected: WeChat Pay refused it for good.
    Rejected(OrderRefusal),
    /// The order still needs a prepay value. A later attempt or the sweep continues.
    Later(IssueFailure),
}

/// Why an attempt failed on our side. The order is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The stored body could not be opened or sealed.
    #[error("the order's stored body could not be opened")]
    Body(#[from] FieldError),
    /// The call could not be sent.
    #[error("WeChat Pay could not be called")]
    NotSent(#[from] NotSent),
    /// The client-side parameters could not be signed.
    #[error("the parameters for the payer could not be signed")]
    Sign(#[from] SignError),
    /// WeChat Pay's value does not match the product.
    #[error(transparent)]
    WrongValue(#[from] WrongValue),
    #[error("the order could not be written")]
    Table(#[from] TableError),
    /// The query that decides failed on our side.
    #[error("WeChat Pay's view of the order could not be settled")]
    Ask(#[from] QueryError),
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        Self::unavailable(&error)
    }
}

/// The pause before a write is retried after a conflict with another transaction.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

impl IssueFlow {
    /// Creates the flow over these parts.
    pub fn new(
        orders: OrderTable,
        wechat: WechatApi,
        bodies: StoredBodies,
        query_flow: QueryFlow,
        clock: Clock,
        random: Random,
    ) -> Self {
        Self {
            orders,
            wechat,
            bodies,
            query_flow,
            clock,
            random,
        }
    }

    /// Calls WeChat Pay under the lease that `order` holds, within the time given: one host, then
    /// the other with the same bytes if the first gives no valid answer. If an earlier attempt has
    /// an unknown result, WeChat Pay is queried first. While neither host answers, no call is made.
    ///
    /// `body` is the plain prepay body if the caller has it; otherwise the stored one is decrypted.
    /// The bytes are the same in both cases.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(
        &self,
        order: Order,
        body: Option<Vec<u8>>,
        within: Duration,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        // Never beyond the lease: after it another process may get a prepay value, which a call
        // from here would invalidate.
        let deadline = self.clock.deadline(within);
        let deadline = deadline.no_later_than(order.issue_lease.until);
        if self.wechat.is_down() {
            return Ok(self.give_up(
                &order.order_no,
                IssueFailure::Unknown("neither host of WeChat Pay answers at present".to_owned()),
            ));
        }
        let clean = issue_order::is_first_attempt(&order.issue_lease)
            && order.state == OrderState::Reserved;
        if order.state == OrderState::Reserved
            && !clean
            && let Some(known) = self.ask_first(&order, &deadline, origin).await?
        {
            return Ok(known);
        }
        let body = match body {
            Some(body) => body,
            None => self.bodies.open(&order).await?,
        };
        match self.call(&order, body, clean, &deadline).await? {
            PrepayAnswer::Value { value, told_under } => {
                self.store(order, value, told_under.as_ref(), origin).await
            }
            PrepayAnswer::InDoubt(doubt) => self.ask(&order, doubt, &deadline, origin).await,
            PrepayAnswer::Refused(refusal) => self.reject(&order, refusal, origin).await,
            PrepayAnswer::None(reason) => Ok(self.give_up(&order.order_no, reason)),
        }
    }

    /// Sends the prepay call to one host, then to the other if the first gives no answer that
    /// counts. `clean` says that no earlier result is unknown.
    async fn call(
        &self,
        order: &Order,
        body: Vec<u8>,
        mut clean: bool,
        deadline: &Deadline,
    ) -> Result<PrepayAnswer, IssueError> {
        let call = PrepayCall::stored(order.product.at_wechat(), body);
        let mut hosts = self.wechat.hosts().into_iter();
        let mut last_cause = "there was no time left to ask".to_owned();
        while let Some(host) = hosts.next() {
            let Some(share) = share(deadline) else {
                break;
            };
            let CallReply { answer, request_id } = match self.wechat.call(&call, host, share).await
            {
                Err(NotSent::TooLate) => break,
                Err(busy @ NotSent::Busy) => {
                    last_cause = busy.to_string();
                    break;
                }
                answer => answer?,
            };
            let tries_left = u32::try_from(hosts.len()).unwrap_or_default();
            let foreign = clean || issue_order::is_number_used_elsewhere(&answer, order);
            match issue_order::after_prepay_answer(answer, tries_left, clean) {
                IssueStep::Store(value) => {
                    let told_under = request_id;
                    return Ok(PrepayAnswer::Value { value, told_under });
                }
                IssueStep::Repeat => {
                    clean = false;
                    "the first host gave no answer that counts".clone_into(&mut last_cause);
                    self.clock.sleep(BETWEEN_HOSTS.pause(1, &self.random)).await;
                }
                IssueStep::Query(refusal) => {
                    return Ok(PrepayAnswer::InDoubt(ExistenceQuery {
                        foreign,
                        refusal: refusal.filter(|_| clean),
                    }));
                }
                IssueStep::Reject(refusal) => return Ok(PrepayAnswer::Refused(refusal)),
                IssueStep::GiveUp(reason) => return Ok(PrepayAnswer::None(reason)),
            }
        }
        Ok(PrepayAnswer::None(IssueFailure::Unknown(last_cause)))
    }

    /// Queries the unknown result of an earlier attempt. `None` if the order is open at WeChat Pay
    /// or does not exist: then the same bytes may be sent again.
    async fn ask_first(
        &self,
        order: &Order,
        deadline: &Deadline,
        origin: &Origin,
    ) -> Result<Option<IssueOutcome>, IssueError> {
        let Some(share) = share(deadline) else {
            let reason = "there was no time left to query".to_owned();
            return Ok(Some(
                self.give_up(&order.order_no, IssueFailure::Unknown(reason)),
            ));
        };
        let asked = self.query_flow.ask(&order.order_no, share, origin).await;
        match report_unreadable(&order.order_no, asked)? {
            QueryOutcome::NotThere | QueryOutcome::Settled(SettleOutcome::StillOpen) => Ok(None),
            QueryOutcome::Settled(
                SettleOutcome::Changed | SettleOutcome::AlreadyDone | SettleOutcome::Parked { .. },
            ) => Ok(Some(self.as_it_stands(&order.order_no).await?)),
            QueryOutcome::Refused(refusal) => Ok(Some(
                self.give_up(&order.order_no, IssueFailure::RefusedAfterUnknown(refusal)),
            )),
            QueryOutcome::Unknown(reason) => Ok(Some(
                self.give_up(&order.order_no, IssueFailure::Unknown(reason)),
            )),
        }
    }

    /// The order as it is stored now.
    async fn as_it_stands(&self, order_no: &OrderNo) -> Result<IssueOutcome, IssueError> {
        Ok(match self.orders.read(order_no).await? {
            Some(found) => {
                // A refusal for another cause was already logged where it happened.
                if let OrderState::Rejected(why @ Rejection::NumberUsedElsewhere) = &found.state {
                    warn!(
                        order_no = order_no.as_str(),
                        code = why.told().code,
                        PrepaysRejected = 1,
                        PrepaysPutOff = 0,
                        "the order is rejected"
                    );
                }
                self.as_found(found)
            }
            None => self.give_up(
                order_no,
                IssueFailure::Unknown("the order is gone from the table".to_owned()),
            ),
        })
    }

    /// Ends without a certain result for now.
    fn give_up(&self, order_no: &OrderNo, reason: IssueFailure) -> IssueOutcome {
        warn!(
            order_no = order_no.as_str(),
            ?reason,
            PrepaysPutOff = 1,
            HostsAvoided = self.wechat.hosts_avoided(),
            "no prepay value for now"
        );
        IssueOutcome::Later(reason)
    }

    async fn store(
        &self,
        order: Order,
        value: PrepayValue,
        told_under: Option<&RequestId>,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        let context = origin.change_context(self.clock.now());
        let params = match prepay_delivery(order.product, value)? {
            PrepayDelivery::AsIs(params) => params,
            PrepayDelivery::Sign(prepay_id) => self.sign(&order, &prepay_id).await?,
        };
        let IssuedPrepay {
            prepay,
            event,
            next_check,
        } = IssuedPrepay::new(&order, params, &context.told_under(told_under));
        let order_no = order.order_no.as_str();
        match self
            .orders
            .store_prepay(&order, &prepay, event.as_ref(), next_check)
            .await?
        {
            WriteOutcome::Written(order) => {
                info!(
                    order_no,
                    product = order.product.name(),
                    renewed = event.is_none(),
                    wechat_request_id = told_under.map(RequestId::as_str),
                    PrepaysIssued = 1,
                    PrepaysPutOff = 0,
                    "prepay value stored"
                );
                Ok(IssueOutcome::Order(order))
            }
            // The order was paid before the value was stored, or our lease ended and another
            // process's value is the valid one. Our value is dropped and never given out.
            WriteOutcome::Superseded(found) => {
                warn!(
                    order_no,
                    state = found.state.name(),
                    "the order moved on while its prepay value was on the way"
                );
                Ok(self.as_found(*found))
            }
        }
    }

    async fn sign(&self, order: &Order, prepay_id: &str) -> Result<PayParams, IssueError> {
        let signer = self.wechat.signer().await?;
        let (now, nonce) = (self.clock.now(), self.random.nonce());
        Ok(match order.product {
            Product::Jsapi => {
                PayParams::Jsapi(pay::jsapi(&signer, &order.appid, prepay_id, now, &nonce).await?)
            }
            Product::MiniProgram => PayParams::MiniProgram(
                pay::mini_program(&signer, &order.appid, prepay_id, now, &nonce).await?,
            ),
            Product::App => PayParams::App(
                pay::app(
                    &signer,
                    &order.appid,
                    self.wechat.mchid(),
                    prepay_id,
                    now,
                    &nonce,
                )
                .await?,
            ),
            Product::Native | Product::H5 => return Err(WrongValue(order.product.name()).into()),
        })
    }

    /// Queries the order at WeChat Pay because the answer to the prepay call was not conclusive.
    async fn ask(
        &self,
        order: &Order,
        doubt: ExistenceQuery,
        deadline: &Deadline,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        let Some(share) = share(deadline) else {
            return Ok(self.give_up(
                &order.order_no,
                IssueFailure::Unknown("there was no time left to query".to_owned()),
            ));
        };
        let order_no = &order.order_no;
        let asked = if doubt.foreign {
            self.query_flow
                .query_used_elsewhere(order_no, share, origin)
                .await
        } else {
            self.query_flow.ask(order_no, share, origin).await
        };
        match (report_unreadable(order_no, asked)?, doubt.refusal) {
            (QueryOutcome::Settled(_), _) => self.as_it_stands(order_no).await,
            // The order was refused and does not exist: that decides.
            (QueryOutcome::NotThere, Some(refusal)) => self.reject(order, refusal, origin).await,
            (QueryOutcome::NotThere, None) => Ok(self.give_up(
                &order.order_no,
                IssueFailure::Unknown("WeChat Pay does not show the order yet".to_owned()),
            )),
            (QueryOutcome::Refused(refusal), _) => {
                Ok(self.give_up(&order.order_no, IssueFailure::RefusedAfterUnknown(refusal)))
            }
            (QueryOutcome::Unknown(reason), _) => {
                Ok(self.give_up(&order.order_no, IssueFailure::Unknown(reason)))
            }
        }
    }

    /// Rejects the order, unless it changes meanwhile.
    async fn reject(
        &self,
        order: &Order,
        refusal: Refusal,
        origin: &Origin,
    ) -> Result<IssueOutcome, IssueError> {
        let context = origin.change_context(self.clock.now());
        let context = context.told_under(refusal.request_id.as_ref());
        let told = OrderRefusal::from(&refusal);
        let rejected = OrderState::Rejected(Rejection::Refused(Some(told.clone())));
        let change = OrderChange::new(order, rejected, &context);
        let applied = match self.orders.apply(&change).await {
            // Another transaction, such as one of the sweep, holds the item for a moment. Retry, or
            // the refusal would be lost.
            Err(TableError::Conflict) => {
                self.clock.sleep(CONFLICT_PAUSE).await;
                self.orders.apply(&change).await?
            }
            applied => applied?,
        };
        match applied {
            ApplyOutcome::Applied => {
                warn!(
                    order_no = order.order_no.as_str(),
                    wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                    %refusal,
                    PrepaysRejected = 1,
                    PrepaysPutOff = 0,
                    "the order is rejected"
                );
                Ok(IssueOutcome::Rejected(told))
            }
            ApplyOutcome::VersionMoved => match self.orders.read(&order.order_no).await? {
                Some(found) => Ok(self.as_found(found)),
                None => Ok(IssueOutcome::Rejected(told)),
            },
        }
    }

    /// The outcome for an order that others changed meanwhile.
    fn as_found(&self, order: Order) -> IssueOutcome {
        match order.state.rejection() {
            Some(why) => IssueOutcome::Rejected(why.told()),
            None if order.needs_prepay(self.clock.now()) => IssueOutcome::Later(
                IssueFailure::Unknown("the order was changed and has no value yet".to_owned()),
            ),
            None => IssueOutcome::Order(Box::new(order)),
        }
    }
}

/// The outcome of the prepay call.
enum PrepayAnswer {
    /// A value, told under this `Request-ID`.
    Value {
        value: PrepayValue,
        told_under: Option<RequestId>,
    },
    /// Only a query tells whether WeChat Pay has the order.
    InDoubt(ExistenceQuery),
    /// The order is refused for good.
    Refused(Refusal),
    /// No result, for this reason.
    None(IssueFailure),
}

/// What a query must find out, and how.
struct ExistenceQuery {
    /// Whether an order that WeChat Pay has under the number cannot be ours.
    foreign: bool,
    /// The refusal that rejects the order if it does not exist; `None` if nothing rejects it.
    refusal: Option<Refusal>,
}

/// The time left, limited to the maximum for one call; `None` if it is too short for a call.
fn share(deadline: &Deadline) -> Option<Duration> {
    let left = deadline.left();
    (left >= CALL_MIN).then(|| left.min(CALL_MAX))
}
