//! What a day's metrics and orders say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{FirstAnswer, OrderEnd};
use super::plan::{Fault, Staged};

/// How often each value came: of a metric, or of milliseconds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Values(BTreeMap<u64, u64>);

/// Of so many events so many were good.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Share {
    pub(crate) good: u64,
    pub(crate) of: u64,
}

/// All figures of one day.
#[derive(Clone, Debug)]
pub(crate) struct DayFigures {
    /// The objective *callbacks*.
    pub(crate) callbacks: Share,
    /// The objective *orders*.
    pub(crate) orders: Share,
    /// Orders whose value was in the first answer: of the whole day, and of those that came during
    /// a fault.
    pub(crate) at_once: Share,
    pub(crate) at_once_during: Vec<(Fault, Share)>,
    /// From a request to the value that can be paid, in milliseconds.
    pub(crate) payable_ms: Values,
    /// From the payment at WeChat Pay to its booking, in seconds.
    pub(crate) settlement_s: Values,
    /// How often who brought the news of it.
    pub(crate) brought_by: BTreeMap<String, u64>,
    pub(crate) payments: u64,
    /// Payments that the bill has and no order.
    pub(crate) lost: u64,
    /// How often a sandbox began to avoid a host, or used it again.
    pub(crate) host_changes: u64,
    /// Requests that came through to WeChat Pay's hosts.
    pub(crate) main_requests: u64,
    pub(crate) backup_requests: u64,
}

impl Values {
    pub(crate) fn add(&mut self, value: u64, count: u64) {
        let counted = self.0.entry(value).or_default();
        *counted = counted.saturating_add(count);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(value, count)| value * count).sum()
    }

    /// A percentile by the nearest rank, as the evaluator of alarms has it.
    pub(crate) fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.count() * percent).div_ceil(100);
        let mut seen = 0;
        let mut values = self.0.iter();
        let found = values.find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(value, _)| *value)
    }
}

impl Share {
    pub(crate) fn of(good: impl Iterator<Item = bool>) -> Self {
        good.fold(Self::default(), |share, is_good| Self {
            good: share.good + u64::from(is_good),
            of: share.of + 1,
        })
    }

    /// In percent, rounded down: what missed an objective must not look as if it met it.
    pub(crate) fn percent(self) -> String {
        if self.of == 0 {
            return "-".to_owned();
        }
        let thousandths = self.good * 100_000 / self.of;
        format!("{}.{:03} %", thousandths / 1_000, thousandths % 1_000)
    }

    pub(crate) fn text(self) -> String {
        format!("{} ({} of {})", self.percent(), self.good, self.of)
    }

    fn json(self) -> Value {
        json!({"good": self.good, "of": self.of, "percent": self.percent().trim_end_matches(" %")})
    }
}

/// The values of a metric: of the set without dimensions, under an empty name, and of each value of
/// its one dimension. Each set has all values once more.
fn of_metric(metrics: &Value, name: &str) -> BTreeMap<String, Values> {
    let mut found: BTreeMap<String, Values> = BTreeMap::new();
    for metric in metrics.as_array().into_iter().flatten() {
        let dimensions = metric.get("dimensions").and_then(Value::as_object);
        let of_this = metric.get("name").and_then(Value::as_str) == Some(name);
        let Some(dimensions) = dimensions.filter(|it| of_this && it.len() <= 1) else {
            continue;
        };
        let key = dimensions.values().next().and_then(Value::as_str);
        let values = found.entry(key.unwrap_or_default().to_owned()).or_default();
        let counts = metric.get("values").and_then(Value::as_array);
        for one in counts.into_iter().flatten() {
            let value = one.get(0).and_then(Value::as_str);
            let value = value.and_then(|value| value.parse().ok());
            if let (Some(value), Some(count)) = (value, one.get(1).and_then(Value::as_u64)) {
                values.add(value, count);
            }
        }
    }
    found
}

/// The values of a metric, whatever their dimensions.
fn all_of(metrics: &Value, name: &str) -> Values {
    of_metric(metrics, name).remove("").unwrap_or_default()
}

/// The share of ones among ones and zeros.
fn share_of(metrics: &Value, name: &str) -> Share {
    let all = all_of(metrics, name);
    Share {
        good: all.sum(),
        of: all.count(),
    }
}

/// How many payments were booked so far, by the metrics.
pub(crate) fn booked(metrics: &Value) -> u64 {
    all_of(metrics, "SettlementDelay").count()
}

impl DayFigures {
    /// Of the day's metrics and orders. What the bill and the hosts say comes in afterwards.
    pub(crate) fn of(
        metrics: &Value,
        orders: &[OrderEnd],
        staged: &[Staged],
        day: Duration,
    ) -> Self {
        let at_once = |orders: &mut dyn Iterator<Item = &OrderEnd>| {
            Share::of(orders.map(|order| order.first == FirstAnswer::Value))
        };
        let mut payable_ms = Values::default();
        for after in orders.iter().filter_map(|order| order.payable_after) {
            payable_ms.add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX), 1);
        }
        let paid = orders.iter().filter(|order| order.is_paid).count();
        Self {
            callbacks: share_of(metrics, "CallbacksGood"),
            orders: share_of(metrics, "OrdersAnswered"),
            at_once: at_once(&mut orders.iter()),
            at_once_during: staged
                .iter()
                .filter(|staged| staged.to_min > staged.from_min)
                .map(|staged| {
                    let mut during = orders.iter().filter(|order| staged.holds(order.asked, day));
                    (staged.fault, at_once(&mut during))
                })
                .collect(),
            payable_ms,
            settlement_s: all_of(metrics, "SettlementDelay"),
            brought_by: of_metric(metrics, "SettlementDelay")
                .into_iter()
                .filter(|(by, _)| !by.is_empty())
                .map(|(by, values)| (by, values.count()))
                .collect(),
            payments: u64::try_from(paid).unwrap_or(u64::MAX),
            lost: 0,
            host_changes: all_of(metrics, "HostStateChanges").count(),
            main_requests: 0,
            backup_requests: 0,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let during: BTreeMap<&str, Value> = self
            .at_once_during
            .iter()
            .map(|(fault, share)| (fault.name(), share.json()))
            .collect();
        json!({
            "callbacks": self.callbacks.json(), "orders": self.orders.json(),
            "value_at_once": self.at_once.json(), "value_at_once_during": during,
            "payable_ms": {"p50": self.payable_ms.percentile(50), "p99": self.payable_ms.percentile(99)},
            "settlement_s": {"p50": self.settlement_s.percentile(50), "p99": self.settlement_s.percentile(99)},
            "brought_by": self.brought_by, "payments": self.payments, "lost_callbacks": self.lost,
            "host_state_changes": self.host_changes,
            "requests": {"main": self.main_requests, "backup": self.backup_requests},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Value {
        let one = |name: &str, dimensions: Value, values: Value| json!({"namespace": "wechatpay", "name": name, "dimensions": dimensions, "values": values});
        json!([
            one("CallbacksGood", json!({}), json!([["0", 1], ["1", 1_999]])),
            one("OrdersAnswered", json!({}), json!([["1", 20]])),
            one(
                "SettlementDelay",
                json!({}),
                json!([["0", 90], ["2", 8], ["61", 2]])
            ),
            one(
                "SettlementDelay",
                json!({"brought_by": "notice"}),
                json!([["0", 90], ["2", 8]])
            ),
            one(
                "SettlementDelay",
                json!({"brought_by": "sweep"}),
                json!([["61", 2]])
            ),
            one("HostStateChanges", json!({}), json!([["1", 3]])),
            one(
                "HostStateChanges",
                json!({"host": "main", "state": "avoided"}),
                json!([["1", 3]])
            ),
        ])
    }

    fn order(asked_s: u64, first: FirstAnswer, payable_ms: Option<u64>) -> OrderEnd {
        OrderEnd {
            asked: Duration::from_secs(asked_s),
            first,
            payable_after: payable_ms.map(Duration::from_millis),
            is_paid: payable_ms.is_some(),
        }
    }

    #[test]
    fn the_figures_are_those_of_the_metrics_and_of_what_callers_got() {
        let day = Duration::from_secs(24);
        let orders = [
            order(1, FirstAnswer::Value, Some(40)),
            order(20, FirstAnswer::Later, Some(9_000)),
            order(21, FirstAnswer::Value, Some(50)),
            order(23, FirstAnswer::Failed, None),
        ];
        let figures = DayFigures::of(&metrics(), &orders, &super::super::plan::FAULTS, day);
        assert_eq!(figures.callbacks.text(), "99.950 % (1999 of 2000)");
        assert_eq!(figures.orders.percent(), "100.000 %");
        assert_eq!(figures.at_once, Share { good: 2, of: 4 });
        let refused = figures
            .at_once_during
            .iter()
            .find(|(fault, _)| *fault == Fault::MainHostRefuses);
        assert_eq!(refused.map(|it| it.1), Some(Share { good: 1, of: 2 }));
        assert!(
            figures
                .at_once_during
                .iter()
                .all(|(fault, _)| *fault != Fault::EngineRestarts),
            "a moment has no orders"
        );
        assert_eq!(booked(&metrics()), 100);
        assert_eq!(
            [50, 98, 99, 100].map(|percent| figures.settlement_s.percentile(percent)),
            [Some(0), Some(2), Some(61), Some(61)]
        );
        let brought: Vec<_> = figures.brought_by.into_values().collect();
        assert_eq!(brought, [98, 2]);
        assert_eq!((figures.payments, figures.payable_ms.count()), (3, 3));
        assert_eq!(figures.host_changes, 3, "each once");
    }

    #[test]
    fn a_share_is_rounded_down_and_nothing_has_none() {
        let share = |good, of| Share { good, of }.percent();
        assert_eq!(share(199_999, 200_000), "99.999 %");
        assert_eq!(share(1, 3), "33.333 %");
        assert_eq!(share(0, 0), "-");
        assert_eq!(Values::default().percentile(99), None);
    }
}
