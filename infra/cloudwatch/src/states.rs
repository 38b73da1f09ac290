//! The states of alarms from minute to minute, and who is notified of what.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm_Suppression.html>

use std::collections::BTreeMap;

use crate::{
    CloudWatch,
    alarm::{Notifies, Verdict},
    composite::Suppressor,
};

pub use crate::state::State;

/// How an alarm stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    pub state: State,
    pub since_ms: i64,
    /// What was found last, for people.
    pub why: String,
    /// The state that was notified of last.
    told: State,
    /// When its suppressor was last seen on.
    suppressed_ms: Option<i64>,
}

/// An action of an alarm: whoever is at its topic is told of this state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    pub alarm: String,
    pub state: State,
    pub at_ms: i64,
}

/// All alarms' states.
#[derive(Clone, Debug, Default)]
pub struct States {
    all: BTreeMap<String, Standing>,
}

impl States {
    /// How each alarm stands, by its name.
    pub fn all(&self) -> &BTreeMap<String, Standing> {
        &self.all
    }

    pub fn state(&self, name: &str) -> State {
        let standing = self.all.get(name);
        standing.map_or(State::InsufficientData, |standing| standing.state)
    }

    /// Evaluates all alarms, as CloudWatch does each minute, by the minutes that are over. Gives
    /// the notifications.
    pub fn evaluate(&mut self, cloud: &CloudWatch, now_ms: i64) -> Vec<Notification> {
        let minute_ms = now_ms - now_ms.rem_euclid(60_000);
        let mut notifications = Vec::new();
        for alarm in cloud.alarms() {
            let points = alarm.points(cloud.store(), minute_ms);
            let state = match alarm.judge(&points) {
                Verdict::Alarm => Some(State::Alarm),
                Verdict::Ok => Some(State::Ok),
                Verdict::InsufficientData => Some(State::InsufficientData),
                Verdict::Kept => None,
            };
            let why = alarm.why(&points);
            let standing = self.note(&alarm.name, state, &why, now_ms);
            let told = standing.tell(alarm.notifies, None, now_ms);
            notifications.extend(told.map(|state| notification(&alarm.name, state, now_ms)));
        }
        // A composite may watch another one: each round settles one level.
        for _ in cloud.composites() {
            for composite in cloud.composites() {
                let holds = composite.rule.holds(&|name| self.state(name));
                let state = if holds { State::Alarm } else { State::Ok };
                let children = composite.children().into_iter();
                let on: Vec<&str> = children
                    .filter(|name| self.state(name) == State::Alarm)
                    .collect();
                let why = match on.as_slice() {
                    [] => "none of its alarms is on".to_owned(),
                    on => format!("on: {}", on.join(", ")),
                };
                self.note(&composite.name, Some(state), &why, now_ms);
            }
        }
        for composite in cloud.composites() {
            let suppressor = composite.suppressor.as_ref();
            let is_suppressed = suppressor.map(|it| (it, self.state(&it.name) == State::Alarm));
            if let Some(standing) = self.all.get_mut(&composite.name) {
                let told = standing.tell(composite.notifies, is_suppressed, now_ms);
                let told = told.map(|state| notification(&composite.name, state, now_ms));
                notifications.extend(told);
            }
        }
        notifications
    }

    fn note(&mut self, name: &str, state: Option<State>, why: &str, now_ms: i64) -> &mut Standing {
        let standing = self.all.entry(name.to_owned());
        let standing = standing.or_insert_with(|| Standing {
            state: State::InsufficientData,
            since_ms: now_ms,
            why: String::new(),
            // A new alarm that finds all well tells nobody.
            told: State::Ok,
            suppressed_ms: None,
        });
        if let Some(state) = state
            && state != standing.state
        {
            standing.state = state;
            standing.since_ms = now_ms;
        }
        why.clone_into(&mut standing.why);
        standing
    }
}

impl Standing {
    /// The state to notify of now, if there is one. With a suppressor that is on, or was until a
    /// moment ago, nobody is told; before it can go on, the beginning waits.
    fn tell(
        &mut self,
        notifies: Notifies,
        suppressor: Option<(&Suppressor, bool)>,
        now_ms: i64,
    ) -> Option<State> {
        if let Some((_, true)) = suppressor {
            self.suppressed_ms = Some(now_ms);
        }
        if self.told == self.state || self.state == State::InsufficientData {
            return None;
        }
        if let Some((suppressor, is_on)) = suppressor {
            let extended = self
                .suppressed_ms
                .map(|at_ms| at_ms + suppressor.extension_ms);
            let waits = match self.state {
                State::Alarm => self.since_ms + suppressor.wait_ms,
                State::Ok | State::InsufficientData => self.since_ms,
            };
            if is_on || now_ms < waits || extended.is_some_and(|until_ms| now_ms < until_ms) {
                return None;
            }
        }
        self.told = self.state;
        let is_told = match self.state {
            State::Alarm => notifies.of_alarm,
            State::Ok => notifies.of_ok,
            State::InsufficientData => false,
        };
        is_told.then_some(self.state)
    }
}

fn notification(name: &str, state: State, at_ms: i64) -> Notification {
    Notification {
        alarm: name.to_owned(),
        state,
        at_ms,
    }
}

#[cfg(test)]
mod tests;
