//! The hash table for a day's books: open addressing, 16-byte slots, half full at most.
//!
//! The cost of a lookup is mostly one wait for memory, if there is only one wait and no
//! mispredicted branch. So four slots share one cache line, and all four are compared before any
//! branch. At half load, one search in thirty needs a second line.

use std::hint::black_box;

/// A slot of the table. The default is a free slot.
pub(crate) trait Slot: Copy + Default {
    /// Whether nothing is in it.
    fn is_free(&self) -> bool;

    /// Its key: evenly distributed, as a fingerprint is.
    fn id(&self) -> u64;
}

/// Slots that lie together.
const TOGETHER: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct CacheLine<S>([S; TOGETHER]);

#[derive(Debug)]
pub(crate) struct Table<S> {
    lines: Vec<CacheLine<S>>,
    taken: usize,
}

impl<S: Slot> Table<S> {
    /// Room for this many.
    pub(crate) fn with_capacity(count: usize) -> Self {
        let slots = count.saturating_mul(2);
        Self {
            lines: vec![CacheLine::default(); slots.div_ceil(TOGETHER).saturating_add(4)],
            taken: 0,
        }
    }

    /// The line at which a search for `id` starts, for [`Table::touch`].
    #[inline]
    pub(crate) fn home(&self, id: u64) -> usize {
        home(id, self.lines.len())
    }

    /// Brings lines into the cache, all at once: a processor continues with the next load while it
    /// waits for one, but only within a limit. So there must be little other work between two
    /// loads.
    #[inline]
    pub(crate) fn touch(&self, homes: &[usize]) {
        let of = |home: &usize| {
            self.lines
                .get(*home)
                .map_or(0, |CacheLine([slot, ..])| slot.id())
        };
        // Without a use of the value the load would be optimised away.
        black_box(homes.iter().fold(0, |all, home| all ^ of(home)));
    }

    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&S> {
        let (line, slot) = self.find(id)?;
        let slot = self.lines.get(line)?.0.get(slot)?;
        (!slot.is_free()).then_some(slot)
    }

    /// The slot of `id`, mutable; its key must not change.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut S> {
        let (line, slot) = self.find(id)?;
        let slot = self.lines.get_mut(line)?.0.get_mut(slot)?;
        (!slot.is_free()).then_some(slot)
    }

    /// Inserts a slot, unless one with its id exists: then returns that one.
    pub(crate) fn insert(&mut self, new: S) -> Option<&mut S> {
        let slots = self.lines.len().saturating_mul(TOGETHER);
        if self.taken.saturating_mul(2) >= slots {
            self.grow();
        }
        let (line, slot) = self.find(new.id())?;
        let slot = self.lines.get_mut(line)?.0.get_mut(slot)?;
        if slot.is_free() {
            *slot = new;
            self.taken = self.taken.saturating_add(1);
            return None;
        }
        Some(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        let slots = self.lines.iter().flat_map(|CacheLine(slots)| slots);
        slots.filter(|slot| !slot.is_free())
    }

    /// How many are in it.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// The line and place of `id`, or of the free slot that it would go to. There is always one,
    /// since half of them are free.
    #[inline]
    fn find(&self, id: u64) -> Option<(usize, usize)> {
        let home = home(id, self.lines.len());
        match place_in(self.lines.get(home)?, id) {
            TOGETHER => self.find_after(home, id),
            place => Some((home, place)),
        }
    }

    /// Continues with the lines after a full one, wrapping at the end.
    fn find_after(&self, home: usize, id: u64) -> Option<(usize, usize)> {
        for step in 1..self.lines.len() {
            let at = home.saturating_add(step);
            let at = at.checked_sub(self.lines.len()).unwrap_or(at);
            let place = place_in(self.lines.get(at)?, id);
            if place < TOGETHER {
                return Some((at, place));
            }
        }
        None
    }

    fn grow(&mut self) {
        let more = vec![CacheLine::default(); self.lines.len().saturating_mul(2)];
        let old = std::mem::replace(&mut self.lines, more);
        for slot in old.iter().flat_map(|CacheLine(slots)| slots) {
            if slot.is_free() {
                continue;
            }
            let place = self.find(slot.id());
            let free = place.and_then(|(line, place)| self.lines.get_mut(line)?.0.get_mut(place));
            if let Some(free) = free {
                *free = *slot;
            }
        }
    }
}

/// The line at which the search for `id` begins: ids are evenly spread over 64 bits, and so are
/// their lines.
#[inline]
fn home(id: u64, lines: usize) -> usize {
    let lines = u64::try_from(lines).unwrap_or(u64::MAX);
    usize::try_from((u128::from(id) * u128::from(lines)) >> 64).unwrap_or_default()
}

/// The position of `id` in a line, or else of the first free slot, or else [`TOGETHER`]. Lines fill
/// from the front and never empty.
#[inline]
fn place_in<S: Slot>(CacheLine(slots): &CacheLine<S>, id: u64) -> usize {
    let mut place = TOGETHER;
    for (at, slot) in slots.iter().enumerate().rev() {
        // `|` evaluates both sides, so that there is no branch.
        if slot.is_free() | (slot.id() == id) {
            place = at;
        }
    }
    place
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
        // All searches start at the last line.
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

    #[test]
    fn a_slot_is_sixteen_bytes_and_four_are_a_line_of_the_cache() {
        assert_eq!(size_of::<CacheLine<Pair>>(), 64);
        assert_eq!(align_of::<CacheLine<Pair>>(), 64);
    }
}
