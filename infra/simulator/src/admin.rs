//! The admin's handle: everything that a payer, WeChat Pay's staff, or fate can do. The HTTP calls under `/admin` do
//! the same.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::{
    books::{PayError, PayOptions},
    callbacks::{Callback, CallbackStatus, Damage, SignedCallback, Try},
    clock,
    config::SigningMode,
    endpoint::Endpoint,
    faults::{ActiveRule, BadRule, Rule},
    keys::KeyError,
    ledger::{Occasion, Reason},
    order::{AttemptOutcome, Order, TradeState},
    refund::{Refund, RefundOutcome, RefundStatus},
    sim::{Sim, World},
};

/// A handle on a running simulator; clones are handles on the same one.
#[derive(Clone)]
pub struct Admin {
    pub(crate) sim: Arc<Sim>,
    /// The simulator's own runtime, so that a caller's blocked or ended runtime does not stop deliveries.
    pub(crate) runtime: Handle,
}

/// An order and what follows from it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OrderView {
    /// The order.
    #[serde(flatten)]
    pub order: Order,
    /// Where it stands.
    pub trade_state: TradeState,
    /// Whether a payer could pay it now.
    pub payable: bool,
}

/// Why a refund cannot be settled by the admin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettleError {
    /// There is none.
    #[error("there is no refund with this number")]
    Unknown,
    /// It has ended.
    #[error("only a refund that is PROCESSING can be settled, and not as PROCESSING")]
    NotProcessing,
}

impl Admin {
    /// All orders, the oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        let world = self.sim.world();
        let mut orders: Vec<OrderView> = world
            .books
            .orders
            .values()
            .map(|order| self.view(&world, order))
            .collect();
        orders.sort_by_key(|view| view.order.created_ms);
        orders
    }

    /// The order with this number, or with this live prepay value (`code_url`, `prepay_id`, `h5_url`).
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
        Ok(self.view(&world, found))
    }

    fn view(&self, world: &World, order: &Order) -> OrderView {
        let now_ms = self.sim.now_ms();
        let trade_state = world.books.state(order, now_ms);
        OrderView {
            payable: trade_state == TradeState::NotPay
                && now_ms < order.expires_ms.min(order.prepay.expires_ms),
            trade_state,
            order: order.clone(),
        }
    }

    /// The payer pays; the callback goes out (with a manual clock: at the next [`Admin::advance`]). `order` is a
    /// number or a live prepay value.
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
        self.sim.log(&format!("the payer paid {number}"));
        self.sim.touched();
        self.order(&number)
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
        let mut refunds: Vec<Refund> = self.sim.world().books.refunds.values().cloned().collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// What refunds that are accepted from now on come to.
    pub fn set_refund_outcome(&self, outcome: RefundOutcome) {
        self.sim.world().books.next_refunds = outcome;
        self.sim.touched();
    }

    /// Ends a refund now, whatever was planned for it.
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
            if refund.status != RefundStatus::Processing || status == RefundStatus::Processing {
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

    /// Sets the merchant's balance in fen; the difference is a movement in the fund bill.
    pub fn set_balance(&self, fen: i64) {
        let mut world = self.sim.world();
        let World { books, ids, .. } = &mut *world;
        let difference_fen = fen.saturating_sub(books.ledger.balance_fen);
        let occasion = Occasion {
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

    /// Whether a bill of the running day may be asked for.
    pub fn allow_bills_of_today(&self, allowed: bool) {
        self.sim.world().bills_of_today = allowed;
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
            let World { keys, ids, .. } = &mut *world;
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
        self.sim.world().books.callbacks.clone()
    }

    /// Sends a callback once more, now, whatever became of it. `None` if there is no such callback.
    pub async fn redeliver(&self, id: &str) -> Option<Try> {
        if let Some(callback) = self.sim.world().books.callback_mut(id) {
            if callback.status == CallbackStatus::Lost {
                callback.status = CallbackStatus::Waiting;
            }
            callback.due_ms = None;
        }
        let (sim, id) = (Arc::clone(&self.sim), id.to_owned());
        self.runtime
            .spawn(async move { sim.deliver(&id).await })
            .await
            .ok()?
    }

    /// The newest callback about `about` (an order, refund or echo), sealed and signed now and not sent: to be handed
    /// to a handler, damaged or not.
    pub fn signed_callback(&self, about: &str, damage: &Damage) -> Option<SignedCallback> {
        let id = {
            let world = self.sim.world();
            let newest = world
                .books
                .callbacks
                .iter()
                .rev()
                .find(|callback| callback.about == about);
            newest?.id.clone()
        };
        self.sim.signed(&id, damage)
    }

    /// Requests received since the start (or since [`Admin::reset_requests`]), by endpoint; also refused ones.
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

    /// Moves a manual clock on, and delivers on the way what is due, in order. Comes back when all was delivered (or
    /// refused). On the system clock it does nothing.
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
