//! The outcome of carrying out a decision.

use payments::{model::refund::Refund, reconcile::difference::TrackedRefund};

/// How far it came.
pub(super) enum ActionDone {
    /// This refund gives the money back, or is stuck.
    RefundUnderWay(TrackedRefund),
    /// Both sides agree now; the reason.
    Repaired(String),
    /// The order's journal records that the payer was paid by other means.
    PayerPaid,
}

/// The result, or why it is impossible.
pub(super) type ActionResult = Result<ActionDone, String>;

impl ActionDone {
    pub(super) fn by(refund: &Refund) -> ActionResult {
        Ok(Self::RefundUnderWay(TrackedRefund::of(refund)))
    }
}
