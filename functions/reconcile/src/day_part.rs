//! A part of a day that is too big for one run: the orders of some parts of the index.

use payments::{
    model::next_check::{SHARDS, shard_of_text},
    reconcile::difference::Difference,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DayPart {
    /// Zero-based.
    pub(crate) number: u8,
    /// The number of parts.
    pub(crate) of: u8,
}

/// Lines of our books that one run holds at once: a day of a million orders, a tenth of them
/// refunded, and some reserve. Each is 16 bytes in a table that is half full at most.
pub(crate) const LINES: u64 = 1_200_000;

impl DayPart {
    pub(crate) const WHOLE: Self = Self { number: 0, of: 1 };

    /// How many parts a day with this many rows is split into: 2, 4, 8 or 16, so that all have the
    /// same size. There cannot be more than the index has parts, so beyond 19 million rows a part
    /// grows with the day.
    pub(crate) fn count_for(rows: u64) -> u8 {
        let parts = rows.div_ceil(LINES).clamp(2, u64::from(SHARDS));
        u8::try_from(parts.next_power_of_two()).unwrap_or(SHARDS)
    }

    /// Whether it is the one that handles what belongs to no single order.
    pub(crate) fn is_first(self) -> bool {
        self.number == 0
    }

    /// The parts of the index that belong to it.
    pub(crate) fn shards(self) -> impl Iterator<Item = u8> {
        (0..SHARDS).filter(move |shard| self.has_shard(*shard))
    }

    /// Whether what has this number belongs to it: an order's number, a payment's, a refund's.
    pub(crate) fn has(self, number: &str) -> bool {
        self.of <= 1 || self.has_shard(shard_of_text(number))
    }

    /// Whether a difference was found by it. Those of the account's movements go by the movement's
    /// number.
    pub(crate) fn has_difference(self, difference: &Difference) -> bool {
        // For an aggregated difference: the part that reported it, however the day was split then.
        if let Some(many) = &difference.aggregate {
            return many.part.checked_rem(self.of.max(1)).unwrap_or(0) == self.number;
        }
        let about = &difference.about;
        let number = if difference.kind.is_of_movements() {
            about.refund_id.as_ref().or(about.transaction_id.as_ref())
        } else {
            about.order_no.as_ref() // `None` for a bill as a whole
        };
        number.map_or(self.is_first(), |number| self.has(number))
    }

    fn has_shard(self, shard: u8) -> bool {
        shard.checked_rem(self.of).unwrap_or(0) == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_index_belongs_to_exactly_one_part_of_the_day() {
        for of in 1..=SHARDS {
            let mut shards: Vec<u8> = (0..of)
                .flat_map(|number| DayPart { number, of }.shards())
                .collect();
            shards.sort_unstable();
            assert_eq!(shards, (0..SHARDS).collect::<Vec<u8>>(), "{of}");
        }
    }

    #[test]
    fn a_day_is_split_by_its_rows_into_two_parts_to_sixteen() {
        for (rows, parts) in [
            (0, 2),
            (1_200_001, 2),
            (2_400_001, 4),
            (10_000_000, 16),
            (100_000_000, 16),
        ] {
            assert_eq!(DayPart::count_for(rows), parts, "{rows}");
        }
    }
}
