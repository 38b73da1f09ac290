//! A hash table of 16-byte slots, open and three quarters full at most: what a day's books are kept in.

/// What a table is made of. The default is a free slot.
pub(crate) trait Slot: Copy + Default {
    /// Whether nothing is in it.
    fn is_free(&self) -> bool;

    /// What it is found by: evenly spread, as a fingerprint is.
    fn id(&self) -> u64;
}

/// The table.
#[derive(Debug)]
pub(crate) struct Table<S> {
    slots: Vec<S>,
    taken: usize,
}

impl<S: Slot> Table<S> {
    /// Room for `lines`.
    pub(crate) fn with_capacity(lines: usize) -> Self {
        let slots = lines.saturating_mul(4).div_ceil(3).saturating_add(16);
        Self {
            slots: vec![S::default(); slots],
            taken: 0,
        }
    }

    /// The slot that a search for `id` begins at. Looked at early, it is in the cache when the search comes.
    #[inline]
    pub(crate) fn touch(&self, id: u64) -> Option<&S> {
        self.slots.get(home(id, self.slots.len())?)
    }

    /// The slot of `id`.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&S> {
        let slot = self.slots.get(place_of(&self.slots, id)?)?;
        (!slot.is_free()).then_some(slot)
    }

    /// The slot of `id`, to be changed; what it is found by must stay.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut S> {
        let slot = place_of(&self.slots, id)?;
        let slot = self.slots.get_mut(slot)?;
        (!slot.is_free()).then_some(slot)
    }

    /// Puts a slot in, unless one of its id is there: that one is given back then.
    pub(crate) fn insert(&mut self, new: S) -> Option<&mut S> {
        if self.taken.saturating_mul(4) >= self.slots.len().saturating_mul(3) {
            self.grow();
        }
        let place = place_of(&self.slots, new.id())?;
        let slot = self.slots.get_mut(place)?;
        if slot.is_free() {
            *slot = new;
            self.taken = self.taken.saturating_add(1);
            return None;
        }
        Some(slot)
    }

    /// All that is in it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().filter(|slot| !slot.is_free())
    }

    /// How many slots are taken.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    fn grow(&mut self) {
        let more = vec![S::default(); self.slots.len().saturating_mul(2)];
        let old = std::mem::replace(&mut self.slots, more);
        for slot in old.into_iter().filter(|slot| !slot.is_free()) {
            let free = place_of(&self.slots, slot.id());
            if let Some(free) = free.and_then(|place| self.slots.get_mut(place)) {
                *free = slot;
            }
        }
    }
}

/// Where the search for `id` begins: ids are evenly spread over 64 bits, and so are their places.
#[inline]
fn home(id: u64, slots: usize) -> Option<usize> {
    let slots = u64::try_from(slots).ok()?;
    usize::try_from((u128::from(id) * u128::from(slots)) >> 64).ok()
}

/// The slot of `id`, or the free one that it would go to. There is always one, since a fourth is free.
#[inline]
fn place_of<S: Slot>(slots: &[S], id: u64) -> Option<usize> {
    let home = home(id, slots.len())?;
    let (before, from) = slots.split_at_checked(home)?;
    let fits = |slot: &S| slot.id() == id || slot.is_free();
    match from.iter().position(fits) {
        Some(steps) => home.checked_add(steps),
        None => before.iter().position(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
    struct Pair(u64, u64);

    impl Slot for Pair {
        fn is_free(&self) -> bool {
            self.1 == 0
        }

        fn id(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_table_grows_and_wraps_around_its_end() {
        // All ids begin at the last slot.
        let mut table = Table::with_capacity(3);
        for id in 0..1000 {
            assert_eq!(table.insert(Pair(u64::MAX - id, id + 1)), None);
        }
        assert_eq!(table.len(), 1000);
        assert_eq!(table.iter().count(), 1000);
        for id in 0..1000 {
            assert_eq!(table.get(u64::MAX - id), Some(&Pair(u64::MAX - id, id + 1)));
        }
        assert_eq!(table.get(7), None);
        assert_eq!(
            table.insert(Pair(u64::MAX, 9)),
            Some(&mut Pair(u64::MAX, 1))
        );
    }

    #[test]
    fn an_id_of_zero_is_found_only_if_it_is_there() {
        let mut table = Table::with_capacity(10);
        assert_eq!(table.get(0), None);
        table.insert(Pair(0, 5));
        assert_eq!(table.get(0), Some(&Pair(0, 5)));
        assert_eq!(table.get_mut(0), Some(&mut Pair(0, 5)));
    }
}
