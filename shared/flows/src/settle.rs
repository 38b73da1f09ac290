//! Settling news about money: a consistent read, a decision, one transaction.

use adapters::{
    backoff::Backoff,
    clock::Clock,
    order_table::{Applied, Kept, OrderTable, TableError},
    random::Random,
};
use payments::{
    due,
    journal::Cause,
    notice::TradeNotice,
    settle::{self, Change, Parked, Settlement},
};
use tracing::{error, info};

/// Settles news, whoever brought it.
#[derive(Clone, Debug)]
pub struct Settling {
    orders: OrderTable,
    mchid: String,
    clock: Clock,
    random: Random,
}

/// What news did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled {
    /// It changed the order.
    Changed,
    /// The order said so already.
    AlreadyDone,
    /// It changes nothing.
    StillOpen,
    /// The money waits for a person.
    Parked,
}

/// Why news could not be settled now. It has to come again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The table did not do its part.
    #[error("the order could not be settled now")]
    Table(#[from] TableError),
    /// Others kept changing the order between our reading and our writing.
    #[error("the order changed {TRIES} times while it was being settled")]
    Contended,
}

/// How often the news is judged anew because the order moved on, within one call.
const TRIES: u32 = 6;
/// The pause before each further judgement.
const BETWEEN_ROUNDS: Backoff = Backoff {
    first_ms: 20,
    max_ms: 640,
};

impl Settling {
    /// Settles into this table, for this merchant number.
    pub fn new(orders: OrderTable, mchid: impl Into<String>, clock: Clock, random: Random) -> Self {
        Self {
            orders,
            mchid: mchid.into(),
            clock,
            random,
        }
    }

    /// Reads the order, lets the rules judge the notice, and writes what they say. A conflict with another transaction is
    /// read and judged again; it is never taken for "already done".
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle(
        &self,
        notice: &TradeNotice,
        cause: &Cause,
        trace: &str,
    ) -> Result<Settled, SettleError> {
        for round in 0..TRIES {
            if round > 0 {
                self.pause(round).await;
            }
            let found = self.orders.read(&notice.order_no).await?;
            let now = self.clock.now();
            let settlement = match &found {
                Some(order) => settle::judge(order, &self.mchid, notice, cause.clone(), trace, now),
                None => settle::judge_unknown(notice),
            };
            match settlement {
                Settlement::AlreadyDone => return Ok(Settled::AlreadyDone),
                Settlement::StillOpen => return Ok(Settled::StillOpen),
                Settlement::Park(parked) => {
                    self.park(&parked, cause).await?;
                    return Ok(Settled::Parked);
                }
                Settlement::Change(change) => {
                    if let Some(parked) = &change.parked {
                        self.park(parked, cause).await?;
                    }
                    if self.apply(&change).await? {
                        return Ok(Settled::Changed);
                    }
                }
            }
        }
        Err(SettleError::Contended)
    }

    /// Writes a change; `false` when the order moved on or is held at this moment.
    async fn apply(&self, change: &Change) -> Result<bool, SettleError> {
        let next_look = due::after_change(&change.from, &change.to, change.event.at);
        match self.orders.apply(change, next_look).await {
            Ok(Applied::Yes) => {
                let order_no = change.from.order_no.as_str();
                let settlement_delay_s = change
                    .books()
                    .map(|payment| change.event.at.0.saturating_sub(payment.paid_at.0));
                info!(
                    order_no,
                    from = change.from.state.name(),
                    to = change.to.name(),
                    settlement_delay_s,
                    "order changed"
                );
                Ok(true)
            }
            Ok(Applied::Stale) | Err(TableError::Conflict) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Keeps money for a person, and says so each time until somebody has decided.
    async fn park(&self, parked: &Parked, cause: &Cause) -> Result<(), SettleError> {
        let kept = self.orders.park(parked, cause, self.clock.now()).await?;
        if kept == Kept::Waiting {
            error!(
                order_no = parked.order_no.as_str(),
                transaction_id = parked.transaction_id.as_str(),
                reason = parked.reason.name(),
                what_to_do = %parked.reason,
                "money parked for a person"
            );
        }
        Ok(())
    }

    /// A short wait, so that two who collided do not collide again.
    async fn pause(&self, round: u32) {
        self.clock
            .sleep(BETWEEN_ROUNDS.pause(round, &self.random))
            .await;
    }
}
