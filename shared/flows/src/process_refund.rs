//! Refunds: accepting them, and carrying them out at WeChat Pay.
//!
//! A conditional write reserves the money before WeChat Pay is called. Then the queue or the sweep,
//! whichever is first, claims the refund and sends it. From the second attempt on, WeChat Pay is
//! queried before the refund is sent again, always with the same number and the same bytes. Sending
//! a refund blocks its order for a minute, since WeChat Pay accepts one refund a minute and several
//! postponed refunds may be due at the same time.

use std::time::Duration;

use adapters::{
    guards::{Guards, GuardsError, Lease, LeaseKey},
    order_table::{ParkedStatus, RefundBasis, TableError},
    wechat_api::{CallReply, NotSent, WechatApi},
};
use payments::{
    model::{
        decision::{self, Destination, Redirection},
        ids::{ClientId, OrderNo, OutRefundNo, RefundId, RefundNo},
        journal::{Cause, ChangeContext, Subject},
        next_check::NextCheck,
        order::Order,
        parked::{ParkedState, RefundToPark},
        refund::{ABNORMAL_AGAIN, PaymentKind, REDIRECTED, Refund, RefundState, SLOT_S},
    },
    news::{
        call_outcome::{CallOutcome, is_transient_refusal},
        refund::{RefundNews, ReportedRefundStatus},
        unreadable::UnreadableNotice,
    },
    rules::{
        change::{OrderChange, RefundChange},
        decide_refund,
        overdue_refund::{self, OverdueStep, PendingAnswer, Trouble},
        reserve_refund::{self, Approval, RefundRejected, RefundRequest},
        schedule::{self, BALANCE_PAUSE_S},
        settle_refund::{self, RefundSettlement, RefusalStep, after_refusal},
        transition,
    },
};
use tracing::{error, info, warn};
use wechatpay::{
    RequestId, UnixSeconds,
    api::{
        AbnormalRefundBody, AbnormalRefundTo, ApplyAbnormalRefund, ErrorCode, QueryRefund, Refusal,
    },
    sensitive::EncryptFieldError,
};

use crate::{
    order_store::{
        OrderStore, OrderStoreError, TRIES, UNREADABLE_ANSWER, is_low_balance, what_to_do,
    },
    origin::Origin,
    problem::ErrorChain,
    settle_payment::SettleOutcome,
};

/// Gets refunds done.
#[derive(Clone, Debug)]
pub struct RefundFlow {
    books: OrderStore,
    wechat: WechatApi,
    guards: Guards,
}

/// A refund about which something was decided.
#[derive(Clone, Copy, Debug)]
pub struct RefundRef<'a> {
    /// The client. It sees its own orders only.
    pub client: &'a ClientId,
    /// The order.
    pub order_no: &'a OrderNo,
    /// The refund.
    pub refund_no: &'a RefundNo,
    /// Who made the decision. An API caller alone cannot decide about a second payment.
    pub by: Approval,
}

/// Result of a refund request.
#[derive(Clone, Debug, PartialEq)]
pub enum ReserveRefundOutcome {
    /// Its money is reserved; the queue continues.
    Reserved(Box<Refund>),
    /// It was requested before; this is its present state.
    AlreadyReserved(Box<Refund>),
    /// Another refund of the order has this number.
    NumberReused,
    /// This client has no such order.
    OrderNotFound,
    /// The rules do not allow it.
    Rejected(RefundRejected),
}

/// Result of processing a refund.
#[derive(Clone, Debug, PartialEq)]
pub enum Advanced {
    /// There was nothing to do: it is not due, no longer due, or another process is working on it.
    NotOurs,
    /// Its state changed.
    Moved,
    /// It is in progress, or WeChat Pay has not decided yet. It will be checked again.
    Open,
    /// WeChat Pay did not answer, or refused temporarily. It is due again soon.
    Unanswered,
    /// WeChat Pay's answer contradicts the books; an operator must check it.
    Parked,
}

/// Result of an operator's decision about a refund.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionOutcome {
    /// It is done; this is the refund then.
    Done(Box<Refund>),
    /// The refund is not in a state that allows this decision; this is the refund.
    WrongState(Box<Refund>),
    /// It was redirected before: WeChat Pay is paying it out, or is perhaps being called right now.
    InProgress(Box<Refund>),
    /// Two persons must decide about it, in the console.
    NeedsTwoPersons,
    /// WeChat Pay refused it.
    Refused(Refusal),
    /// WeChat Pay did not answer reliably. Try again later.
    Unknown,
    /// This client has no such refund.
    RefundNotFound,
}

/// Where the money of a refund goes that could not be paid out.
#[derive(Clone, PartialEq, Eq)]
pub enum RedirectTarget {
    /// To the merchant's own account; the merchant pays the payer by other means.
    Merchant,
    /// To another bank card of the payer's. Held only until it is encrypted for WeChat Pay.
    UserCard {
        /// Such as `ICBC_DEBIT`.
        bank_type: String,
        /// The card's number.
        bank_account: String,
        /// The holder's name.
        real_name: String,
    },
}

impl RedirectTarget {
    /// The kind of destination, without the card's data.
    pub const fn destination(&self) -> Destination {
        match self {
            Self::Merchant => Destination::Merchant,
            Self::UserCard { .. } => Destination::User,
        }
    }
}

/// Hides the card's data.
impl std::fmt::Debug for RedirectTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Merchant => "Merchant",
            Self::UserCard { .. } => "UserCard(..)",
        })
    }
}

/// Why processing a refund failed on our side. The refund is unchanged and due again.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The refund could not be read or written.
    #[error("the refund could not be read or written")]
    Books(#[from] OrderStoreError),
    /// The guards table failed.
    #[error("it could not be told whether refunds are paused")]
    Guards(#[from] GuardsError),
    /// The call could not be sent.
    #[error("WeChat Pay could not be asked about the refund")]
    NotSent(#[from] NotSent),
    /// A refund that was made in WeChat Pay's console returns a payment that is not booked yet. The
    /// news must be processed again later.
    #[error("the refund is of a payment that is not booked yet")]
    PaymentNotBooked,
    /// A field of the payer's card could not be encrypted.
    #[error("a field of the card could not be encrypted for WeChat Pay")]
    Field(#[from] EncryptFieldError),
}

impl From<TableError> for RefundError {
    fn from(error: TableError) -> Self {
        Self::Books(error.into())
    }
}

/// How the refund that news is about is found.
enum RefundLookup<'a> {
    /// By our number: this is the answer to our query.
    Ours(&'a RefundNo),
    /// By WeChat Pay's number: this is its notice.
    Named,
}

/// Who moved a refund.
enum MovedBy {
    /// We did.
    Us,
    /// Somebody else, before us.
    Others,
}

/// The state of a refund at WeChat Pay, as far as a query showed it.
enum RefundQueryOutcome {
    /// It gave the state.
    News(Box<RefundNews>),
    /// It knows no such refund; the answer had this `Request-ID`.
    NotThere(Option<RequestId>),
    /// It knows the refund, but its answer cannot be parsed.
    Unreadable(UnreadableNotice),
    /// Nothing to settle.
    Untold(PendingAnswer),
}

impl RefundFlow {
    /// Creates the flow over this order store and this client.
    pub fn new(books: OrderStore, wechat: WechatApi, guards: Guards) -> Self {
        Self {
            books,
            wechat,
            guards,
        }
    }

    /// Accepts a client's refund: reserves its money and sends a message to the queue.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn reserve(
        &self,
        client: &ClientId,
        order_no: &OrderNo,
        wanted: &RefundRequest,
        origin: &Origin,
    ) -> Result<ReserveRefundOutcome, RefundError> {
        let books = &self.books;
        for round in 0..TRIES {
            books.pause(round).await;
            let context = books.context(origin);
            let (order, known) = futures_util::try_join!(
                books.orders.read(order_no),
                books.orders.refund(order_no, &wanted.refund_no)
            )?;
            let parked = match &wanted.terms.transaction_id {
                Some(id) => books.orders.parked_payment(order_no, id).await?,
                None => None,
            };
            let basis = RefundBasis {
                order,
                refund: known,
                parked,
            };
            let change = match self.judge(client, wanted, basis, &context).await? {
                Ok(change) => change,
                Err(
                    known @ (ReserveRefundOutcome::Reserved(_)
                    | ReserveRefundOutcome::AlreadyReserved(_)
                    | ReserveRefundOutcome::NumberReused),
                ) => {
                    return Ok(known);
                }
                // If a concurrent duplicate commits between these reads, some of them show it and
                // some do not, and this request would be rejected because of its own money. So a
                // rejection is only based on reads of one moment (a transaction).
                Err(ReserveRefundOutcome::OrderNotFound | ReserveRefundOutcome::Rejected(_)) => {
                    let transaction_id = wanted.terms.transaction_id.as_ref();
                    let at_once = books
                        .orders
                        .refund_basis(order_no, &wanted.refund_no, transaction_id)
                        .await;
                    let basis = match at_once {
                        Err(TableError::Conflict) => continue,
                        basis => basis?,
                    };
                    match self.judge(client, wanted, basis, &context).await? {
                        Ok(change) => change,
                        Err(taken) => return Ok(taken),
                    }
                }
            };
            if books.write(&change).await?
                && let Some(RefundChange::New(refund)) = change.refund
            {
                return Ok(ReserveRefundOutcome::Reserved(refund));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// The write that accepts a refund, or why it is rejected.
    async fn judge(
        &self,
        client: &ClientId,
        wanted: &RefundRequest,
        basis: RefundBasis,
        context: &ChangeContext,
    ) -> Result<Result<OrderChange, ReserveRefundOutcome>, TableError> {
        let Some(order) = basis.order.filter(|order| order.client_id == *client) else {
            return Ok(Err(ReserveRefundOutcome::OrderNotFound));
        };
        if let Some(refund) = basis.refund {
            return Ok(Err(if refund.fingerprint == wanted.terms.fingerprint() {
                ReserveRefundOutcome::AlreadyReserved(Box::new(refund))
            } else {
                ReserveRefundOutcome::NumberReused
            }));
        }
        let earlier = if reserve_refund::asks_for_owed_money(&order, wanted) {
            self.books.orders.refunds(&order.order_no).await?
        } else {
            Vec::new()
        };
        let (parked, notify_url) = (basis.parked.as_ref(), &self.books.facts.notify_url);
        let change = reserve_refund::reserve(&order, parked, &earlier, wanted, notify_url, context);
        Ok(change.map_err(ReserveRefundOutcome::Rejected))
    }

    /// Processes a refund that may be due: claims it, queries or sends it, and settles the answer.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn advance(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let now = self.books.clock.now();
        let Some(seen) = self.books.orders.refund(order_no, refund_no).await? else {
            return Ok(Advanced::NotOurs);
        };
        let next = match (
            seen.due,
            schedule::next_refund_check(&seen, &seen.state, now),
        ) {
            (Some(due), Some(next)) if due.at <= now => next,
            // An earlier version of this code kept checking refunds that an operator had dealt
            // with.
            (Some(due), None) if due.at <= now => {
                self.books.orders.remove_refund_check(&seen).await?;
                return Ok(Advanced::NotOurs);
            }
            (Some(_) | None, _) => return Ok(Advanced::NotOurs),
        };
        if !self.books.orders.claim_refund(&seen, next).await? {
            return Ok(Advanced::NotOurs);
        }
        let claimed = Refund {
            tries: seen.tries.saturating_add(1),
            due: Some(next),
            ..seen.clone()
        };
        // Boxed because this future is large: it covers everything that can happen to a refund.
        let driven = Box::pin(self.get_on(&seen, &claimed, within, origin)).await;
        if comes_again_soon(&driven) {
            self.look_again(&claimed).await;
        }
        driven
    }

    /// Queries or sends a claimed refund, and settles the answer. `seen` is the refund before the
    /// claim.
    async fn get_on(
        &self,
        seen: &Refund,
        claimed: &Refund,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let (order_no, refund_no) = (&claimed.order_no, &claimed.refund_no);
        if claimed.state == RefundState::Closed {
            return self.still_owed(claimed).await;
        }
        if claimed.owes_its_payer() {
            say_who_is_needed(claimed);
            return Ok(Advanced::Open);
        }
        let never_sent = seen.state == RefundState::Reserved && seen.tries == 0;
        if !never_sent {
            match self.ask(&claimed.out_refund_no, within / 2).await? {
                RefundQueryOutcome::News(news) => {
                    let which = RefundLookup::Ours(refund_no);
                    let settled = self.settle_found(&news, &which, origin).await?;
                    let noted = self.note_redirection(claimed, &news, origin).await?;
                    match &settled {
                        SettleOutcome::StillOpen => {
                            let no_end = PendingAnswer::Processing;
                            return self.without_end(&noted, &no_end, origin).await;
                        }
                        SettleOutcome::AlreadyDone => say_who_is_needed(&noted),
                        SettleOutcome::Changed | SettleOutcome::Parked { .. } => {}
                    }
                    return Ok(driven(settled));
                }
                RefundQueryOutcome::NotThere(_) if claimed.state == RefundState::Reserved => {}
                RefundQueryOutcome::NotThere(_)
                    if matches!(claimed.state, RefundState::Refused(_)) =>
                {
                    say_who_is_needed(claimed);
                    return Ok(Advanced::Open);
                }
                RefundQueryOutcome::NotThere(request_id) => {
                    error!(
                        order_no = order_no.as_str(),
                        refund_no = refund_no.as_str(),
                        state = claimed.state.name(),
                        wechat_request_id = request_id.as_ref().map(RequestId::as_str),
                        what_to_do = "ask WeChat Pay's support what became of it, and give them the Request-ID",
                        "WeChat Pay accepted the refund before and does not know it now"
                    );
                    return Ok(Advanced::Open);
                }
                RefundQueryOutcome::Unreadable(unreadable) => {
                    return self.known_unread(claimed, &unreadable, origin).await;
                }
                RefundQueryOutcome::Untold(no_end) => {
                    return self.without_end(claimed, &no_end, origin).await;
                }
            }
        }
        self.send(claimed, within / 2, origin).await
    }

    /// Makes a claimed refund due again soon when it could not be queried or sent. After a crash
    /// before this write it stays due at its regular next step.
    async fn look_again(&self, claimed: &Refund) {
        let Some(next) = schedule::sooner_refund_check(claimed, self.books.clock.now()) else {
            return;
        };
        if let Err(error) = self.books.orders.check_refund_sooner(claimed, next).await {
            warn!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                error = %ErrorChain(&error),
                "a refund that got no answer waits for its next step"
            );
        }
    }

    /// The refund of money that is owed back failed for good. The money is owed until it is
    /// returned in another way.
    async fn still_owed(&self, refund: &Refund) -> Result<Advanced, RefundError> {
        let (orders, order_no) = (&self.books.orders, &refund.order_no);
        let (is_owed, is_over) = match refund.of {
            PaymentKind::Booked => match orders.read(order_no).await? {
                Some(order) => {
                    let refunds = orders.refunds(order_no).await?;
                    let is_back = reserve_refund::outstanding_fen(&order, &refunds) <= 0;
                    (reserve_refund::owed_fen(&order, &refunds) > 0, is_back)
                }
                None => (false, true),
            },
            PaymentKind::Parked => {
                let id = &refund.transaction_id;
                let parked = orders.parked_payment(order_no, id).await?;
                let is_owed = parked.is_some_and(|parked| parked.state == ParkedState::Parked)
                    && reserve_refund::released_fen(&orders.refunds(order_no).await?, id) == 0;
                // If another refund returns the money, that refund is checked itself when it fails.
                (is_owed, !is_owed)
            }
        };
        if is_owed {
            say_who_is_needed(refund);
        } else if is_over {
            self.books.orders.remove_refund_check(refund).await?;
        }
        // Otherwise another refund is under way, and only its client would learn of its failure.
        Ok(Advanced::Open)
    }

    /// Settles WeChat Pay's notice about a refund, one of ours or one that was made in its console.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn settle(
        &self,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<SettleOutcome, RefundError> {
        self.settle_found(news, &RefundLookup::Named, origin).await
    }

    /// Retries a refused refund on an operator's decision. `decided` is who and why, if given.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn retry(
        &self,
        of: &RefundRef<'_>,
        decided: Option<&decision::DecidedBy>,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = match self.to_decide_about(of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not),
            };
            let context = self.books.context(origin);
            let Some(change) = decide_refund::retry(&order, &refund, decided, &context) else {
                return Ok(if self.was_retried(&refund).await? {
                    DecisionOutcome::Done(Box::new(refund))
                } else {
                    DecisionOutcome::WrongState(Box::new(refund))
                });
            };
            if self.books.write(&change).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// Whether an earlier retry already had the effect: its answer was lost, or a concurrent
    /// duplicate was faster.
    async fn was_retried(&self, refund: &Refund) -> Result<bool, TableError> {
        match &refund.state {
            RefundState::Reserved | RefundState::Processing | RefundState::Succeeded(_) => {}
            RefundState::Refused(_) | RefundState::Closed | RefundState::Abnormal => {
                return Ok(false);
            }
        }
        let journal = self.books.orders.journal(&refund.order_no).await?;
        Ok(journal.iter().any(|event| {
            event.subject == Subject::Refund(refund.refund_no.clone())
                && event.from.as_deref() == Some("refused")
                && event.to == RefundState::Reserved.name()
        }))
    }

    /// Releases the money of a refused refund on an operator's decision, once WeChat Pay says that
    /// it knows no such refund.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn release(
        &self,
        of: &RefundRef<'_>,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let deadline = self.books.clock.deadline(within);
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = match self.to_decide_about(of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not),
            };
            let context = self.books.context(origin);
            let Some(change) = decide_refund::release(&order, &refund, decided.clone(), &context)
            else {
                // The same decision by the same person again: the first answer was lost, or a
                // concurrent duplicate was faster.
                let is_done = refund.is_released() && refund.decided.as_ref() == Some(decided);
                return Ok(if is_done {
                    DecisionOutcome::Done(Box::new(refund))
                } else {
                    DecisionOutcome::WrongState(Box::new(refund))
                });
            };
            let left = deadline.left();
            if left.is_zero() {
                return Ok(DecisionOutcome::Unknown);
            }
            match self.ask(&refund.out_refund_no, left).await? {
                RefundQueryOutcome::NotThere(_) => {}
                RefundQueryOutcome::Unreadable(unreadable) => {
                    say_unreadable(&refund, &unreadable);
                    return Ok(DecisionOutcome::Unknown);
                }
                RefundQueryOutcome::Untold(_) => return Ok(DecisionOutcome::Unknown),
                RefundQueryOutcome::News(news) => {
                    let which = RefundLookup::Ours(of.refund_no);
                    self.settle_found(&news, &which, origin).await?;
                    let refund = self.reread(refund).await?;
                    return Ok(DecisionOutcome::WrongState(Box::new(refund)));
                }
            }
            if self.books.write(&change).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// Redirects the money of an abnormal refund: `decided` is who decided, and why. This is stored
    /// before WeChat Pay is called, so that a later success is never mistaken for money that the
    /// payer has received.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn redirect(
        &self,
        of: &RefundRef<'_>,
        to: &RedirectTarget,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        // Boxed because this future is large: it covers everything that can happen to an abnormal
        // refund.
        Box::pin(self.send_on(of, to, decided, within, origin)).await
    }

    async fn send_on(
        &self,
        of: &RefundRef<'_>,
        to: &RedirectTarget,
        decided: &decision::DecidedBy,
        within: Duration,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let wanted = Redirection {
            to: to.destination(),
            decided: decided.clone(),
            at: self.books.clock.now(),
            told_again_at: None,
        };
        let (_, refund) = match self.to_decide_about(of).await? {
            Ok(both) => both,
            Err(not) => return Ok(not),
        };
        if let Some(decided) = cannot_be_redirected(&refund, &wanted) {
            return Ok(decided);
        }
        // It may have been redirected before without our knowledge.
        match self.ask(&refund.out_refund_no, within / 4).await? {
            RefundQueryOutcome::News(news) if news.status == ReportedRefundStatus::Abnormal => {}
            RefundQueryOutcome::News(news) => {
                let refund = self.after_news(of, &news, refund, origin).await?;
                // For example redirected in WeChat Pay's console: no decision is needed for now.
                let refund = self.note_redirection(&refund, &news, origin).await?;
                return Ok(redirected_before(refund, &wanted));
            }
            RefundQueryOutcome::Unreadable(unreadable) => {
                say_unreadable(&refund, &unreadable);
                return Ok(DecisionOutcome::Unknown);
            }
            RefundQueryOutcome::NotThere(_) | RefundQueryOutcome::Untold(_) => {
                return Ok(DecisionOutcome::Unknown);
            }
        }
        let call = self.abnormal_call(&refund, to).await?;
        let refund = match self.write_redirected(of, &wanted, origin).await? {
            Ok(refund) => refund,
            Err(not) => return Ok(not),
        };
        let [host, _] = self.wechat.hosts();
        let CallReply { answer, request_id } = self.wechat.call(&call, host, within / 2).await?;
        match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => {
                    let news = news.told_under(request_id);
                    let refund = self.after_news(of, &news, refund, origin).await?;
                    Ok(DecisionOutcome::Done(Box::new(refund)))
                }
                // It was accepted after all.
                Err(unreadable) => {
                    say_unreadable(&refund, &unreadable);
                    Ok(DecisionOutcome::Unknown)
                }
            },
            CallOutcome::Unreadable(unreadable) => {
                say_unreadable(&refund, &UnreadableNotice::Answer(unreadable));
                Ok(DecisionOutcome::Unknown)
            }
            // An operator is waiting, so the answer is given at once.
            CallOutcome::Refused(refusal) => match after_refusal(&refusal, i64::MAX) {
                RefusalStep::Refuse { .. } | RefusalStep::Pause => {
                    let refused = (refusal, within / 4);
                    self.not_taken(of, &wanted, refused, origin).await
                }
                // A 5xx or 429, signed or not, may have been carried out.
                RefusalStep::Later => Ok(DecisionOutcome::Unknown),
            },
            CallOutcome::Unknown(_) => Ok(DecisionOutcome::Unknown),
        }
    }

    /// The request to WeChat Pay for an abnormal refund. Card data is encrypted here and dropped
    /// afterwards.
    async fn abnormal_call(
        &self,
        refund: &Refund,
        to: &RedirectTarget,
    ) -> Result<ApplyAbnormalRefund, RefundError> {
        let to = match to {
            RedirectTarget::Merchant => AbnormalRefundTo::MerchantBankCard,
            RedirectTarget::UserCard {
                bank_type,
                bank_account,
                real_name,
            } => {
                let key = self.wechat.field_key().await?;
                AbnormalRefundTo::UserBankCard {
                    bank_type: bank_type.clone(),
                    bank_account: key.encrypt(bank_account)?,
                    real_name: key.encrypt(real_name)?,
                }
            }
        };
        let refund_id = refund.refund_id.as_ref().map_or("", RefundId::as_str);
        Ok(ApplyAbnormalRefund::new(
            refund_id,
            &AbnormalRefundBody {
                out_refund_no: refund.out_refund_no.as_str().to_owned(),
                to,
            },
        ))
    }

    /// Stores where the money goes, unless the refund changed meanwhile or another process was
    /// faster. For a repeat of the same decision it only records that WeChat Pay is called again.
    async fn write_redirected(
        &self,
        of: &RefundRef<'_>,
        wanted: &Redirection,
        origin: &Origin,
    ) -> Result<Result<Refund, DecisionOutcome>, RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = match self.to_decide_about(of).await? {
                Ok(both) => both,
                Err(not) => return Ok(Err(not)),
            };
            if let Some(at) = told_again_at(&refund, wanted, self.books.clock.now()) {
                let due = schedule::refund_check_at(of.order_no, at.0.saturating_add(SLOT_S));
                match self.books.orders.redirect_again(&refund, at, due).await {
                    Ok(true) => return Ok(Ok(self.reread(refund).await?)),
                    Ok(false) | Err(TableError::Conflict) => continue,
                    Err(other) => return Err(other.into()),
                }
            }
            if let Some(decided) = cannot_be_redirected(&refund, wanted) {
                return Ok(Err(decided));
            }
            let context = self.books.context(origin);
            let change = decide_refund::redirect(&order, &refund, wanted.clone(), &context);
            if let Some(change) = change
                && self.books.write(&change).await?
            {
                return Ok(Ok(self.reread(refund).await?));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// WeChat Pay refused to redirect a refund. Error answers are not signed, and a concurrent
    /// duplicate of this decision may have succeeded. So query once more before undoing the
    /// decision.
    async fn not_taken(
        &self,
        of: &RefundRef<'_>,
        wanted: &Redirection,
        (refusal, within): (Refusal, Duration),
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        let deadline = self.books.clock.deadline(within);
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = match self.to_decide_about(of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not),
            };
            // Checked in every round: the write before may have failed because of a concurrent
            // duplicate.
            let left = deadline.left();
            if left.is_zero() {
                break;
            }
            match self.ask(&refund.out_refund_no, left).await? {
                RefundQueryOutcome::News(news) if news.status == ReportedRefundStatus::Abnormal => {
                }
                RefundQueryOutcome::News(news) => {
                    let refund = self.after_news(of, &news, refund, origin).await?;
                    return Ok(redirected_before(refund, wanted));
                }
                // The sweep queries it in a minute, and operators are asked again if it is
                // abnormal.
                RefundQueryOutcome::Unreadable(_)
                | RefundQueryOutcome::NotThere(_)
                | RefundQueryOutcome::Untold(_) => break,
            }
            let context = self.books.context(origin);
            let context = context.told_under(refusal.request_id.as_ref());
            let code = &refusal.raw_code;
            let change = decide_refund::undo_redirect(&order, &refund, wanted, code, &context);
            let Some(change) = change else {
                return Ok(DecisionOutcome::Refused(refusal));
            };
            if self.books.write(&change).await? {
                return Ok(DecisionOutcome::Refused(refusal));
            }
        }
        warn!(
            order_no = of.order_no.as_str(),
            refund_no = of.refund_no.as_str(),
            "where a refund was to go stands, though WeChat Pay refused it: the sweep asks in a minute"
        );
        Ok(DecisionOutcome::Refused(refusal))
    }

    /// Settles WeChat Pay's answer about a refund, and returns the refund afterwards.
    async fn after_news(
        &self,
        of: &RefundRef<'_>,
        news: &RefundNews,
        refund: Refund,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        let which = RefundLookup::Ours(of.refund_no);
        self.settle_found(news, &which, origin).await?;
        self.reread(refund).await
    }

    /// Records how an operator paid the payer whose money went to the merchant's own account.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn payer_paid(
        &self,
        of: &RefundRef<'_>,
        decided: &decision::DecidedBy,
        origin: &Origin,
    ) -> Result<DecisionOutcome, RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = match self.to_decide_about(of).await? {
                Ok(both) => both,
                Err(not) => return Ok(not),
            };
            // Only the console may replace an earlier statement, because a difference can be
            // reopened there.
            match &refund.payer_paid {
                Some(paid) if paid.decided == *decided => {
                    return Ok(DecisionOutcome::Done(Box::new(refund)));
                }
                Some(_) if of.by == Approval::Caller => {
                    return Ok(DecisionOutcome::WrongState(Box::new(refund)));
                }
                Some(_) | None => {}
            }
            let context = self.books.context(origin);
            let change =
                decide_refund::confirm_payer_paid(&order, &refund, decided.clone(), &context);
            let Some(change) = change else {
                return Ok(DecisionOutcome::WrongState(Box::new(refund)));
            };
            if self.books.write(&change).await? {
                return Ok(DecisionOutcome::Done(Box::new(self.reread(refund).await?)));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// Sends a refund whose money is reserved, for the first time or because WeChat Pay says that
    /// it never received it.
    async fn send(
        &self,
        claimed: &Refund,
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let now = self.books.clock.now();
        let (order_no, refund_no) = (&claimed.order_no, &claimed.refund_no);
        let mchid = self.wechat.mchid();
        if let Some(until) = self.guards.refunds_paused_until(mchid, now).await? {
            let next = schedule::refund_check_at(order_no, until.0);
            let context = self.books.context(origin);
            self.rest(claimed, LOW_BALANCE, next, &context).await?;
            return Ok(Advanced::Open);
        }
        let minute = LeaseKey::Refund { mchid, order_no };
        let holder = claimed.out_refund_no.as_str();
        let now = self.books.clock.now();
        match self.guards.lease(&minute, holder, SLOT_S, now).await? {
            Lease::Acquired => {}
            Lease::Held { until, .. } => return self.put_off(claimed, until, origin).await,
        }
        let [host, _] = self.wechat.hosts();
        let CallReply { answer, request_id } =
            self.wechat.call(&claimed.request(), host, within).await?;
        let refusal = match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => {
                    let which = RefundLookup::Ours(refund_no);
                    let news = news.told_under(request_id);
                    let settled = self.settle_found(&news, &which, origin).await?;
                    return Ok(driven(settled));
                }
                Err(unreadable) => return self.note_unreadable(claimed, &unreadable).await,
            },
            CallOutcome::Unreadable(unreadable) => {
                let unreadable = UnreadableNotice::Answer(unreadable);
                return self.note_unreadable(claimed, &unreadable).await;
            }
            // It is unknown whether it was accepted, so the next check queries first.
            CallOutcome::Unknown(_) => return Ok(Advanced::Unanswered),
            CallOutcome::Refused(refusal) => refusal,
        };
        match after_refusal(&refusal, self.waits_s(claimed)) {
            RefusalStep::Later => {
                self.note_delay(claimed, &refusal).await?;
                Ok(if is_transient_refusal(&refusal) {
                    Advanced::Unanswered
                } else {
                    Advanced::Open
                })
            }
            RefusalStep::Pause => {
                let until = UnixSeconds(now.0.saturating_add(BALANCE_PAUSE_S));
                error!(
                    order_no = order_no.as_str(),
                    refund_no = refund_no.as_str(),
                    pause_s = BALANCE_PAUSE_S,
                    wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                    what_to_do =
                        "fill up the merchant's balance at WeChat Pay; refunds go on by themselves",
                    "all refunds rest: the balance is too low"
                );
                self.guards.pause_refunds(mchid, until).await?;
                // After the other refunds, which may be smaller.
                let next = schedule::refund_check_at(
                    order_no,
                    until.0.saturating_add(BALANCE_PAUSE_S / 2),
                );
                let context = self.books.context(origin);
                let context = context.told_under(refusal.request_id.as_ref());
                self.rest(claimed, &refusal.raw_code, next, &context)
                    .await?;
                Ok(Advanced::Open)
            }
            RefusalStep::Refuse { code } => {
                let refused = (code, refusal.request_id.as_ref());
                self.refuse(claimed, refused, within, origin).await
            }
        }
    }

    /// Pauses a refund until there are funds. The first pause sends its client an event.
    async fn rest(
        &self,
        claimed: &Refund,
        trouble: &str,
        next: NextCheck,
        context: &ChangeContext,
    ) -> Result<(), RefundError> {
        let rests_already = claimed.trouble.as_deref().is_some_and(is_low_balance);
        // The cause shown for an overdue refund stays.
        if rests_already || claimed.overdue_since.is_some() {
            let trouble = claimed.trouble.as_deref().unwrap_or(trouble);
            self.books
                .orders
                .hold_refund(claimed, trouble, next)
                .await?;
            return Ok(());
        }
        for round in 0..TRIES {
            self.books.pause(round).await;
            let (order, refund) = futures_util::try_join!(
                self.books.orders.read(&claimed.order_no),
                self.books
                    .orders
                    .refund(&claimed.order_no, &claimed.refund_no)
            )?;
            let (Some(order), Some(refund)) = (order, refund) else {
                return Ok(());
            };
            if refund.state != claimed.state || refund.tries != claimed.tries {
                return Ok(());
            }
            let change = overdue_refund::pause(&order, &refund, trouble, next, context);
            if self.books.write(&change).await? {
                return Ok(());
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// The time until which the merchant's refunds are paused for lack of funds; `None` if they are
    /// not.
    ///
    /// # Errors
    /// The guards table did not answer.
    pub async fn paused_until(&self) -> Result<Option<UnixSeconds>, RefundError> {
        let now = self.books.clock.now();
        let mchid = self.wechat.mchid();
        Ok(self.guards.refunds_paused_until(mchid, now).await?)
    }

    /// Another refund of the order was just sent, and WeChat Pay accepts one a minute. Nothing was
    /// attempted, so no attempt is counted.
    async fn put_off(
        &self,
        claimed: &Refund,
        until: UnixSeconds,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let next = schedule::after_order_interval(claimed, until);
        if self.books.orders.put_off_refund(claimed, next).await? {
            info!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                until = next.at.0,
                "another refund of the order was sent within the minute: this one waits"
            );
            let trace_id = origin.trace.id();
            self.books.announce_refund(claimed, next.at, trace_id).await;
        }
        Ok(Advanced::Open)
    }

    /// How long a refund has been due, in seconds.
    fn waits_s(&self, claimed: &Refund) -> i64 {
        self.books.clock.now().0.saturating_sub(claimed.slot_at.0)
    }

    /// It is not sent for now. An operator is notified if that lasts. Causes that an operator must
    /// fix were already logged by the WeChat Pay client.
    async fn note_delay(&self, claimed: &Refund, refusal: &Refusal) -> Result<(), RefundError> {
        let waits_s = self.waits_s(claimed);
        if waits_s > LASTS_S {
            error!(
                order_no = claimed.order_no.as_str(),
                refund_no = claimed.refund_no.as_str(),
                waits_s,
                wechat_request_id = refusal.request_id.as_ref().map(RequestId::as_str),
                %refusal,
                "a refund does not get on"
            );
        }
        if let Some(due) = claimed.due {
            self.books
                .orders
                .hold_refund(claimed, &refusal.raw_code, due)
                .await?;
        }
        Ok(())
    }

    /// WeChat Pay accepted a refund, but its answer cannot be parsed. The next check queries it.
    async fn note_unreadable(
        &self,
        claimed: &Refund,
        unreadable: &UnreadableNotice,
    ) -> Result<Advanced, RefundError> {
        say_unreadable(claimed, unreadable);
        // The redirect is recorded nowhere else. Without it operators would be asked to redirect or
        // pay the money again.
        if let Some(due) = claimed.due.filter(|_| !claimed.is_redirected()) {
            self.books
                .orders
                .hold_refund(claimed, UNREADABLE_ANSWER, due)
                .await?;
        }
        Ok(Advanced::Parked)
    }

    /// WeChat Pay knows the refund, but its answer cannot be parsed. So the refund was accepted and
    /// no longer waits to be sent. Its money stays reserved, and each check notifies an operator
    /// until an answer can be parsed.
    async fn known_unread(
        &self,
        claimed: &Refund,
        unreadable: &UnreadableNotice,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let context = self.books.context(origin);
        let moved = self.moved_on(claimed, &RefundState::Processing, &context);
        match moved.await? {
            Some((_, refund)) => self.note_unreadable(&refund, unreadable).await,
            None => Ok(Advanced::NotOurs),
        }
    }

    /// WeChat Pay refused a refund. This is recorded once a query confirms that the refund does not
    /// exist.
    async fn refuse(
        &self,
        claimed: &Refund,
        (code, told_under): (String, Option<&RequestId>),
        within: Duration,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        match self.ask(&claimed.out_refund_no, within).await? {
            RefundQueryOutcome::Untold(PendingAnswer::Unanswered) => {
                return Ok(Advanced::Unanswered);
            }
            // The next check queries again, and logs it if that lasts.
            RefundQueryOutcome::Untold(PendingAnswer::Refused(_) | PendingAnswer::Processing) => {
                return Ok(Advanced::Open);
            }
            RefundQueryOutcome::Unreadable(unreadable) => {
                return self.known_unread(claimed, &unreadable, origin).await;
            }
            RefundQueryOutcome::News(news) => {
                let which = RefundLookup::Ours(&claimed.refund_no);
                return Ok(driven(self.settle_found(&news, &which, origin).await?));
            }
            RefundQueryOutcome::NotThere(_) => {}
        }
        let context = self.books.context(origin).told_under(told_under);
        let refused = RefundState::Refused(code);
        let moved = self.moved_on(claimed, &refused, &context);
        Ok(match moved.await? {
            Some((MovedBy::Us, _)) => Advanced::Moved,
            Some((MovedBy::Others, _)) => Advanced::Open, // news came meanwhile
            None => Advanced::NotOurs,
        })
    }

    /// Moves a refund that waits to be sent to this state, unless it changed meanwhile. Returns the
    /// refund afterwards, or `None` if it no longer exists.
    async fn moved_on(
        &self,
        claimed: &Refund,
        to: &RefundState,
        context: &ChangeContext,
    ) -> Result<Option<(MovedBy, Refund)>, RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let both = self.both(&claimed.order_no, &claimed.refund_no).await?;
            let Some((order, refund)) = both else {
                return Ok(None);
            };
            if refund.state != RefundState::Reserved {
                return Ok(Some((MovedBy::Others, refund)));
            }
            let change = transition::transition(&order, &refund, to.clone(), None, context);
            if self.books.write(&change).await? {
                return Ok(Some((MovedBy::Us, self.reread(refund).await?)));
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// Queries the state of a refund at WeChat Pay.
    async fn ask(
        &self,
        out_refund_no: &OutRefundNo,
        within: Duration,
    ) -> Result<RefundQueryOutcome, RefundError> {
        let query = QueryRefund {
            out_refund_no: out_refund_no.as_str().to_owned(),
        };
        let CallReply { answer, request_id } = self.wechat.call_either(&query, within).await?;
        Ok(match answer {
            CallOutcome::Done(answer) => match RefundNews::try_from(answer) {
                Ok(news) => RefundQueryOutcome::News(Box::new(news.told_under(request_id))),
                Err(unreadable) => RefundQueryOutcome::Unreadable(unreadable),
            },
            CallOutcome::Unreadable(unreadable) => {
                RefundQueryOutcome::Unreadable(UnreadableNotice::Answer(unreadable))
            }
            CallOutcome::Refused(refusal) if refusal.code == ErrorCode::ResourceNotExists => {
                RefundQueryOutcome::NotThere(request_id)
            }
            CallOutcome::Refused(refusal) if !is_transient_refusal(&refusal) => {
                // An error page of a proxy has no code.
                let code = if refusal.raw_code.is_empty() {
                    format!("HTTP_{}", refusal.status)
                } else {
                    refusal.raw_code
                };
                RefundQueryOutcome::Untold(PendingAnswer::Refused(code))
            }
            CallOutcome::Refused(_) | CallOutcome::Unknown(_) => {
                RefundQueryOutcome::Untold(PendingAnswer::Unanswered)
            }
        })
    }

    /// The query left the refund unfinished. After a while an operator is notified.
    async fn without_end(
        &self,
        claimed: &Refund,
        no_end: &PendingAnswer,
        origin: &Origin,
    ) -> Result<Advanced, RefundError> {
        let note = async |trouble: Option<&Trouble>| match claimed.due {
            Some(due) => {
                let orders = &self.books.orders;
                orders.note_trouble(claimed, trouble, due).await.map(drop)
            }
            None => Ok(()),
        };
        match overdue_refund::check_overdue(claimed, no_end, self.books.clock.now()) {
            OverdueStep::KeepWaiting => {}
            OverdueStep::RemindOperator => say_who_is_needed(claimed),
            OverdueStep::NoteTrouble(trouble) => note(Some(&trouble)).await?,
            OverdueStep::ForgetTrouble => note(None).await?,
            OverdueStep::MarkOverdue(trouble) => {
                self.mark(claimed, Some(&trouble), origin).await?;
            }
            OverdueStep::ClearOverdue => self.mark(claimed, None, origin).await?,
        }
        Ok(match no_end {
            PendingAnswer::Unanswered => Advanced::Unanswered,
            PendingAnswer::Processing | PendingAnswer::Refused(_) => Advanced::Open,
        })
    }

    /// Marks a refund as overdue with this cause, or as no longer overdue, unless it has changed.
    async fn mark(
        &self,
        claimed: &Refund,
        overdue: Option<&Trouble>,
        origin: &Origin,
    ) -> Result<(), RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let both = self.both(&claimed.order_no, &claimed.refund_no).await?;
            let Some((order, refund)) = both else {
                return Ok(());
            };
            let has_moved = refund.state != claimed.state || refund.tries != claimed.tries;
            let is_marked = match overdue {
                Some(trouble) => {
                    refund.overdue_since.is_some() && refund.trouble.as_ref() == Some(&trouble.code)
                }
                None => refund.overdue_since.is_none(),
            };
            if has_moved || is_marked {
                return Ok(());
            }
            let context = self.books.context(origin);
            let change = overdue_refund::mark_overdue(&order, &refund, overdue, &context);
            if self.books.write(&change).await? {
                return Ok(());
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    async fn settle_found(
        &self,
        news: &RefundNews,
        which: &RefundLookup<'_>,
        origin: &Origin,
    ) -> Result<SettleOutcome, RefundError> {
        let books = &self.books;
        for round in 0..TRIES {
            books.pause(round).await;
            let (order, found) = match which {
                RefundLookup::Ours(refund_no) => futures_util::try_join!(
                    books.orders.read(&news.order_no),
                    books.orders.refund(&news.order_no, refund_no)
                )?,
                RefundLookup::Named => futures_util::try_join!(
                    books.orders.read(&news.order_no),
                    books
                        .orders
                        .refund_known_as(&news.order_no, &news.out_refund_no)
                )?,
            };
            let context = books.context(origin).told_under(news.request_id.as_ref());
            let settlement = match (&order, which, &found) {
                (Some(order), RefundLookup::Named, None) => {
                    // Made elsewhere. For a payment that is not the order's, its parked record
                    // decides.
                    let parked = match order.state.payment() {
                        Some(payment) if payment.transaction_id == news.transaction_id => None,
                        Some(_) | None => {
                            books
                                .orders
                                .parked_payment(&news.order_no, &news.transaction_id)
                                .await?
                        }
                    };
                    let facts = &books.facts;
                    match &parked {
                        Some(parked) => settle_refund::settle_parked_refund(
                            order, parked, facts, news, &context,
                        ),
                        None => settle_refund::settle_refund(order, None, facts, news, &context),
                    }
                }
                (Some(order), RefundLookup::Named | RefundLookup::Ours(_), Some(_)) => {
                    settle_refund::settle_refund(
                        order,
                        found.as_ref(),
                        &books.facts,
                        news,
                        &context,
                    )
                }
                // The query was about one refund, the answer is about one of another order.
                (Some(_), RefundLookup::Ours(_), None) | (None, _, _) => {
                    settle_refund::settle_unknown_refund(news)
                }
            };
            match settlement {
                RefundSettlement::AlreadyDone => return Ok(SettleOutcome::AlreadyDone),
                RefundSettlement::StillOpen => return Ok(SettleOutcome::StillOpen),
                RefundSettlement::PaymentNotBooked => return Err(RefundError::PaymentNotBooked),
                RefundSettlement::Park(parked) => {
                    // The refund may have been read just before a concurrent copy of this news
                    // booked it, and the order, which then has its money, just after.
                    if found.is_none() && self.is_known(news, which).await? {
                        continue;
                    }
                    self.park(&parked, news.request_id.as_ref(), &origin.cause)
                        .await?;
                    return Ok(SettleOutcome::Parked {
                        what_to_do: parked.reason.to_string(),
                        notice_id: parked.notice_id(),
                    });
                }
                RefundSettlement::Change(change) => {
                    if books.write(&change).await? {
                        if found
                            .as_ref()
                            .is_some_and(|refund| news.contradicts(refund))
                        {
                            say_who_has_it(news);
                        }
                        return Ok(SettleOutcome::Changed);
                    }
                }
            }
        }
        Err(OrderStoreError::Contended.into())
    }

    /// Whether the refund in this news is in the books.
    async fn is_known(
        &self,
        news: &RefundNews,
        which: &RefundLookup<'_>,
    ) -> Result<bool, TableError> {
        let orders = &self.books.orders;
        let found = match which {
            RefundLookup::Ours(refund_no) => orders.refund(&news.order_no, refund_no).await?,
            RefundLookup::Named => {
                orders
                    .refund_known_as(&news.order_no, &news.out_refund_no)
                    .await?
            }
        };
        Ok(found.is_some())
    }

    /// Parks a refund for an operator, and logs it each time until it is decided.
    async fn park(
        &self,
        parked: &RefundToPark,
        told_under: Option<&RequestId>,
        cause: &Cause,
    ) -> Result<(), TableError> {
        let now = self.books.clock.now();
        if self.books.orders.park_refund(parked, cause, now).await? == ParkedStatus::Waiting {
            error!(
                order_no = parked.order_no.as_str(),
                refund_id = parked.refund_id.as_str(),
                reason = parked.reason.name(),
                wechat_request_id = told_under.map(RequestId::as_str),
                what_to_do = %parked.reason,
                "refund parked for a person"
            );
        }
        Ok(())
    }

    /// An order of this client and one of its refunds that the caller may decide about.
    async fn to_decide_about(
        &self,
        of: &RefundRef<'_>,
    ) -> Result<Result<(Order, Refund), DecisionOutcome>, RefundError> {
        let both = self.both(of.order_no, of.refund_no).await?;
        let both = both.filter(|(order, _)| order.client_id == *of.client);
        Ok(match both {
            None => Err(DecisionOutcome::RefundNotFound),
            Some((order, refund))
                if of.by == Approval::Caller
                    && reserve_refund::needs_two_persons(&order, &refund) =>
            {
                Err(DecisionOutcome::NeedsTwoPersons)
            }
            Some(both) => Ok(both),
        })
    }

    /// An order and one of its refunds.
    async fn both(
        &self,
        order_no: &OrderNo,
        refund_no: &RefundNo,
    ) -> Result<Option<(Order, Refund)>, TableError> {
        let (order, refund) = futures_util::try_join!(
            self.books.orders.read(order_no),
            self.books.orders.refund(order_no, refund_no)
        )?;
        Ok(order.zip(refund))
    }

    /// The stored refund after a decision.
    async fn reread(&self, before: Refund) -> Result<Refund, RefundError> {
        let found = self
            .books
            .orders
            .refund(&before.order_no, &before.refund_no)
            .await?;
        Ok(found.unwrap_or(before))
    }

    /// An abnormal refund stays abnormal until its money arrives. Whether it was sent again or came
    /// back is kept in `trouble`; operators are asked only in the second case. An earlier decision
    /// does not say where the money goes then; it stays in the journal.
    async fn note_redirection(
        &self,
        claimed: &Refund,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        let is_sent_on = claimed.is_redirected() || claimed.redirected.is_some();
        let trouble = match (&claimed.state, news.status) {
            (RefundState::Abnormal, ReportedRefundStatus::Processing)
                if !claimed.is_redirected() =>
            {
                REDIRECTED
            }
            (RefundState::Abnormal, ReportedRefundStatus::Abnormal) if is_sent_on => {
                match &claimed.redirected {
                    Some(told) => {
                        return self.take_back(claimed, told, news, origin).await;
                    }
                    // In WeChat Pay's console: there is no decision of ours to take back.
                    None => ABNORMAL_AGAIN,
                }
            }
            (_, _) => return Ok(claimed.clone()),
        };
        let is_noted = match claimed.due {
            Some(due) => {
                let orders = &self.books.orders;
                orders.forget_redirection(claimed, trouble, due).await?
            }
            None => false,
        };
        // It was decided meanwhile.
        if !is_noted {
            return self.reread(claimed.clone()).await;
        }
        Ok(Refund {
            trouble: Some(trouble.to_owned()),
            trouble_since: None,
            redirected: None,
            ..claimed.clone()
        })
    }

    /// Takes back, with an event, a redirect that WeChat Pay was called for while the refund stays
    /// abnormal. Where it was called more than once, a refusal of one of these calls does not do
    /// that, because the other one may be under way. Not if something was decided or another call
    /// was made meanwhile.
    async fn take_back(
        &self,
        claimed: &Refund,
        told: &Redirection,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<Refund, RefundError> {
        for round in 0..TRIES {
            self.books.pause(round).await;
            let both = self.both(&claimed.order_no, &claimed.refund_no).await?;
            let Some((order, refund)) = both else {
                return Ok(claimed.clone());
            };
            if refund.tries != claimed.tries {
                return Ok(refund);
            }
            let context = self.books.context(origin);
            let context = context.told_under(news.request_id.as_ref());
            let change =
                decide_refund::undo_redirect(&order, &refund, told, ABNORMAL_AGAIN, &context);
            let Some(change) = change else {
                return Ok(refund);
            };
            if self.books.write(&change).await? {
                return self.reread(refund).await;
            }
        }
        Err(OrderStoreError::Contended.into())
    }
}

/// Time of a repeated call to WeChat Pay for a decision that is already recorded; `None` if this
/// decision is not recorded. The payer's card in a decision is not stored, so a decision with a
/// card never counts as the same.
fn told_again_at(refund: &Refund, wanted: &Redirection, now: UnixSeconds) -> Option<UnixSeconds> {
    let known = refund.redirected.as_ref()?;
    let is_on_record = refund.state == RefundState::Abnormal
        && refund.is_redirected()
        && wanted.to == Destination::Merchant
        && known.is_the_same_as(wanted);
    is_on_record.then(|| known.next_told_at(now))
}

/// Why a refund cannot be redirected now, if it cannot: it is not abnormal, or another redirect may
/// be under way.
fn cannot_be_redirected(refund: &Refund, wanted: &Redirection) -> Option<DecisionOutcome> {
    if refund.state != RefundState::Abnormal || refund.refund_id.is_none() {
        return Some(redirected_before(refund.clone(), wanted));
    }
    decide_refund::is_being_redirected(refund, wanted)
        .then(|| DecisionOutcome::InProgress(Box::new(refund.clone())))
}

/// The answer when the refund was already redirected or progressed by itself. A repeat of the same
/// decision (after a lost answer, or by a concurrent duplicate) counts as done.
fn redirected_before(refund: Refund, wanted: &Redirection) -> DecisionOutcome {
    let known = refund.redirected.as_ref();
    // The payer's card in a decision is not stored: another card would look the same.
    let is_told_apart = wanted.to == Destination::Merchant;
    let is_the_same = is_told_apart && known.is_some_and(|known| known.is_the_same_as(wanted));
    let refund = Box::new(refund);
    match &refund.state {
        RefundState::Abnormal | RefundState::Succeeded(_) if is_the_same => {
            DecisionOutcome::Done(refund)
        }
        RefundState::Abnormal => DecisionOutcome::InProgress(refund),
        RefundState::Succeeded(_)
        | RefundState::Reserved
        | RefundState::Processing
        | RefundState::Closed
        | RefundState::Refused(_) => DecisionOutcome::WrongState(refund),
    }
}

/// How long WeChat Pay may delay a refund before an operator is notified, in seconds.
const LASTS_S: i64 = 3600;

/// Logs what an operator must do about a refund, at each check.
fn say_who_is_needed(refund: &Refund) {
    if let Some(what_to_do) = what_to_do(refund) {
        error!(
            order_no = refund.order_no.as_str(),
            refund_no = refund.refund_no.as_str(),
            state = refund.state.name(),
            what_to_do,
            "refund needs a person"
        );
    }
}

/// Logs that a payer has received money that is booked as owed to the payer. It must not be paid
/// again.
fn say_who_has_it(news: &RefundNews) {
    error!(
        order_no = news.order_no.as_str(),
        out_refund_no = news.out_refund_no.as_str(),
        refund_id = news.refund_id.as_str(),
        wechat_request_id = news.request_id.as_ref().map(RequestId::as_str),
        what_to_do = "do not pay the payer: look the refund up in WeChat Pay's console, then say with POST .../payer-paid that WeChat Pay gave the money back",
        "a refund was sent to the merchant's account, and WeChat Pay says that the payer has it"
    );
}

/// WeChat Pay's code for a balance that is too low.
const LOW_BALANCE: &str = "NOT_ENOUGH";

/// Logs, each time, that WeChat Pay's answer about a refund cannot be parsed.
fn say_unreadable(refund: &Refund, unreadable: &UnreadableNotice) {
    error!(
        order_no = refund.order_no.as_str(),
        refund_no = refund.refund_no.as_str(),
        out_refund_no = refund.out_refund_no.as_str(),
        state = refund.state.name(),
        error = %unreadable,
        %unreadable,
        what_to_do = "look the refund up in WeChat Pay's console, and tell the developers what its answers have come to look like; nothing is sent twice meanwhile",
        "WeChat Pay's answer about a refund cannot be read"
    );
}

/// Whether a refund is checked again soon: WeChat Pay did not answer, or a temporary failure
/// happened on our side.
fn comes_again_soon(driven: &Result<Advanced, RefundError>) -> bool {
    match driven {
        Ok(driven) => *driven == Advanced::Unanswered,
        Err(RefundError::Books(OrderStoreError::Table(error))) => {
            !matches!(error, TableError::Damaged { .. })
        }
        Err(
            RefundError::Books(OrderStoreError::Contended)
            | RefundError::Guards(_)
            | RefundError::NotSent(_)
            | RefundError::PaymentNotBooked,
        ) => true,
        Err(RefundError::Field(_)) => false,
    }
}

fn driven(settled: SettleOutcome) -> Advanced {
    match settled {
        SettleOutcome::Changed => Advanced::Moved,
        SettleOutcome::AlreadyDone | SettleOutcome::StillOpen => Advanced::Open,
        SettleOutcome::Parked { .. } => Advanced::Parked,
    }
}
