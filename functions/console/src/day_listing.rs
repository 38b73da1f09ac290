//! A day's differences, counted, and of each kind as many as a page shows.

use std::collections::BTreeMap;

use payments::reconcile::difference::{Difference, DifferenceKind, DifferenceState};

use crate::{
    breakdown::Breakdown,
    input::{Filter, STATES},
};

/// How many of a kind are held and shown while all kinds are.
pub(crate) const OF_EACH_KIND: usize = 50;
/// How many are of a kind that was chosen.
pub(crate) const OF_ONE_KIND: usize = 500;
/// The most differences that a file holds: of some 460 bytes each, below what an answer may be.
pub(crate) const FILE_MAX: usize = 8_000;

/// What is known of a day's differences.
#[derive(Debug, Default)]
pub(crate) struct DayListing {
    /// Counts by kind and state, in the order of [`STATES`].
    counts: BTreeMap<DifferenceKind, [usize; STATES.len()]>,
    /// The first wanted differences of each kind: those that need action first, then by the
    /// rows of the bill.
    held: BTreeMap<DifferenceKind, Vec<Difference>>,
    /// Whether there are more than were counted.
    pub(crate) is_cut: bool,
    /// How many cannot be read: they are in no count.
    pub(crate) unreadable: usize,
    /// The present state of the gap that the run counted.
    pub(crate) breakdown: Breakdown,
}

impl DayListing {
    pub(crate) fn count(&mut self, one: &Difference) {
        let counts = self.counts.entry(one.kind).or_default();
        let place = STATES.iter().position(|state| *state == one.state);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }

    /// Removes the count of a kind, which is then counted again.
    pub(crate) fn forget_count(&mut self, kind: DifferenceKind) {
        self.counts.remove(&kind);
    }

    pub(crate) fn hold(&mut self, one: Difference, filter: Filter) {
        if !filter.takes(&one) {
            return;
        }
        let room = if filter.kind.is_some() {
            OF_ONE_KIND
        } else {
            OF_EACH_KIND
        };
        let rank = |one: &Difference| (!one.state.needs_action(), one.about.line);
        let held = self.held.entry(one.kind).or_default();
        let place = held.partition_point(|other| rank(other) <= rank(&one));
        if place < room {
            held.insert(place, one);
            held.truncate(room);
        }
    }

    /// Those of a kind that are held.
    pub(crate) fn of(&self, kind: DifferenceKind) -> &[Difference] {
        self.held.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// How many a choice has.
    pub(crate) fn count_of(&self, filter: Filter) -> usize {
        let kinds = self
            .counts
            .iter()
            .filter(|(kind, _)| filter.kind.is_none_or(|wanted| wanted == **kind));
        let counts = kinds.flat_map(|(_, counts)| STATES.iter().zip(counts));
        counts
            .filter(|(state, _)| filter.state.is_none_or(|wanted| wanted == **state))
            .map(|(_, count)| count)
            .sum()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count_of(Filter::default())
    }

    /// Whether a file holds all of a choice, as far as is known.
    pub(crate) fn fits_a_file(&self, filter: Filter) -> bool {
        let is_unknown = self.is_cut && filter.kind.is_none();
        !is_unknown && self.count_of(filter) <= FILE_MAX
    }

    /// How many stand in a state.
    pub(crate) fn in_state(&self, state: DifferenceState) -> usize {
        self.count_of(Filter {
            state: Some(state),
            ..Filter::default()
        })
    }

    /// How many need action.
    pub(crate) fn needing(&self) -> usize {
        STATES
            .into_iter()
            .filter(|state| state.needs_action())
            .map(|state| self.in_state(state))
            .sum()
    }

    /// The count of each kind that the day has.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (DifferenceKind, usize)> {
        self.counts
            .iter()
            .map(|(kind, counts)| (*kind, counts.iter().sum()))
    }

    /// A day of these differences.
    #[cfg(test)]
    pub(crate) fn with(items: impl IntoIterator<Item = Difference>, filter: Filter) -> Self {
        let mut day = Self::default();
        for one in items {
            day.count(&one);
            day.hold(one, filter);
        }
        day
    }
}
