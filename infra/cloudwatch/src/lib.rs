//! CloudWatch, as far as `template.yaml` needs it: metrics out of lines of a log, metric math,
//! alarms, composite alarms, and who is notified. By its documented rules, in memory, without AWS:
//! the tests of alarms and `cargo local` watch the functions' own lines with it.

pub mod alarm;
pub mod composite;
pub mod emf;
pub mod filter;
pub mod math;
pub mod metric_data;
pub mod number;
pub mod pattern;
mod state;
pub mod states;
pub mod store;

use serde_json::Value;

use crate::{
    alarm::Alarm,
    composite::Composite,
    filter::Filter,
    number::Number,
    store::{Metric, Store},
};

/// What these rules do not know, or CloudWatch would not take.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    #[error("no metric math that is known here: {0}")]
    Expression(String),
    #[error("no alarm that is known here: {0}")]
    Alarm(String),
    #[error("no composite alarm that is known here: {0}")]
    Composite(String),
    #[error("no metric filter that is known here: {0}")]
    Filter(String),
    #[error("CloudWatch would drop a metric of this line: {0}")]
    Line(String),
    #[error("the rule of {composite} names {child}, and there is no such alarm")]
    Child { composite: String, child: String },
}

/// Metrics, alarms and metric filters of one stack.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    alarms: Vec<Alarm>,
    composites: Vec<Composite>,
    filters: Vec<Filter>,
    store: Store,
}

impl CloudWatch {
    /// One with these alarms, composite alarms and metric filters: the properties of a template's
    /// resources, with all values known. No metric has a value.
    ///
    /// # Errors
    /// One of them cannot be read, or a composite names an alarm that is not there.
    pub fn of(
        alarms: &[Value],
        composites: &[Value],
        filters: &[Value],
    ) -> Result<Self, Unreadable> {
        let cloud = Self {
            alarms: alarms.iter().map(Alarm::read).collect::<Result<_, _>>()?,
            composites: composites
                .iter()
                .map(Composite::read)
                .collect::<Result<_, _>>()?,
            filters: filters.iter().map(Filter::read).collect::<Result<_, _>>()?,
            store: Store::default(),
        };
        let of_alarms = cloud.alarms.iter().map(|it| it.name.as_str());
        let names: Vec<&str> = of_alarms
            .chain(cloud.composites.iter().map(|it| it.name.as_str()))
            .collect();
        for composite in &cloud.composites {
            let named = composite
                .children()
                .into_iter()
                .chain(composite.suppressor());
            if let Some(child) = named.into_iter().find(|name| !names.contains(name)) {
                return Err(Unreadable::Child {
                    composite: composite.name.clone(),
                    child: child.to_owned(),
                });
            }
        }
        Ok(cloud)
    }

    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    pub fn composites(&self) -> &[Composite] {
        &self.composites
    }

    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A metric has a value.
    pub fn put(&mut self, metric: Metric, at_ms: i64, value: Number) {
        self.store.put(metric, at_ms, value);
    }

    /// Takes a line of a group of logs, written at this time: what it has embedded, and what the
    /// group's filters count.
    ///
    /// # Errors
    /// CloudWatch would drop a metric of the line.
    pub fn take_line(&mut self, group: &str, line: &Value, at_ms: i64) -> Result<(), Unreadable> {
        for put in emf::puts(line)? {
            self.store.put(put.metric, put.at_ms, put.value);
        }
        let of_group = self.filters.iter().filter(|filter| filter.group == group);
        let counted: Vec<_> = of_group.filter_map(|filter| filter.put(line)).collect();
        for (metric, value) in counted {
            self.store.put(metric, at_ms, value);
        }
        Ok(())
    }

    /// Forgets the values before this time.
    pub fn forget_before(&mut self, at_ms: i64) {
        self.store.forget_before(at_ms);
    }
}
