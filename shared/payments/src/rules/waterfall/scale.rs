//! Where a moment stands in a picture whose bars last milliseconds and whose pauses last days.

use std::collections::BTreeSet;

use super::Waterfall;

/// From milliseconds to places. Each stretch between two beginnings or ends is as wide as the
/// number of times that it can be halved, so that an instant stays visible beside a day and the
/// order of things stays true. How long something took is written beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scale {
    /// A moment, and the weight of all stretches before it.
    places: Vec<(i64, i64)>,
    weight: i64,
    width: i64,
}

impl Scale {
    /// Of a picture so wide.
    pub fn new(waterfall: &Waterfall, width: i64) -> Self {
        let spans = waterfall.spans.iter();
        let moments: BTreeSet<i64> = spans
            .flat_map(|span| [span.from_ms, span.until_ms])
            .collect();
        let (mut places, mut weight, mut before) = (Vec::new(), 0_i64, None);
        for moment in moments {
            if let Some(before) = before {
                let length = moment.saturating_sub(before).max(1);
                weight = weight.saturating_add(i64::from(length.ilog2()).saturating_add(1));
            }
            places.push((moment, weight));
            before = Some(moment);
        }
        Self {
            places,
            weight: weight.max(1),
            width,
        }
    }

    /// The place of a moment that is a beginning or an end.
    pub fn place(&self, at_ms: i64) -> i64 {
        let found = self
            .places
            .iter()
            .rev()
            .find(|(moment, _)| *moment <= at_ms);
        let weight = found.map_or(0, |(_, weight)| *weight);
        weight.saturating_mul(self.width).div_euclid(self.weight)
    }
}
