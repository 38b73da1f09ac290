//! How often the queues try news again that cannot be processed yet.

/// Seconds from a failure to settle a notice to the next attempt, by how often its message was
/// received. Half a day in total, well below the queue's retention of four days.
const RETRY_S: [i32; 8] = [10, 30, 120, 600, 1_800, 3_600, 10_800, 21_600];

/// Seconds until the next attempt for a message that was received `times` and failed.
pub fn retry_after_s(times: u32) -> i32 {
    let failed_before = usize::try_from(times)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let [.., longest] = RETRY_S;
    RETRY_S.get(failed_before).copied().unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_fails_comes_again_after_pauses_that_grow() {
        let pauses: Vec<i32> = (1..=9).map(retry_after_s).collect();
        assert_eq!(
            pauses,
            [10, 30, 120, 600, 1800, 3600, 10_800, 21_600, 21_600]
        );
        assert_eq!(retry_after_s(0), 10);
        assert!(pauses.iter().take(8).sum::<i32>() < 43_200);
    }
}
