//! The values that were put into metrics.

use std::collections::BTreeMap;

use crate::number::Number;

/// Dimensions of a metric, sorted.
pub type Dimensions = Vec<(String, String)>;

/// A metric: CloudWatch keeps one for each namespace, name and set of dimensions, and none of them
/// is contained in another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: Dimensions,
}

impl Metric {
    /// One with these dimensions, in any order.
    pub fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        dimensions.sort();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions,
        }
    }
}

/// What of a period's values counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Statistic {
    Sum,
    SampleCount,
    Average,
    Minimum,
    Maximum,
    /// A percentile, such as 50 for `p50`.
    Percentile(usize),
}

impl Statistic {
    /// By CloudWatch's name; `None` for those that are not known here.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Sum" => Self::Sum,
            "SampleCount" => Self::SampleCount,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            other => {
                let percent = other.strip_prefix('p')?.parse().ok()?;
                (1..=100).contains(&percent).then_some(())?;
                Self::Percentile(percent)
            }
        })
    }

    /// The data point of these values; `None` if there is none.
    fn of(self, values: &[Number]) -> Option<Number> {
        let count = Number::whole(i64::try_from(values.len()).ok()?);
        let sum = || {
            let mut values = values.iter();
            values.try_fold(Number::ZERO, |sum, value| sum.plus(*value))
        };
        if values.is_empty() {
            return None;
        }
        match self {
            Self::Sum => sum(),
            Self::SampleCount => Some(count),
            Self::Average => sum()?.over(count),
            Self::Minimum => values.iter().min().copied(),
            Self::Maximum => values.iter().max().copied(),
            // The nearest rank. CloudWatch's own is between two values, if it is none of them.
            Self::Percentile(percent) => {
                let mut sorted = values.to_vec();
                sorted.sort_unstable();
                let rank = (sorted.len() * percent).div_ceil(100);
                sorted.get(rank.checked_sub(1)?).copied()
            }
        }
    }
}

/// All values of all metrics, by when they were put (Unix milliseconds).
#[derive(Clone, Debug, Default)]
pub struct Store {
    metrics: BTreeMap<Metric, BTreeMap<i64, Vec<Number>>>,
}

impl Store {
    pub fn put(&mut self, metric: Metric, at_ms: i64, value: Number) {
        let puts = self.metrics.entry(metric).or_default();
        puts.entry(at_ms).or_default().push(value);
    }

    /// The data point of the values from `from_ms` on and before `to_ms`.
    pub fn point(
        &self,
        metric: &Metric,
        statistic: Statistic,
        from_ms: i64,
        to_ms: i64,
    ) -> Option<Number> {
        let puts = self.metrics.get(metric)?.range(from_ms..to_ms);
        let values: Vec<Number> = puts.flat_map(|(_, values)| values).copied().collect();
        statistic.of(&values)
    }

    /// How often the metric had which value from `from_ms` on and before `to_ms`.
    pub fn counts(&self, metric: &Metric, from_ms: i64, to_ms: i64) -> BTreeMap<Number, usize> {
        let puts = self.metrics.get(metric).into_iter();
        let puts = puts.flat_map(|puts| puts.range(from_ms..to_ms));
        let mut counts = BTreeMap::new();
        for value in puts.flat_map(|(_, values)| values) {
            *counts.entry(*value).or_default() += 1;
        }
        counts
    }

    /// The metrics that have a value.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.keys()
    }

    /// Forgets the values before this time, and with `i64::MAX` all.
    pub fn forget_before(&mut self, at_ms: i64) {
        for puts in self.metrics.values_mut() {
            *puts = puts.split_off(&at_ms);
        }
        self.metrics.retain(|_, puts| !puts.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_the_value_of_its_statistic_and_dimensions_are_kept_apart() {
        let metric = |outcome| Metric::new("N", "Calls", &[("Mchid", "1"), ("outcome", outcome)]);
        let mut store = Store::default();
        for (at_ms, value) in [(0, 1), (10, 0), (59, 2), (60, 100)] {
            store.put(metric("ok"), at_ms, Number::whole(value));
        }
        let point = |statistic| store.point(&metric("ok"), statistic, 0, 60);
        for (statistic, value) in [
            (Statistic::Sum, 3),
            (Statistic::SampleCount, 3),
            (Statistic::Average, 1),
            (Statistic::Minimum, 0),
            (Statistic::Maximum, 2),
            (Statistic::Percentile(50), 1),
            (Statistic::Percentile(99), 2),
        ] {
            assert_eq!(
                point(statistic),
                Some(Number::whole(value)),
                "{statistic:?}"
            );
        }
        let counts = store.counts(&metric("ok"), 0, 61);
        let counts: Vec<_> = counts.into_values().collect();
        assert_eq!(counts, [1, 1, 1, 1], "0, 1, 2 and 100, each once");
        assert!(store.counts(&metric("ok"), 61, 99).is_empty());
        let other = store.point(&metric("failed"), Statistic::Sum, 0, 60);
        assert_eq!(other, None);
        let fewer = Metric::new("N", "Calls", &[("Mchid", "1")]);
        assert_eq!(store.point(&fewer, Statistic::Sum, 0, 60), None);
        store.forget_before(60);
        assert_eq!(store.point(&metric("ok"), Statistic::Sum, 0, 60), None);
        assert_eq!(store.metrics().count(), 1);
    }
}
