//! What of an event becomes metrics: its own fields, and values that wait for a line.
//!
//! A line of its own for each value would cost more than all else that is logged. So a value whose
//! event says nothing to people is held until the next line that carries metrics anyway, if the
//! texts that divide it have no other meaning there. Values of the same kind are put into one
//! array. What found no line has one at the end of the run.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};
use tracing::{
    Event,
    field::{Field, Visit},
};

use super::metrics::{Dimension, Metric, Owner, is_dimension, named};

/// The dimension that separates merchants.
const MERCHANT: &str = "Mchid";

/// As many values CloudWatch takes of a metric on one line.
const VALUES_MAX: usize = 100;

/// So many kinds of values are held, at most: a run that meets more than 100,000 values without a
/// line between them loses the rest.
const HELD_MAX: usize = 1_000;

/// Values and the texts that divide them, of one event or of several alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    values: Vec<(&'static Metric, Vec<i64>)>,
    texts: BTreeMap<&'static str, String>,
    /// All other fields of the event.
    others: Vec<&'static str>,
}

/// Values that wait for a line.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Sample>);

impl Sample {
    /// What an event has.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut sample = Self::default();
        event.record(&mut sample);
        sample
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes in the values of another event, if it is one of the same kind and there is room.
    fn takes(&mut self, other: &Self) -> bool {
        let alike = |((mine, _), (its, _)): (&(&Metric, _), &(&Metric, _))| mine.name == its.name;
        let is_same = self.texts == other.texts
            && self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(alike);
        let has_room = self
            .values
            .iter()
            .all(|(_, known)| known.len() < VALUES_MAX);
        if is_same && has_room {
            for ((_, known), (_, more)) in self.values.iter_mut().zip(&other.values) {
                known.extend(more);
            }
        }
        is_same && has_room
    }

    /// The members of a line for all these samples. The values and texts of the first are on the
    /// line already.
    fn directives(samples: &[&Self], namespace: &str, mchid: Option<&str>) -> (bool, Vec<Value>) {
        let mut directives: Vec<(Vec<Vec<&str>>, Vec<Value>)> = Vec::new();
        let mut names_the_merchant = false;
        for sample in samples {
            for (metric, _) in &sample.values {
                let described = match metric.unit.name() {
                    Some(unit) => json!({"Name": metric.name, "Unit": unit}),
                    None => json!({"Name": metric.name}),
                };
                let sets = sample.sets(metric, mchid.is_some());
                names_the_merchant |= sets.iter().flatten().any(|field| *field == MERCHANT);
                match directives.iter_mut().find(|(known, _)| *known == sets) {
                    Some((_, metrics)) => metrics.push(described),
                    None => directives.push((sets, vec![described])),
                }
            }
        }
        let directives = directives.into_iter().map(|(sets, metrics)| {
            json!({"Namespace": namespace, "Dimensions": sets, "Metrics": metrics})
        });
        (names_the_merchant, directives.collect())
    }

    /// The sets of dimensions of a metric that there are values for.
    fn sets(&self, metric: &Metric, is_merchant_known: bool) -> Vec<Vec<&'static str>> {
        let merchant = match metric.owner {
            Owner::Merchant => is_merchant_known.then_some(MERCHANT),
            Owner::Stack => None,
        };
        let divided = metric.by.iter().filter(|set| {
            let mut set = set.iter();
            set.all(|dimension| self.has_value_of(dimension))
        });
        let divided = divided.map(|set| {
            let fields = set.iter().map(|dimension| dimension.field);
            merchant.into_iter().chain(fields).collect()
        });
        std::iter::once(merchant.into_iter().collect())
            .chain(divided)
            .collect()
    }

    fn has_value_of(&self, dimension: &Dimension) -> bool {
        let found = self.texts.get(dimension.field);
        found.is_some_and(|value| dimension.values.contains(&value.as_str()))
    }

    fn note(&mut self, field: &Field, value: i64) {
        match named(field.name()) {
            Some(metric) => self.values.push((metric, vec![value])),
            None => self.others.push(field.name()),
        }
    }

    /// Whether `other` may be on the same line: no name would have two meanings.
    fn goes_with(&self, other: &Self) -> bool {
        let texts_agree = other.texts.iter().all(|(field, value)| {
            !self.others.contains(field) && self.texts.get(field).is_none_or(|text| text == value)
        });
        let is_measured = |name: &str| self.values.iter().any(|(metric, _)| metric.name == name);
        texts_agree
            && !other
                .values
                .iter()
                .any(|(metric, _)| is_measured(metric.name))
    }
}

impl Held {
    /// Keeps values until there is a line for them.
    pub(super) fn keep(&mut self, sample: Sample) {
        let is_taken = self.0.iter_mut().any(|known| known.takes(&sample));
        if !is_taken && self.0.len() < HELD_MAX {
            self.0.push(sample);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is added to a line with these values of its own, and as many of the held ones as go
    /// with them: texts and values, `Mchid` and `_aws`.
    pub(super) fn members(
        &mut self,
        own: &Sample,
        namespace: &str,
        mchid: Option<&str>,
        at_ms: i64,
    ) -> Map<String, Value> {
        let mut on_line = own.clone();
        let mut taken = Vec::new();
        self.0.retain(|sample| {
            let goes = on_line.goes_with(sample);
            if goes {
                on_line.values.extend(sample.values.iter().cloned());
                on_line.texts.extend(sample.texts.clone());
                taken.push(sample.clone());
            }
            !goes
        });
        let mut members = Map::new();
        for sample in &taken {
            for (field, text) in &sample.texts {
                if !own.texts.contains_key(field) {
                    members.insert((*field).to_owned(), json!(text));
                }
            }
            for (metric, values) in &sample.values {
                let value = match values.as_slice() {
                    [value] => json!(value),
                    values => json!(values),
                };
                members.insert(metric.name.to_owned(), value);
            }
        }
        let samples: Vec<&Sample> = std::iter::once(own).chain(&taken).collect();
        let (names_the_merchant, directives) = Sample::directives(&samples, namespace, mchid);
        if let Some(mchid) = mchid.filter(|_| names_the_merchant) {
            members.insert(MERCHANT.to_owned(), json!(mchid));
        }
        members.insert(
            "_aws".to_owned(),
            json!({"Timestamp": at_ms, "CloudWatchMetrics": directives}),
        );
        members
    }
}

/// A metric is a whole number. An absent one (`None`) is never recorded, so that line does not have
/// it.
impl Visit for Sample {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_dimension(field.name()) {
            self.texts.insert(field.name(), value.to_owned());
        } else {
            self.others.push(field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
        self.others.push(field.name());
    }
}
