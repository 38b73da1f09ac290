//! Payments: the payer pays, pays again, pays late, or does not.

use super::Admin;
use crate::books::{PayError, PayOptions};
use crate::order::AttemptOutcome;
use crate::views::OrderView;

impl Admin {
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
}
