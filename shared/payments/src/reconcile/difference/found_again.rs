//! A known difference that a later run finds again: what that adds, and when earlier decisions no
//! longer hold.

use wechatpay::UnixSeconds;

use super::{
    Difference, DifferenceSubject, SideView, described,
    state::{Actor, DifferenceState},
};

/// Why a later run opens a difference again whose amounts have changed.
pub(super) const OTHER_AMOUNTS: &str = "a later run finds it with other amounts";

impl Difference {
    /// The aggregated difference after a run has counted different numbers: earlier decisions do
    /// not hold for these.
    #[must_use]
    pub fn counted_again(&self, found: &Self, run: &str, at: UnixSeconds) -> Self {
        let why = found.aggregate.as_ref().map_or_else(String::new, described);
        let counted = self.stepping(Actor::Run(run.to_owned()), DifferenceState::Open, &why, at);
        Self {
            aggregate: found.aggregate.clone(),
            there: found.there.clone(),
            here: found.here.clone(),
            ..counted
        }
    }

    /// Whether a run finds it with other amounts than the known ones, which decisions were based
    /// on. A side that newly has an amount is no such change, unless it is larger than any known
    /// one: for example a run parks the payment whose refund it proposes, and finds it in our books
    /// the next time.
    pub fn has_other_amounts(&self, found: &Self) -> bool {
        let amount = |side: &Option<SideView>| side.as_ref().and_then(|side| side.amount_fen);
        let fee = |side: &Option<SideView>| side.as_ref().and_then(|side| side.fee_e5);
        let known = [amount(&self.there), amount(&self.here)];
        let largest = known.into_iter().flatten().map(i64::saturating_abs).max();
        let is_another_amount = |known: Option<i64>, found: Option<i64>| match known {
            Some(_) => known != found,
            None => found.map(i64::saturating_abs) > largest,
        };
        // Earlier versions did not store fees.
        let is_another_fee = |known: Option<i64>, found| known.is_some() && known != found;
        is_another_amount(amount(&self.there), amount(&found.there))
            || is_another_amount(amount(&self.here), amount(&found.here))
            || is_another_fee(fee(&self.there), fee(&found.there))
            || is_another_fee(fee(&self.here), fee(&found.here))
    }

    /// The difference completed with values that an earlier version did not store; `None` if
    /// nothing is missing. Known values and decisions stay unchanged: this is not a step.
    #[must_use]
    pub fn completed_by(&self, found: &Self) -> Option<Self> {
        let side = |known: &Option<SideView>, found: &Option<SideView>| match (known, found) {
            (Some(known), Some(found)) => Some(known.completed_by(found)),
            (Some(side), None) | (None, Some(side)) => Some(side.clone()),
            (None, None) => None,
        };
        let completed = Self {
            there: side(&self.there, &found.there),
            here: side(&self.here, &found.here),
            about: DifferenceSubject {
                line: self.about.line.or(found.about.line),
                ..self.about.clone()
            },
            ..self.clone()
        };
        (completed != *self).then_some(completed)
    }

    /// The difference after a run has found it with other amounts: earlier decisions do not hold
    /// for these.
    #[must_use]
    pub fn with_other_amounts(&self, found: &Self, run: &str, at: UnixSeconds) -> Self {
        Self {
            there: found.there.clone(),
            here: found.here.clone(),
            ..self.reopened(run, OTHER_AMOUNTS, at)
        }
    }
}
