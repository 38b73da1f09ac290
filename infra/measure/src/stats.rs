//! Medians and ratios of measured times.

use std::time::Duration;

/// The middle of the samples; of two in the middle, the earlier one, so that it is a sample that
/// was taken.
pub(crate) fn median<T: Copy + Ord>(samples: &[T]) -> Option<T> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// How much `measured` is of `yardstick`, to three decimals; nothing is compared with a yardstick
/// of zero.
pub(crate) fn ratio(measured: Duration, yardstick: Duration) -> Option<f64> {
    if yardstick.is_zero() {
        return None;
    }
    format!("{:.3}", measured.div_duration_f64(yardstick))
        .parse()
        .ok()
}

/// Nanoseconds for a JSON number.
pub(crate) fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_sample_in_the_middle() {
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[4, 1, 3, 2]), Some(2));
        assert_eq!(median::<u64>(&[]), None);
    }

    #[test]
    fn a_ratio_has_three_decimals_and_needs_a_yardstick() {
        let ms = Duration::from_millis;
        assert_eq!(ratio(ms(1), ms(3)), Some(0.333));
        assert_eq!(ratio(ms(6), ms(2)), Some(3.0));
        assert_eq!(ratio(ms(6), ms(0)), None);
    }
}
