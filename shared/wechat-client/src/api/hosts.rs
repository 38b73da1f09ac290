//! WeChat Pay's two hosts, and which of them to ask first.
//!
//! Their state is only in the sandbox's memory. A shared item would cost a read for each call and a
//! write for each failure, just during an outage, and one sandbox with network trouble of its own
//! could turn all others away from a good host. A sandbox needs only three calls to learn the
//! state.

use super::breaker::{Breaker, BreakerEvent, CallReport};

/// WeChat Pay's two hosts, without a slash at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hosts {
    /// The main host.
    pub main: String,
    /// The same operator in another city. One `Authorization` is good on either: the host is not
    /// signed (shared/wechatpay/PROTOCOL.md, 1.1).
    pub backup: String,
}

/// How the host of a call is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostChoice {
    /// A breaker watches each host, and one that answers is asked first.
    #[default]
    ByHealth,
    /// All calls go to the main host, the second try of one too, and no breaker opens: what a
    /// client without any of this does. Only to measure what the other choice is worth.
    MainAlways,
}

/// Which host to call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    Main,
    /// The other one.
    Backup,
}

impl Host {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Main, Self::Backup];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Backup => "backup",
        }
    }
}

/// A breaker for each host, and the order that follows.
#[derive(Debug, Default)]
pub(super) struct Failover {
    main: Breaker,
    backup: Breaker,
}

/// The main host first, as long as nothing is known against it.
const MAIN_FIRST: [Host; 2] = [Host::Main, Host::Backup];
const BACKUP_FIRST: [Host; 2] = [Host::Backup, Host::Main];

impl Failover {
    /// The host to call first, and the other one. If the main host does not answer, the backup is
    /// first, except for one caller at a time that tries the main host again. If neither answers,
    /// the main host is first, because it is nearer.
    pub(super) fn order(&mut self, now_ms: i64) -> [Host; 2] {
        if self.main.admits(now_ms) || !self.backup.admits(now_ms) {
            MAIN_FIRST
        } else {
            BACKUP_FIRST
        }
    }

    /// The same for a caller that may use the backup host first, to learn whether it works. That is
    /// only done while both hosts work.
    pub(super) fn order_to_warm_the_backup(&mut self, now_ms: i64) -> [Host; 2] {
        if self.main.is_closed() && self.backup.is_closed() {
            BACKUP_FIRST
        } else {
            self.order(now_ms)
        }
    }

    /// Whether neither host answers and no probe is due.
    pub(super) fn is_down(&self, now_ms: i64) -> bool {
        self.main.is_shut(now_ms) && self.backup.is_shut(now_ms)
    }

    /// How many of the two are avoided and not to be tried again yet. One that was not tried since
    /// may work again.
    pub(super) fn avoided(&self, now_ms: i64) -> u32 {
        let main = u32::from(self.main.is_shut(now_ms));
        main.saturating_add(u32::from(self.backup.is_shut(now_ms)))
    }

    /// Takes note of a call.
    pub(super) fn record(&mut self, host: Host, seen: CallReport) -> Option<BreakerEvent> {
        match host {
            Host::Main => self.main.record(seen),
            Host::Backup => self.backup.record(seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_785_556_800_000;

    fn kill(failover: &mut Failover, host: Host, at_ms: i64) {
        for _ in 0..3 {
            record(failover, host, at_ms, false);
        }
    }

    fn record(failover: &mut Failover, host: Host, at_ms: i64, answered: bool) {
        failover.record(
            host,
            CallReport {
                sent_at_ms: at_ms,
                at_ms,
                answered,
            },
        );
    }

    #[test]
    fn the_main_host_is_asked_first_unless_it_alone_is_dead() {
        for (name, dead, first) in [
            ("all well", &[][..], Host::Main),
            ("main dead", &[Host::Main], Host::Backup),
            ("backup dead", &[Host::Backup], Host::Main),
            ("both dead", &[Host::Main, Host::Backup], Host::Main),
        ] {
            let mut failover = Failover::default();
            for &host in dead {
                kill(&mut failover, host, NOW_MS);
            }
            let [asked_first, other] = failover.order(NOW_MS);
            assert_eq!(asked_first, first, "{name}");
            assert_ne!(other, first, "{name}");
            assert_eq!(failover.is_down(NOW_MS), dead.len() == 2, "{name}");
            assert_eq!(
                failover.avoided(NOW_MS + 60_000),
                0,
                "{name}: who knows by then"
            );
            assert_eq!(
                usize::try_from(failover.avoided(NOW_MS)),
                Ok(dead.len()),
                "{name}"
            );
        }
    }

    #[test]
    fn a_dead_main_host_is_tried_by_one_caller_after_a_minute_and_asked_first_again_when_it_answers()
     {
        let mut failover = Failover::default();
        kill(&mut failover, Host::Main, NOW_MS);
        let later_ms = NOW_MS + 60_000;
        for _ in 0..3 {
            assert_eq!(failover.order(later_ms), MAIN_FIRST);
            assert_eq!(failover.order(later_ms), BACKUP_FIRST, "the others wait");
            record(&mut failover, Host::Main, later_ms, true);
        }
        assert_eq!(failover.order(later_ms), MAIN_FIRST);
        assert_eq!(failover.order(later_ms), MAIN_FIRST, "for everybody");
    }

    #[test]
    fn with_both_dead_each_is_tried_again_in_its_turn() {
        let mut failover = Failover::default();
        kill(&mut failover, Host::Main, NOW_MS);
        kill(&mut failover, Host::Backup, NOW_MS + 10_000);
        assert!(failover.is_down(NOW_MS + 59_999));
        assert_eq!(failover.order(NOW_MS + 60_000), MAIN_FIRST);
        record(&mut failover, Host::Main, NOW_MS + 60_000, false);
        assert!(failover.is_down(NOW_MS + 69_999));
        assert_eq!(failover.order(NOW_MS + 70_000), BACKUP_FIRST);
        assert!(failover.is_down(NOW_MS + 70_000), "its try is on the way");
    }

    #[test]
    fn the_backup_is_only_kept_warm_while_both_hosts_are_well() {
        let mut failover = Failover::default();
        assert_eq!(failover.order_to_warm_the_backup(NOW_MS), BACKUP_FIRST);
        kill(&mut failover, Host::Backup, NOW_MS);
        assert_eq!(failover.order_to_warm_the_backup(NOW_MS), MAIN_FIRST);
        let mut failover = Failover::default();
        kill(&mut failover, Host::Main, NOW_MS);
        assert_eq!(
            failover.order_to_warm_the_backup(NOW_MS + 60_000),
            MAIN_FIRST,
            "its turn to try the main host is not wasted"
        );
    }
}
