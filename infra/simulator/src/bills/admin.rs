//! The admin's calls that are about bills.

use super::{
    differences::{InjectedDifference, WantedDifference},
    making::{self, GenerateDay, GenerateError, GeneratedDay},
    planting::{self, DifferenceError},
};
use crate::{
    admin::Admin,
    ledger::{FundAccount, MovementSubject, Reason},
    sim::MutableState,
};

impl Admin {
    /// Whether a bill of the running day may be asked for.
    pub fn allow_bills_of_today(&self, allowed: bool) {
        self.sim.world().bills_of_today = allowed;
    }

    /// Plants a difference in a day's bill; a bill that was requested before is created again.
    ///
    /// # Errors
    /// If the day has not begun, or has nothing that it could be about.
    pub fn plant_difference(
        &self,
        wanted: &WantedDifference,
    ) -> Result<InjectedDifference, DifferenceError> {
        let planted = planting::plant(&self.sim, &mut self.sim.world(), wanted)?;
        let what = serde_json::to_string(&planted).unwrap_or_default();
        self.sim.log(&format!("a difference in the bill: {what}"));
        self.sim.touched();
        Ok(planted)
    }

    /// The differences in all bills, in the order in which they were put in.
    pub fn differences(&self) -> Vec<InjectedDifference> {
        self.sim.world().books.differences.clone()
    }

    /// Removes all differences from the bills again and returns how many they were. Bills of the
    /// first day with one and of later days are created again; earlier ones stay unchanged.
    /// Payments for an unknown order, or movements without a trade, remain.
    pub fn clear_differences(&self) -> usize {
        let mut world = self.sim.world();
        let cleared = std::mem::take(&mut world.books.differences);
        if let Some(first) = cleared.iter().map(|planted| &planted.date).min() {
            world.books.forget_bills_since(first);
        }
        drop(world);
        self.sim.touched();
        cleared.len()
    }

    /// Fills a day with paid orders and refunds of them, as if merchant and payers had been busy.
    /// No callback is sent.
    ///
    /// # Errors
    /// If the day has not begun, the numbers are out of range, or the same seed filled it before.
    pub fn make_day(&self, wanted: &GenerateDay) -> Result<GeneratedDay, GenerateError> {
        let made = making::make(&self.sim, &mut self.sim.world(), wanted)?;
        self.sim.log(&format!(
            "{} has {} more orders and {} more refunds",
            wanted.date,
            made.orders.len(),
            made.refunds.len()
        ));
        self.sim.touched();
        Ok(made)
    }

    /// Moves fen into an account now, or out of it (below 0): it is in the account's fund bill.
    pub fn move_money(&self, account: FundAccount, fen: i64) {
        let mut world = self.sim.world();
        let MutableState { books, ids, .. } = &mut *world;
        let occasion = MovementSubject {
            at_ms: self.sim.now_ms(),
            business_id: "admin",
            voucher: "admin",
        };
        books
            .ledger
            .book_on(account, ids, &occasion, Reason::Adjustment, fen);
        drop(world);
        self.sim.touched();
    }
}
