//! One payer, one submission at a time: two taps on one button do not become two orders.

use flows::problem::{ErrorChain, Problem};
use payments::{model::ids::OrderNo, rules::create_order::PayerKey};
use stores::guards::{Lease, LeaseKey};
use tracing::warn;

use crate::app::App;

/// The lease of a payer while its order is submitted.
pub(crate) struct PayerLease<'a> {
    payer: &'a str,
    holder: String,
}

impl<'a> PayerLease<'a> {
    /// Takes it for one order by one request, or says how long another one holds it.
    pub(crate) async fn take(
        app: &App,
        payer: &'a str,
        order_no: &OrderNo,
        request_id: &str,
    ) -> Result<Self, Problem> {
        // The order is part of the holder's name, so that a repeat of it is known for one, and not
        // taken for another order.
        let of_order = format!("{order_no}#");
        let holder = format!("{of_order}{request_id}");
        let now = app.clock.now();
        let taken = app
            .guards
            .lease(&LeaseKey::Payer(payer), &holder, PayerKey::HOLDS_S, now)
            .await?;
        match taken {
            Lease::Acquired => Ok(Self { payer, holder }),
            Lease::Held { until, holder } if holder.starts_with(&of_order) => {
                Err(Problem::in_progress(until.since(now)))
            }
            Lease::Held { until, .. } => Err(Problem::submitted_just_now(until.since(now))),
        }
    }

    /// Ends it, once the request is answered.
    pub(crate) async fn give_back(self, app: &App) {
        let released = app
            .guards
            .release(&LeaseKey::Payer(self.payer), &self.holder)
            .await;
        if let Err(error) = released {
            warn!(error = %ErrorChain(&error), "a payer's lease was not given back: it ends by the clock");
        }
    }
}
