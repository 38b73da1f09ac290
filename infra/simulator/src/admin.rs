//! The admin's handle: everything that a payer, WeChat Pay's staff, or fate can do. The HTTP calls
//! under `/admin` do the same.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    books::{PayError, PayOptions},
    callbacks::{Callback, CallbackStatus, Try},
    clock,
    config::SigningMode,
    endpoint::Endpoint,
    keys::KeyError,
    ledger::{MovementSubject, Reason},
    notices::{self, ManualNotice},
    order::{AttemptOutcome, Order},
    refund::{Refund, RefundOutcome, RefundSource, RefundStatus},
    refunding::{self, NewRefund},
    rules::{ActiveRule, BadRule, Rule},
    schema,
    settings::{BadSettings, Settings},
    signed_callback::{Damage, SignedCallback},
    sim::{MutableState, Shared},
    views::{ConsoleRefund, ConsoleRefundError, OrderView, SettleError},
};

/// A handle on a running simulator; clones are handles on the same one.
#[derive(Clone)]
pub struct Admin {
    pub(crate) sim: Arc<Shared>,
    /// The simulator's own runtime, so that a caller's blocked or ended runtime does not stop
    /// deliveries.
    pub(crate) runtime: Handle,
}

impl Admin {
    /// All orders, the oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        let world = self.sim.world();
        let now_ms = self.sim.now_ms();
        let mut orders: Vec<OrderView> = world
            .books
            .orders
            .iter()
            .map(|order| OrderView::of(&world.books, order, now_ms))
            .collect();
        orders.sort_by_key(|view| view.order.created_ms);
        orders
    }

    /// The order with this number, or with this live prepay value (`code_url`, `prepay_id`,
    /// `h5_url`).
    ///
    /// # Errors
    /// If there is none, or the value was replaced.
    pub fn order(&self, order: &str) -> Result<OrderView, PayError> {
        let world = self.sim.world();
        let number = world.books.find(order)?;
        let found = world
            .books
            .orders
            .get(&number)
            .ok_or(PayError::Unknown(number))?;
        Ok(OrderView::of(&world.books, found, self.sim.now_ms()))
    }

    /// The payer pays; the callback goes out (with a manual clock: at the next [`Admin::advance`]).
    /// `order` is a number or a live prepay value.
    ///
    /// # Errors
    /// If a payer could not pay it.
    pub fn pay(&self, order: &str, options: &PayOptions) -> Result<OrderView, PayError> {
        let number = {
            let mut world = self.sim.world();
            let number = world.books.find(order)?;
            let (books, mut tools) = world.parts(&self.sim.clock);
            books.pay(order, options, &mut tools)?;
            number
        };
        self.paid(&number, "the payer paid")
    }

    /// A second payment for a paid order: another `transaction_id` under the same number, with its
    /// own callback.
    ///
    /// # Errors
    /// If the order is not paid yet.
    pub fn pay_again(&self, order: &str, options: &PayOptions) -> Result<OrderView, PayError> {
        let number = self.pay_against_the_rules(order, true, options)?;
        self.paid(&number, "the payer paid once more for")
    }

    /// A payment arrives that was under way while the order was closed or expired. An open order is
    /// paid as by [`Admin::pay`].
    ///
    /// # Errors
    /// If the order is paid already.
    pub fn pay_late(&self, order: &str, options: &PayOptions) -> Result<OrderView, PayError> {
        let number = self.pay_against_the_rules(order, false, options)?;
        self.paid(&number, "the payer's money came late for")
    }

    fn pay_against_the_rules(
        &self,
        order: &str,
        again: bool,
        options: &PayOptions,
    ) -> Result<String, PayError> {
        let mut world = self.sim.world();
        let number = world.books.find(order)?;
        let (books, mut tools) = world.parts(&self.sim.clock);
        books.pay_against_the_rules(&number, again, options, &mut tools)?;
        Ok(number)
    }

    fn paid(&self, number: &str, how: &str) -> Result<OrderView, PayError> {
        self.sim.log(&format!("{how} {number}"));
        self.sim.touched();
        self.order(number)
    }

    /// The payer turns away. The order stays unpaid.
    ///
    /// # Errors
    /// If a payer could not pay it.
    pub fn cancel(&self, order: &str) -> Result<OrderView, PayError> {
        self.attempt(order, AttemptOutcome::Cancelled)
    }

    /// The payment fails at the bank. The order stays unpaid.
    ///
    /// # Errors
    /// If a payer could not pay it.
    pub fn fail(&self, order: &str) -> Result<OrderView, PayError> {
        self.attempt(order, AttemptOutcome::Failed)
    }

    fn attempt(&self, order: &str, outcome: AttemptOutcome) -> Result<OrderView, PayError> {
        let now_ms = self.sim.now_ms();
        self.sim.world().books.attempt(order, outcome, now_ms)?;
        self.sim
            .log(&format!("the payer's attempt at {order}: {outcome:?}"));
        self.sim.touched();
        self.order(order)
    }

    /// All refunds, the oldest first.
    pub fn refunds(&self) -> Vec<Refund> {
        let mut refunds: Vec<Refund> = self.sim.world().books.refunds.iter().cloned().collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// The refund with this number.
    pub fn refund(&self, out_refund_no: &str) -> Option<Refund> {
        self.sim.world().books.refunds.get(out_refund_no).cloned()
    }

    /// All refunds of an order, for any of its payments, oldest first; none if there is no such
    /// order.
    pub fn refunds_of(&self, order: &str) -> Vec<Refund> {
        let world = self.sim.world();
        let number = world.books.find(order).unwrap_or_default();
        let payments = world.books.orders.get(&number).into_iter();
        let mut refunds: Vec<Refund> = payments
            .flat_map(Order::payments)
            .flat_map(|payment| world.books.refunds.of(&payment.transaction_id))
            .cloned()
            .collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// The merchant's staff refund in WeChat Pay's console, by the same rules as over the API.
    ///
    /// # Errors
    /// If there is no such payment, or a rule of refunds is against it.
    pub fn console_refund(&self, requested: &ConsoleRefund) -> Result<Refund, ConsoleRefundError> {
        let refund = {
            let mut world = self.sim.world();
            let wanted = wanted(&mut world, requested)?;
            refunding::accept(&self.sim, &mut world, wanted).map_err(|refusal| {
                ConsoleRefundError::Refused {
                    code: refusal.code.to_string(),
                    message: refusal.in_english().to_owned(),
                }
            })?
        };
        self.sim.log(&format!(
            "the merchant's staff refund {} fen of {}",
            refund.refund_fen, refund.out_trade_no
        ));
        self.sim.touched();
        Ok(refund)
    }

    /// The result of refunds that are accepted from now on.
    pub fn set_refund_outcome(&self, outcome: RefundOutcome) {
        self.sim.world().books.next_refunds = outcome;
        self.sim.touched();
    }

    /// Ends a refund now, whatever was planned for it. An `ABNORMAL` one can be ended as `SUCCESS`,
    /// as if the merchant's staff had redirected it in the console.
    ///
    /// # Errors
    /// If there is none, or it has ended.
    pub fn settle_refund(
        &self,
        out_refund_no: &str,
        status: RefundStatus,
    ) -> Result<Refund, SettleError> {
        let refund = {
            let mut world = self.sim.world();
            let refund = world
                .books
                .refunds
                .get(out_refund_no)
                .ok_or(SettleError::Unknown)?;
            let mends = refund.status == RefundStatus::Abnormal && status == RefundStatus::Success;
            let ends =
                refund.status == RefundStatus::Processing && status != RefundStatus::Processing;
            if !mends && !ends {
                return Err(SettleError::NotProcessing);
            }
            let (books, mut tools) = world.parts(&self.sim.clock);
            books.end_refund(out_refund_no, status, &mut tools);
            world
                .books
                .refunds
                .get(out_refund_no)
                .cloned()
                .ok_or(SettleError::Unknown)?
        };
        self.sim.touched();
        Ok(refund)
    }

    /// The merchant's staff send an `ABNORMAL` refund to the merchant's own account in the console.
    /// It is on its way again, and ends as a refund does that is asked for now.
    ///
    /// # Errors
    /// If there is none, or it is not `ABNORMAL`.
    pub fn send_refund_to_merchant(&self, out_refund_no: &str) -> Result<Refund, SettleError> {
        let refund = {
            let mut world = self.sim.world();
            let found = world.books.refunds.get(out_refund_no);
            let refund = found.ok_or(SettleError::Unknown)?;
            if refund.status != RefundStatus::Abnormal {
                return Err(SettleError::NotProcessing);
            }
            let outcome = world.books.next_refunds;
            let ends = refunding::end(&self.sim, outcome, self.sim.now_ms());
            world.books.refunds.change(out_refund_no, |refund| {
                refund.status = RefundStatus::Processing;
                refund.ends = ends;
                refund.redirected = Some(json!({"type": "MERCHANT_BANK_CARD"}));
            });
            let found = world.books.refunds.get(out_refund_no);
            found.cloned().ok_or(SettleError::Unknown)?
        };
        self.sim.touched();
        Ok(refund)
    }

    /// Sets the merchant's balance in fen; the difference is a movement in the fund bill.
    pub fn set_balance(&self, fen: i64) {
        let mut world = self.sim.world();
        let MutableState { books, ids, .. } = &mut *world;
        let difference_fen = fen.saturating_sub(books.ledger.balance_fen);
        let occasion = MovementSubject {
            at_ms: self.sim.now_ms(),
            business_id: "admin",
            voucher: "admin",
        };
        books
            .ledger
            .book(ids, &occasion, Reason::Adjustment, difference_fen);
        drop(world);
        self.sim.touched();
    }

    /// The merchant's balance in fen.
    pub fn balance_fen(&self) -> i64 {
        self.sim.world().books.ledger.balance_fen
    }

    pub fn settings(&self) -> Settings {
        self.sim.world().books.settings.clone()
    }

    /// Applies other settings; past events stay unchanged, but bills are created again in another
    /// format.
    ///
    /// # Errors
    /// If the URL or the key cannot be one.
    pub fn set_settings(&self, settings: Settings) -> Result<(), BadSettings> {
        settings.check()?;
        let mut world = self.sim.world();
        if world.books.settings.bill_format() != settings.bill_format() {
            world.books.bills.clear();
        }
        world.books.settings = settings;
        drop(world);
        self.sim.touched();
        Ok(())
    }

    /// Puts a fault in force and gives its number.
    ///
    /// # Errors
    /// If the rule's numbers are out of range.
    pub fn add_fault(&self, rule: Rule) -> Result<u64, BadRule> {
        self.sim.world().faults.add(rule)
    }

    /// The faults in force, also those that have used up their times.
    pub fn faults(&self) -> Vec<ActiveRule> {
        self.sim.world().faults.rules()
    }

    /// Ends one fault, or all (`None`). Says how many ended.
    pub fn clear_faults(&self, id: Option<u64>) -> usize {
        self.sim.world().faults.clear(id)
    }

    /// WeChat Pay has a new key of that mode, which signs from now on. Gives its id or serial.
    ///
    /// # Errors
    /// If no key could be made.
    pub fn rotate(&self, mode: SigningMode) -> Result<String, KeyError> {
        let serial = {
            let mut world = self.sim.world();
            let MutableState { keys, ids, .. } = &mut *world;
            keys.rotate(mode, ids, self.sim.now_ms())?
        };
        self.sim.touched();
        Ok(serial)
    }

    /// The newest key of that mode: its id or serial, and its SPKI PEM or X.509 PEM.
    pub fn newest_key(&self, mode: SigningMode) -> Option<(String, String)> {
        let world = self.sim.world();
        let key = world.keys.newest(mode)?;
        let pem = key
            .certificate
            .as_ref()
            .map_or_else(|| key.public_pem(), |issued| issued.pem.clone());
        Some((key.serial.clone(), pem))
    }

    /// All callbacks, the oldest first, with every try.
    pub fn callbacks(&self) -> Vec<Callback> {
        self.sim.world().books.callbacks.iter().cloned().collect()
    }

    /// The callbacks about one order, refund or echo, the oldest first, with every try.
    pub fn callbacks_about(&self, about: &str) -> Vec<Callback> {
        let world = self.sim.world();
        world.books.callbacks.about(about).cloned().collect()
    }

    pub fn callback(&self, id: &str) -> Option<Callback> {
        self.sim.world().books.callbacks.get(id).cloned()
    }

    /// Sends a notice that nothing in the books brings about, to the `notify_url` of the order or
    /// refund that it is about; with a manual clock at the next [`Admin::advance`]. `alter` is a
    /// merge patch over its plaintext. `None` if there is no such order or refund.
    pub fn send_notice(
        &self,
        notice: &ManualNotice,
        about: &str,
        alter: Option<&Value>,
    ) -> Option<Callback> {
        let sent = {
            let mut world = self.sim.world();
            let (books, mut tools) = world.parts(&self.sim.clock);
            let id = notices::send(books, notice, about, alter, &mut tools)?;
            books.callbacks.get(&id).cloned()
        };
        self.sim.touched();
        sent
    }

    /// Sends a callback again now, whatever its state. `None` if there is no such callback.
    pub async fn redeliver(&self, id: &str) -> Option<Try> {
        self.sim.world().books.callbacks.change(id, |callback| {
            if callback.status == CallbackStatus::Lost {
                callback.status = CallbackStatus::Waiting;
            }
            callback.due_ms = None;
            callback.fault.held = false;
        })?;
        let (sim, id) = (Arc::clone(&self.sim), id.to_owned());
        self.runtime
            .spawn(async move { sim.deliver(&id).await })
            .await
            .ok()?
    }

    /// A callback, sealed and signed now and not sent: to be handed to a handler, damaged or not.
    /// `about` is its id, or what it is about (an order, refund or echo), where the newest counts.
    /// A refund without a callback so far is reported with its state, or as `SUCCESS` while it is
    /// `PROCESSING`.
    pub fn signed_callback(&self, about: &str, damage: &Damage) -> Option<SignedCallback> {
        let (id, status) = {
            let world = self.sim.world();
            let callbacks = &world.books.callbacks;
            let newest = callbacks
                .get(about)
                .or_else(|| callbacks.about(about).next_back());
            let refund = world.books.refunds.get(about);
            (
                newest.map(|callback| callback.id.clone()),
                refund.map(|refund| refund.status),
            )
        };
        match (id, status) {
            (Some(id), _) => self.sim.signed(&id, damage),
            (None, Some(RefundStatus::Processing)) => {
                let status = RefundStatus::Success;
                self.signed_notice(&ManualNotice::Refund { status }, about, damage)
            }
            (None, Some(status)) => {
                self.signed_notice(&ManualNotice::Refund { status }, about, damage)
            }
            (None, None) => None,
        }
    }

    /// What [`Admin::send_notice`] would send, sealed and signed now and not sent.
    pub fn signed_notice(
        &self,
        notice: &ManualNotice,
        about: &str,
        damage: &Damage,
    ) -> Option<SignedCallback> {
        let callback = {
            let mut world = self.sim.world();
            let MutableState { books, ids, .. } = &mut *world;
            notices::make(books, ids, notice, about, None, self.sim.now_ms())?
        };
        self.sim.sign(&callback, damage)
    }

    /// Requests received since the start (or since [`Admin::reset_requests`]), by endpoint; also
    /// refused ones.
    pub fn requests(&self) -> BTreeMap<Endpoint, u64> {
        self.sim.world().requests.clone()
    }

    /// Starts to count from 0.
    pub fn reset_requests(&self) {
        self.sim.world().requests.clear();
    }

    /// The simulator's time in Unix seconds.
    pub fn now_s(&self) -> i64 {
        clock::seconds(self.sim.now_ms())
    }

    /// Moves a manual clock on, and delivers on the way what is due, in order. Comes back when all
    /// was delivered (or refused). On the system clock it does nothing.
    pub async fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.advance_to(self.sim.now_ms().saturating_add(by_ms))
            .await;
    }

    /// Moves a manual clock to `unix_s` as [`Admin::advance`] does; never back.
    pub async fn set_time(&self, unix_s: i64) {
        self.advance_to(unix_s.saturating_mul(1000)).await;
    }

    async fn advance_to(&self, target_ms: i64) {
        if self.sim.clock.is_manual() {
            let sim = Arc::clone(&self.sim);
            // Fails only when the simulator is stopping.
            let _done = self
                .runtime
                .spawn(async move { sim.advance_to(target_ms).await })
                .await;
        }
    }
}

/// A refund in the console as the books take it.
fn wanted(
    world: &mut MutableState,
    requested: &ConsoleRefund,
) -> Result<NewRefund, ConsoleRefundError> {
    let unknown = || ConsoleRefundError::Unknown(requested.order.clone());
    let number = world.books.find(&requested.order).map_err(|_| unknown())?;
    let order = world.books.orders.get(&number).ok_or_else(unknown)?;
    let payment = match &requested.transaction_id {
        Some(transaction_id) => order.payment_with(transaction_id),
        None => order.payment.as_ref(),
    };
    let transaction_id = payment.ok_or_else(unknown)?.transaction_id.clone();
    let total_fen = order.total_fen;
    let out_refund_no = requested
        .out_refund_no
        .clone()
        .unwrap_or_else(|| format!("CONSOLE-{}", world.ids.digits(16)));
    let is_number = schema::is_number(&out_refund_no, "_-|*@", 1, 64);
    if !is_number || world.books.refunds.get(&out_refund_no).is_some() {
        return Err(ConsoleRefundError::Number);
    }
    if requested.refund_fen < 1 {
        return Err(ConsoleRefundError::Amount);
    }
    Ok(NewRefund {
        out_refund_no,
        transaction_id,
        refund_fen: requested.refund_fen,
        total_fen,
        notify_url: requested.notify_url.clone(),
        request: json!(null),
        source: RefundSource::Console,
        outcome: world.books.next_refunds,
    })
}
