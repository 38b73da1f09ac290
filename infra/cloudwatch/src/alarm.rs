//! An alarm on a metric or on metric math.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>

use serde_json::Value;

use crate::{
    Unreadable,
    math::{Expression, Points},
    number::Number,
    store::{Metric, Statistic, Store},
};

/// How many periods more than it evaluates an alarm looks back over for points that are there,
/// before it takes any for missing. CloudWatch says only that it does; for three periods its
/// example has two.
const EXTRA_PERIODS: usize = 3;

/// An alarm, as a template has it.
#[derive(Clone, Debug)]
pub struct Alarm {
    pub name: String,
    pub description: String,
    /// Whether it notifies of its beginning, and of its end.
    pub notifies: Notifies,
    pub(crate) queries: Vec<Query>,
    /// The query among them that is compared.
    pub(crate) watched: String,
    pub period_s: i64,
    pub(crate) evaluation_periods: usize,
    pub(crate) datapoints_to_alarm: usize,
    pub(crate) comparison: Comparison,
    pub(crate) threshold: Number,
    pub(crate) missing: Missing,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Notifies {
    pub of_alarm: bool,
    pub of_ok: bool,
}

/// One query of an alarm: a metric, or an expression over other queries.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) id: String,
    pub(crate) of: Of,
}

#[derive(Clone, Debug)]
pub(crate) enum Of {
    Metric(Metric, Statistic),
    Expression(Expression),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// How missing points count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Missing {
    /// CloudWatch's own `missing`: they are left out.
    LeftOut,
    Ignore,
    Breaching,
    NotBreaching,
}

/// What an evaluation finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Alarm,
    Ok,
    /// The state stays as it is.
    Kept,
    InsufficientData,
}

impl Alarm {
    /// Reads the properties of an `AWS::CloudWatch::Alarm`, of which all values are known.
    ///
    /// # Errors
    /// They have what is not known here.
    pub fn read(properties: &Value) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable::Alarm(properties.to_string());
        let queries = match properties.get("Metrics").and_then(Value::as_array) {
            Some(queries) => queries
                .iter()
                .map(|query| Query::read(query).ok_or_else(unreadable)?)
                .collect::<Result<Vec<_>, _>>()?,
            None => vec![Query {
                id: "m1".to_owned(),
                of: metric_of(properties, statistic_of(properties)).ok_or_else(unreadable)?,
            }],
        };
        Self::over(properties, queries).ok_or_else(unreadable)
    }

    fn over(properties: &Value, queries: Vec<Query>) -> Option<Self> {
        let text = |name: &str| properties.get(name).and_then(Value::as_str);
        let whole = |name: &str| properties.get(name).and_then(Value::as_u64);
        let (watched, period_s) = match properties.get("Metrics").and_then(Value::as_array) {
            None => ("m1".to_owned(), properties.get("Period")?.as_i64()?),
            Some(all) => {
                let returns = |query: &&Value| query.get("ReturnData") != Some(&Value::Bool(false));
                let mut returned = all.iter().filter(returns);
                let watched = returned.next()?.get("Id")?.as_str()?.to_owned();
                // CloudWatch refuses an alarm on two series.
                if returned.next().is_some() {
                    return None;
                }
                (watched, one_period_s(all)?)
            }
        };
        let known: Vec<&str> = queries.iter().map(|query| query.id.as_str()).collect();
        let used = queries.iter().flat_map(|query| match &query.of {
            Of::Metric(..) => vec![],
            Of::Expression(expression) => expression.ids(),
        });
        if used.into_iter().any(|id| !known.contains(&id)) {
            return None;
        }
        let evaluation_periods = usize::try_from(whole("EvaluationPeriods")?).ok()?;
        let datapoints = whole("DatapointsToAlarm").and_then(|it| usize::try_from(it).ok());
        let has = |name: &str| {
            let actions = properties.get(name).and_then(Value::as_array);
            actions.is_some_and(|actions| !actions.is_empty())
        };
        Some(Self {
            name: text("AlarmName")?.to_owned(),
            description: text("AlarmDescription").unwrap_or_default().to_owned(),
            notifies: Notifies {
                of_alarm: has("AlarmActions"),
                of_ok: has("OKActions"),
            },
            queries,
            watched,
            period_s,
            evaluation_periods,
            datapoints_to_alarm: datapoints.unwrap_or(evaluation_periods),
            comparison: match text("ComparisonOperator")? {
                "GreaterThanThreshold" => Comparison::Above,
                "GreaterThanOrEqualToThreshold" => Comparison::AtLeast,
                "LessThanThreshold" => Comparison::Below,
                "LessThanOrEqualToThreshold" => Comparison::AtMost,
                _ => return None,
            },
            threshold: Number::parse(&properties.get("Threshold")?.to_string())?,
            missing: match text("TreatMissingData").unwrap_or("missing") {
                "missing" => Missing::LeftOut,
                "ignore" => Missing::Ignore,
                "breaching" => Missing::Breaching,
                "notBreaching" => Missing::NotBreaching,
                _ => return None,
            },
        })
    }

    /// The metrics that it looks at.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.queries.iter().filter_map(|query| match &query.of {
            Of::Metric(metric, _) => Some(metric),
            Of::Expression(_) => None,
        })
    }

    /// What it finds in the periods that end at this time. They slide with it.
    pub fn evaluate(&self, store: &Store, ends_ms: i64) -> Verdict {
        self.judge(&self.points(store, ends_ms))
    }

    /// The points of its evaluation range, the newest last.
    pub fn points(&self, store: &Store, ends_ms: i64) -> Points {
        let range = self.evaluation_periods + EXTRA_PERIODS;
        let points = self.points_of(&self.watched, store, ends_ms, self.queries.len());
        points.unwrap_or_else(|| vec![None; range])
    }

    /// The points of one query. `depth` ends queries that name each other in a circle.
    fn points_of(&self, id: &str, store: &Store, ends_ms: i64, depth: usize) -> Option<Points> {
        let query = self.queries.iter().find(|query| query.id == id)?;
        let depth = depth.checked_sub(1)?;
        match &query.of {
            Of::Expression(expression) => {
                expression.points(&|id| self.points_of(id, store, ends_ms, depth))
            }
            Of::Metric(metric, statistic) => {
                let range = i64::try_from(self.evaluation_periods + EXTRA_PERIODS).ok()?;
                let period_ms = self.period_s.checked_mul(1000)?;
                let points = (0..range).rev().map(|back| {
                    let to_ms = ends_ms - back * period_ms;
                    store.point(metric, *statistic, to_ms - period_ms, to_ms)
                });
                Some(points.collect())
            }
        }
    }

    /// If as many points are there as are evaluated, the newest ones count and none is missing;
    /// otherwise missing ones are treated as the alarm says.
    pub(crate) fn judge(&self, points: &[Option<Number>]) -> Verdict {
        let there = points.iter().rev().flatten();
        let there: Vec<_> = there.take(self.evaluation_periods).collect();
        let breaching = there.iter().filter(|it| self.breaches(***it)).count();
        let missing = self.evaluation_periods - there.len();
        let is_reached = |breaching| breaching >= self.datapoints_to_alarm;
        if is_reached(breaching) {
            return Verdict::Alarm;
        }
        let may_be = is_reached(breaching + missing);
        match self.missing {
            Missing::LeftOut if there.is_empty() => Verdict::InsufficientData,
            // Of those that are there, all breach.
            Missing::LeftOut if may_be && breaching == there.len() => Verdict::Alarm,
            Missing::Breaching if may_be => Verdict::Alarm,
            Missing::Ignore if may_be => Verdict::Kept,
            Missing::LeftOut | Missing::Ignore | Missing::Breaching | Missing::NotBreaching => {
                Verdict::Ok
            }
        }
    }

    fn breaches(&self, point: Number) -> bool {
        match self.comparison {
            Comparison::Above => point > self.threshold,
            Comparison::AtLeast => point >= self.threshold,
            Comparison::Below => point < self.threshold,
            Comparison::AtMost => point <= self.threshold,
        }
    }

    /// A sentence on what was found, for people.
    pub fn why(&self, points: &[Option<Number>]) -> String {
        let there = points.iter().rev().flatten();
        let there: Vec<_> = there.take(self.evaluation_periods).collect();
        let breaching = there.iter().filter(|it| self.breaches(***it)).count();
        let newest = there.first().map_or("none".to_owned(), ToString::to_string);
        let sign = match self.comparison {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        };
        format!(
            "{breaching} of {} points {sign} {} (alarm at {}), the newest {newest}",
            self.evaluation_periods, self.threshold, self.datapoints_to_alarm
        )
    }
}

impl Query {
    /// `None`: a member is missing. An expression may be unreadable for itself.
    fn read(query: &Value) -> Option<Result<Self, Unreadable>> {
        let id = query.get("Id")?.as_str()?.to_owned();
        let of = match query.get("Expression").and_then(Value::as_str) {
            Some(text) => match Expression::parse(text) {
                Ok(expression) => Of::Expression(expression),
                Err(error) => return Some(Err(error)),
            },
            None => {
                let stat = query.get("MetricStat")?;
                metric_of(stat.get("Metric")?, stat.get("Stat"))?
            }
        };
        Some(Ok(Self { id, of }))
    }
}

/// The period of all metrics of an alarm over expressions, in seconds.
fn one_period_s(queries: &[Value]) -> Option<i64> {
    let mut periods = queries
        .iter()
        .filter_map(|query| query.pointer("/MetricStat/Period"));
    let first = periods.next()?;
    periods.all(|period| period == first).then_some(())?;
    first.as_i64()
}

/// A plain statistic, or a percentile.
fn statistic_of(properties: &Value) -> Option<&Value> {
    let plain = properties.get("Statistic");
    plain.or_else(|| properties.get("ExtendedStatistic"))
}

fn metric_of(metric: &Value, statistic: Option<&Value>) -> Option<Of> {
    let dimensions = metric.get("Dimensions").and_then(Value::as_array);
    let dimensions = dimensions.into_iter().flatten().map(|one| {
        let name = one.get("Name")?.as_str()?;
        Some((name, one.get("Value")?.as_str()?))
    });
    let dimensions: Vec<_> = dimensions.collect::<Option<_>>()?;
    let namespace = metric.get("Namespace")?.as_str()?;
    let name = metric.get("MetricName")?.as_str()?;
    let statistic = Statistic::parse(statistic?.as_str()?)?;
    Some(Of::Metric(
        Metric::new(namespace, name, &dimensions),
        statistic,
    ))
}

#[cfg(test)]
mod tests;
