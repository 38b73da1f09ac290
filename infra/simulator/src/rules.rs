//! Rules of faults: how often each strikes, and where.
//!
//! Each rule draws from a stream of its own, taken from the simulator's seed and the rule's number,
//! so the same rules on the same sequence of requests always strike at the same places.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::{endpoint::Endpoint, faults::Fault};

/// A fault with its chances.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Rule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// The probability at each request (or callback) that matches the rule: 0 to 1. By default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// The rule ends after it struck so often. `None`: never.
    #[serde(default)]
    pub times: Option<u32>,
    /// The rule ends after it has been checked against so many requests (or callbacks). `None`:
    /// never.
    #[serde(default)]
    pub requests: Option<u32>,
    /// Only these endpoints; empty means all. Callback faults take no notice of it.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// `fault` at every request.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            probability: 1.0,
            times: None,
            requests: None,
            endpoints: Vec::new(),
        }
    }

    /// `fault` the next `times` times.
    pub fn times(fault: Fault, times: u32) -> Self {
        Self {
            times: Some(times),
            ..Self::always(fault)
        }
    }

    /// The same rule, only at `endpoint` (and those named before).
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// The same rule with another chance, 0 to 1.
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// The same rule, ended after it has been checked against so many requests (or callbacks).
    #[must_use]
    pub fn within(mut self, requests: u32) -> Self {
        self.requests = Some(requests);
        self
    }
}

/// A rule in force.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveRule {
    /// Its number, for clearing it.
    pub id: u64,
    #[serde(flatten)]
    pub rule: Rule,
    /// Against how many requests (or callbacks) it has been checked.
    pub seen: u32,
    /// How often it struck.
    pub struck: u32,
    #[serde(skip)]
    rng: ChaCha20Rng,
}

/// A rule that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BadRule {
    #[error("probability is {0}, but must be from 0 to 1")]
    Probability(f64),
    /// The status of a server error.
    #[error("status is {0}, but must be 500, 502 or 503")]
    Status(u16),
    /// The status of a refusal.
    #[error("status is {0}, but a refusal has 400 to 599")]
    Refusal(u16),
}

/// All rules in force.
pub(crate) struct Faults {
    seed: u64,
    made: u64,
    rules: Vec<ActiveRule>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            made: 0,
            rules: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, rule: Rule) -> Result<u64, BadRule> {
        if !(0.0..=1.0).contains(&rule.probability) {
            return Err(BadRule::Probability(rule.probability));
        }
        if let Fault::ServerErrorBefore { status } | Fault::ServerErrorAfter { status } = rule.fault
            && ![500, 502, 503].contains(&status)
        {
            return Err(BadRule::Status(status));
        }
        if let Fault::Refuse { status, .. } = rule.fault
            && !(400..600).contains(&status)
        {
            return Err(BadRule::Refusal(status));
        }
        self.made = self.made.saturating_add(1);
        let mut rng = ChaCha20Rng::seed_from_u64(self.seed);
        rng.set_stream(self.made);
        self.rules.push(ActiveRule {
            id: self.made,
            rule,
            seen: 0,
            struck: 0,
            rng,
        });
        Ok(self.made)
    }

    /// Ends one rule, or all. Says how many ended.
    pub(crate) fn clear(&mut self, id: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|rule| id.is_some_and(|id| id != rule.id));
        before.saturating_sub(self.rules.len())
    }

    pub(crate) fn rules(&self) -> Vec<ActiveRule> {
        self.rules.clone()
    }

    /// What strikes a request to `endpoint`.
    pub(crate) fn draw_for_request(&mut self, endpoint: Endpoint) -> Vec<Fault> {
        self.draw(|rule| {
            let named = rule.endpoints.is_empty() || rule.endpoints.contains(&endpoint);
            named && !rule.fault.is_of_callbacks() && rule.fault.fits(endpoint)
        })
    }

    /// What strikes a new callback.
    pub(crate) fn draw_for_callback(&mut self) -> Vec<Fault> {
        self.draw(|rule| rule.fault.is_of_callbacks())
    }

    fn draw(&mut self, concerns: impl Fn(&Rule) -> bool) -> Vec<Fault> {
        self.rules
            .iter_mut()
            .filter(|active| concerns(&active.rule))
            .filter_map(ActiveRule::draw)
            .collect()
    }
}

impl ActiveRule {
    fn draw(&mut self) -> Option<Fault> {
        let over = self.rule.requests.is_some_and(|most| self.seen >= most)
            || self.rule.times.is_some_and(|most| self.struck >= most);
        if over {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        if !self.rng.random_bool(self.rule.probability) {
            return None;
        }
        self.struck = self.struck.saturating_add(1);
        Some(self.rule.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(seed: u64) -> Vec<bool> {
        let mut faults = Faults::new(seed);
        faults
            .add(Rule::always(Fault::TooManyRequests).with_probability(0.5))
            .unwrap();
        (0..64)
            .map(|_| !faults.draw_for_request(Endpoint::Close).is_empty())
            .collect()
    }

    #[test]
    fn the_same_seed_strikes_at_the_same_requests() {
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        assert!(strikes(1).contains(&true) && strikes(1).contains(&false));
    }

    #[test]
    fn a_rule_ends_after_its_times_and_after_its_requests() {
        let mut faults = Faults::new(1);
        faults.add(Rule::times(Fault::ResetBefore, 2)).unwrap();
        let struck = |faults: &mut Faults| faults.draw_for_request(Endpoint::PrepayNative).len();
        assert_eq!(
            [
                struck(&mut faults),
                struck(&mut faults),
                struck(&mut faults)
            ],
            [1, 1, 0]
        );

        let id = faults
            .add(
                Rule::always(Fault::ResetBefore)
                    .with_probability(0.0)
                    .within(1),
            )
            .unwrap();
        assert_eq!([struck(&mut faults), struck(&mut faults)], [0, 0]);
        let rule = faults
            .rules()
            .into_iter()
            .find(|rule| rule.id == id)
            .unwrap();
        assert_eq!((rule.seen, rule.struck), (1, 0));
    }

    #[test]
    fn a_rule_keeps_to_its_endpoints_and_to_those_where_it_makes_sense() {
        let mut faults = Faults::new(1);
        faults
            .add(Rule::always(Fault::ResetBefore).at(Endpoint::CreateRefund))
            .unwrap();
        faults.add(Rule::always(Fault::PayAfterClose)).unwrap();
        faults.add(Rule::always(Fault::LostCallback)).unwrap();
        assert_eq!(faults.draw_for_request(Endpoint::PrepayNative), []);
        assert_eq!(
            faults.draw_for_request(Endpoint::CreateRefund),
            [Fault::ResetBefore]
        );
        assert_eq!(
            faults.draw_for_request(Endpoint::Close),
            [Fault::PayAfterClose]
        );
        assert_eq!(faults.draw_for_callback(), [Fault::LostCallback]);
        assert_eq!(faults.clear(None), 3);
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        let mut faults = Faults::new(1);
        assert!(
            faults
                .add(Rule::always(Fault::ResetBefore).with_probability(1.5))
                .is_err()
        );
        assert!(
            faults
                .add(Rule::always(Fault::ServerErrorAfter { status: 400 }))
                .is_err()
        );
    }

    #[test]
    fn a_rule_is_read_from_the_json_of_the_admin_call() {
        let rule: Rule = serde_json::from_str(
            r#"{"fault":"slow_answer","delay_ms":20,"times":3,"endpoints":["prepay_native"]}"#,
        )
        .unwrap();
        assert_eq!(
            rule,
            Rule::times(Fault::SlowAnswer { delay_ms: 20 }, 3).at(Endpoint::PrepayNative)
        );
    }
}
