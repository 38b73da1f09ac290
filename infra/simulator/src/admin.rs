//! The admin's handle: everything that a payer, WeChat Pay's staff, or fate can do. The HTTP calls
//! under `/admin` do the same.

mod callbacks;
mod payments;
mod refunds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::books::PayError;
use crate::clock;
use crate::config::SigningMode;
use crate::endpoint::Endpoint;
use crate::keys::KeyError;
use crate::ledger::{MovementSubject, Reason};
use crate::rules::{ActiveRule, BadRule, Rule};
use crate::settings::{BadSettings, Settings};
use crate::sim::{MutableState, Shared};
use crate::views::OrderView;

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

    /// WeChat Pay lists its next platform certificate, and puts it in force with the next
    /// [`Admin::rotate`]. Gives its serial and PEM.
    ///
    /// # Errors
    /// If no key could be made.
    pub fn announce_certificate(&self) -> Result<(String, String), KeyError> {
        let announced = {
            let mut world = self.sim.world();
            let MutableState { keys, ids, .. } = &mut *world;
            let next = keys.announce(ids, self.sim.now_ms())?;
            (next.serial.clone(), next.pem())
        };
        self.sim.touched();
        Ok(announced)
    }

    /// The newest key of that mode: its id or serial, and its SPKI PEM or X.509 PEM.
    pub fn newest_key(&self, mode: SigningMode) -> Option<(String, String)> {
        let world = self.sim.world();
        let key = world.keys.newest(mode)?;
        Some((key.serial.clone(), key.pem()))
    }

    /// Requests received since the start (or since [`Admin::reset_requests`]), by endpoint; also
    /// refused ones.
    pub fn requests(&self) -> BTreeMap<Endpoint, u64> {
        self.sim.world().requests.clone()
    }

    /// Starts to count from 0, also by whom requests were signed.
    pub fn reset_requests(&self) {
        let mut world = self.sim.world();
        world.requests.clear();
        world.signed_by.clear();
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
