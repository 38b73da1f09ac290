//! Which movements a known difference explains.

use std::collections::BTreeSet;

use payments::reconcile::difference::{Difference, DifferenceState, DifferenceSubject};

/// Trades with a difference that already explains the different movement: it is the same fact seen
/// from the other side.
pub(super) struct Explained(BTreeSet<(Option<String>, Option<String>)>);

impl Explained {
    pub(super) fn by(differences: &[Difference]) -> Self {
        let explaining = differences.iter().filter(|known| explains(known));
        Self(explaining.map(|known| numbers(&known.about)).collect())
    }

    pub(super) fn has(&self, about: &DifferenceSubject) -> bool {
        self.0.contains(&numbers(about))
    }
}

fn numbers(about: &DifferenceSubject) -> (Option<String>, Option<String>) {
    (about.transaction_id.clone(), about.refund_id.clone())
}

fn explains(known: &Difference) -> bool {
    if known.aggregate.is_some() {
        return false; // it is about no trade of its own
    }
    // A repair after a query proves the bill right, so it does not explain a movement.
    let proved_right = known.state == DifferenceState::Repaired && !known.kind.is_of_movements();
    known.kind.explains_movement() && !proved_right
}
