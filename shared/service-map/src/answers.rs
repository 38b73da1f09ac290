//! What CloudWatch answered, page by page.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::metric::{Metric, Statistic};
use crate::question::{Question, id};

/// An answer that is not as documented.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("CloudWatch's answer to GetMetricData cannot be read")]
pub struct UnreadableAnswer;

/// The values of the metrics that were asked for.
#[derive(Clone, Debug)]
pub struct Answers {
    /// By the id in the question.
    places: BTreeMap<String, Metric>,
    values: BTreeMap<Metric, Vec<u64>>,
    /// Those that no page has given in full so far, by their ids.
    unfinished: BTreeMap<String, Metric>,
    messages: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    metric_data_results: Vec<OneResult>,
    #[serde(default)]
    messages: Vec<Message>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneResult {
    id: String,
    #[serde(default)]
    values: Vec<Number>,
    /// `Complete`, `PartialData` (the rest is on the next page), `InternalError` or `Forbidden`.
    status_code: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    code: Option<String>,
    value: Option<String>,
}

impl Answers {
    /// To this question; none so far.
    pub fn to(question: &Question) -> Self {
        let metrics = question.metrics().iter().enumerate();
        let places: BTreeMap<String, Metric> = metrics
            .map(|(place, metric)| (id(place), metric.clone()))
            .collect();
        Self {
            values: BTreeMap::new(),
            // Until a page has it whole: what no page answers is not zero.
            unfinished: places.clone(),
            places,
            messages: Vec::new(),
        }
    }

    /// Takes a page. Gives the token of the next one, if there is one.
    ///
    /// # Errors
    /// It is not as documented, or answers what was not asked.
    pub fn take(&mut self, page: &Value) -> Result<Option<String>, UnreadableAnswer> {
        let page = Page::deserialize(page).map_err(|_| UnreadableAnswer)?;
        self.note(page.messages);
        for one in page.metric_data_results {
            let metric = self.places.get(&one.id).ok_or(UnreadableAnswer)?;
            let values = one.values.iter().map(whole);
            let values: Vec<u64> = values.collect::<Option<_>>().ok_or(UnreadableAnswer)?;
            self.values
                .entry(metric.clone())
                .or_default()
                .extend(values);
            if one.status_code.as_deref() == Some("Complete") {
                self.unfinished.remove(&one.id);
            } else {
                self.unfinished.insert(one.id, metric.clone());
            }
            self.note(one.messages);
        }
        Ok(page.next_token.filter(|token| !token.is_empty()))
    }

    fn note(&mut self, messages: Vec<Message>) {
        for message in messages {
            let parts = [message.code, message.value].into_iter().flatten();
            let text = parts.collect::<Vec<_>>().join(": ");
            if !self.messages.contains(&text) {
                self.messages.push(text);
            }
        }
    }

    /// The figure of the hour: a sum, or for what is no count the largest of its periods. `None`:
    /// there is no value, which for a count means that nothing happened.
    pub fn of(&self, metric: &Metric) -> Option<u64> {
        let values = self.values.get(metric)?.iter().copied();
        match metric.statistic {
            Statistic::Sum | Statistic::SampleCount => values.reduce(u64::saturating_add),
            Statistic::Average | Statistic::Maximum | Statistic::P50 | Statistic::P95 => {
                values.max()
            }
        }
    }

    /// What these add up to. `None`: CloudWatch gave none of it, and did not say that there is
    /// none.
    pub fn sum(&self, metrics: &[Metric]) -> Option<u64> {
        let values = metrics.iter().filter_map(|metric| self.of(metric));
        let sum = values.fold(0, u64::saturating_add);
        let is_known = sum > 0 || self.are_whole(metrics);
        is_known.then_some(sum)
    }

    /// Whether all values of all of these came.
    pub fn are_whole(&self, metrics: &[Metric]) -> bool {
        metrics.iter().all(|metric| self.is_whole(metric))
    }

    /// Whether all of this metric's values came.
    pub fn is_whole(&self, metric: &Metric) -> bool {
        !self.unfinished.values().any(|one| one == metric)
    }

    /// How many metrics lack values that CloudWatch did not give.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// What CloudWatch said beside.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

/// The nearest whole number: counts are whole, and of times a millisecond is enough.
fn whole(number: &Number) -> Option<u64> {
    match number.as_u64() {
        Some(whole) => Some(whole),
        None => {
            let value = number.as_f64().filter(|value| *value >= 0.0)?;
            format!("{value:.0}").parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::question::Question;

    fn result(place: usize, values: Value, status: &str) -> Value {
        json!({"Id": id(place), "Label": "x", "Timestamps": [], "Values": values, "StatusCode": status})
    }

    fn place_of(question: &Question, is_it: impl Fn(&Metric) -> bool) -> (usize, Metric) {
        let found = question
            .metrics()
            .iter()
            .enumerate()
            .find(|(_, it)| is_it(it));
        let (place, metric) = found.unwrap();
        (place, metric.clone())
    }

    #[test]
    fn counts_add_up_over_periods_and_pages_and_of_times_the_longest_counts() {
        let question = Question::at(0);
        let (sum, sums) = place_of(&question, |it| it.statistic == Statistic::Sum);
        let (p95, times) = place_of(&question, |it| it.statistic == Statistic::P95);
        let mut answers = Answers::to(&question);
        let page = json!({
            "MetricDataResults": [
                result(sum, json!([1, 2.0, 3e0]), "PartialData"),
                result(p95, json!([12.4, 80.6]), "Complete"),
            ],
            "NextToken": "more",
        });
        assert_eq!(answers.take(&page), Ok(Some("more".to_owned())));
        assert!(!answers.is_whole(&sums) && answers.is_whole(&times));
        let page =
            json!({"MetricDataResults": [result(sum, json!([4]), "Complete")], "Messages": []});
        assert_eq!(answers.take(&page), Ok(None));
        assert_eq!(answers.of(&sums), Some(10));
        assert_eq!(answers.of(&times), Some(81));
        // No page said anything of the others.
        assert_eq!(answers.unfinished(), question.metrics().len() - 2);
    }

    #[test]
    fn what_cloudwatch_may_not_or_cannot_give_is_counted_with_its_words() {
        let question = Question::at(0);
        let mut forbidden = result(0, json!([]), "Forbidden");
        forbidden["Messages"] = json!([{"Code": "Forbidden", "Value": "no access"}]);
        let page = json!({
            "MetricDataResults": [forbidden, result(1, json!([5]), "InternalError")],
            "Messages": [{"Code": "MaxMetricsExceeded", "Value": "too many"}],
        });
        let mut answers = Answers::to(&question);
        assert_eq!(answers.take(&page), Ok(None));
        assert_eq!(answers.unfinished(), question.metrics().len());
        assert_eq!(
            answers.messages(),
            ["MaxMetricsExceeded: too many", "Forbidden: no access"]
        );
        assert_eq!(answers.of(&question.metrics()[0]), None);
    }

    #[test]
    fn a_sum_of_which_nothing_came_is_not_zero() {
        let question = Question::at(0);
        let three = &question.metrics()[..3];
        let mut answers = Answers::to(&question);
        let mut take = |results: Value| {
            let taken = answers.take(&json!({"MetricDataResults": results}));
            assert_eq!(taken, Ok(None));
            answers.sum(three)
        };
        assert_eq!(take(json!([])), None);
        let first = json!([
            result(0, json!([]), "Complete"),
            result(1, json!([]), "Complete")
        ]);
        assert_eq!(take(first), None, "the third is missing");
        assert_eq!(take(json!([result(2, json!([]), "Complete")])), Some(0));
        let mut answers = Answers::to(&question);
        let some = json!({"MetricDataResults": [result(1, json!([5]), "Complete")]});
        assert_eq!(answers.take(&some), Ok(None));
        assert_eq!(answers.sum(three), Some(5));
        assert!(!answers.are_whole(three));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let question = Question::at(0);
        for page in [
            json!([]),
            json!({"MetricDataResults": [{"Id": "m99999", "Values": []}]}),
            json!({"MetricDataResults": [result(0, json!([-1]), "Complete")]}),
            json!({"MetricDataResults": [result(0, json!(["NaN"]), "Complete")]}),
        ] {
            assert_eq!(
                Answers::to(&question).take(&page),
                Err(UnreadableAnswer),
                "{page}"
            );
        }
    }
}
