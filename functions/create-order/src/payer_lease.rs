//! One payer, one submission at a time: two taps on one button do not become two orders.

use flows::{
    authenticate::Caller,
    problem::{ErrorChain, Problem},
};
use payments::rules::create_order::{CreateOrder, PayerKey};
use stores::guards::{Lease, LeaseKey};
use tracing::warn;

use crate::app::App;

/// The lease of an order's payer while it is submitted. A request that names no payer holds none.
pub(crate) struct PayerLease {
    held: Option<HeldLease>,
}

struct HeldLease {
    payer: String,
    holder: String,
}

impl PayerLease {
    /// Takes it for one order by one request, or says how long another one holds it.
    pub(crate) async fn take(
        app: &App,
        asked: &CreateOrder,
        caller: &Caller,
        request_id: &str,
    ) -> Result<Self, Problem> {
        let Some(payer) = &asked.payer else {
            return Ok(Self { held: None });
        };
        let payer = payer.key(&caller.client_id);
        // The order is part of the holder's name, so that a repeat of it is known for one, and not
        // taken for another order.
        let of_order = format!("{}#", asked.order_no);
        let holder = format!("{of_order}{request_id}");
        let now = app.clock.now();
        let taken = app
            .guards
            .lease(&LeaseKey::Payer(&payer), &holder, PayerKey::HOLDS_S, now)
            .await?;
        match taken {
            Lease::Acquired => Ok(Self {
                held: Some(HeldLease { payer, holder }),
            }),
            Lease::Held { until, holder } if holder.starts_with(&of_order) => {
                Err(Problem::in_progress(until.since(now)))
            }
            Lease::Held { until, .. } => Err(Problem::submitted_just_now(until.since(now))),
        }
    }

    /// Ends it, once the request is answered.
    pub(crate) async fn give_back(self, app: &App) {
        let Some(HeldLease { payer, holder }) = self.held else {
            return;
        };
        let released = app.guards.release(&LeaseKey::Payer(&payer), &holder).await;
        if let Err(error) = released {
            warn!(error = %ErrorChain(&error), "a payer's lease was not given back: it ends by the clock");
        }
    }
}
