//! Reads settings from the environment, once, when a sandbox starts.
//!
//! A function that is set up wrongly should say everything that is wrong in one go, so
//! [`SettingsReader`] collects each missing and each malformed name and reports them together. It
//! never prints a value: some are secret. Tests pass a map instead of setting variables of the
//! process, which all threads share.

use std::collections::BTreeMap;
use std::fmt;

/// Where settings come from.
pub trait Vars {
    /// The value of `name`, or `None` if it is not set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process. A value that is not UTF-8 counts as not set.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnv;

impl Vars for ProcessEnv {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the process environment"
    )]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }
}

impl Vars for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).map(|value| (*value).to_owned())
    }
}

/// Reads values one by one and collects their errors until [`SettingsReader::finish`].
///
/// Each helper returns `None` for an invalid name; the caller builds its settings with `?` in
/// `finish`, which only runs that closure if there was no error. An empty value counts as not set,
/// because a template with an empty parameter produces it. `expected` is shown in the error after
/// the word "expected".
pub struct SettingsReader<'a> {
    vars: &'a dyn Vars,
    faults: Vec<SettingFault>,
}

impl<'a> SettingsReader<'a> {
    /// Starts reading from `vars`.
    pub fn new(vars: &'a dyn Vars) -> Self {
        Self {
            vars,
            faults: Vec::new(),
        }
    }

    /// A value that must be there.
    pub fn required(&mut self, name: &'static str, expected: &'static str) -> Option<String> {
        let value = self.value(name);
        if value.is_none() {
            self.fault(name, SettingProblem::Missing, expected);
        }
        value
    }

    /// A value that may be left out.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        self.value(name)
    }

    /// A value that must be there and that `parse` must accept.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.required(name, expected)?;
        self.accepted(name, expected, parse(&value))
    }

    /// A value that must be there and that `validate` must accept; else `validate` says what it
    /// expected.
    pub fn validated<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        validate: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let value = self.required(name, expected)?;
        validate(&value)
            .map_err(|expected| self.malformed(name, expected))
            .ok()
    }

    /// A value that `parse` must accept if it is there; `default` if it is not.
    pub fn parsed_or<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        match self.value(name) {
            Some(value) => self.accepted(name, expected, parse(&value)),
            None => Some(default),
        }
    }

    /// A value that must be there and be one of the words in `choices`.
    pub fn choice<T: Clone>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.parsed(name, expected, |value| {
            choices
                .iter()
                .find(|(word, _)| *word == value)
                .map(|(_, choice)| choice.clone())
        })
    }

    /// Notes a fault that a caller found himself, e.g. in two values that do not go together.
    pub fn malformed(&mut self, name: &'static str, expected: &'static str) {
        self.fault(name, SettingProblem::Malformed, expected);
    }

    /// Puts the settings together, or reports every fault that was found.
    ///
    /// # Errors
    /// All missing and malformed names. `build` giving `None` without any fault is reported too, as
    /// a settings error that names nothing: it means that a reader left out a value without a
    /// reason.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, SettingsError> {
        if !self.faults.is_empty() {
            return Err(SettingsError {
                faults: self.faults,
            });
        }
        build().ok_or(SettingsError { faults: Vec::new() })
    }

    fn value(&self, name: &str) -> Option<String> {
        self.vars.get(name).filter(|value| !value.is_empty())
    }

    fn accepted<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parsed: Option<T>,
    ) -> Option<T> {
        if parsed.is_none() {
            self.malformed(name, expected);
        }
        parsed
    }

    fn fault(&mut self, name: &'static str, problem: SettingProblem, expected: &'static str) {
        self.faults.push(SettingFault {
            name,
            problem,
            expected,
        });
    }
}

/// Every fault in the settings, in the order in which they were read. Holds no value.
#[derive(Clone, Eq, PartialEq)]
pub struct SettingsError {
    faults: Vec<SettingFault>,
}

impl SettingsError {
    /// The names that are missing or malformed.
    pub fn names(&self) -> Vec<&'static str> {
        self.faults.iter().map(|fault| fault.name).collect()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.faults.is_empty() {
            return f
                .write_str("settings could not be put together although each variable was read");
        }
        f.write_str("set these environment variables and start again: ")?;
        for (position, fault) in self.faults.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            let problem = match fault.problem {
                SettingProblem::Missing => "is missing",
                SettingProblem::Malformed => "is malformed",
            };
            write!(
                f,
                "{separator}{} {problem} (expected {})",
                fault.name, fault.expected
            )?;
        }
        Ok(())
    }
}

/// The same words: a program that ends with this error writes it so.
impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SettingsError {}

#[derive(Clone, Debug, Eq, PartialEq)]
struct SettingFault {
    name: &'static str,
    problem: SettingProblem,
    expected: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SettingProblem {
    Missing,
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Mode {
        Kms,
        Sealed,
    }

    fn read(vars: &BTreeMap<&str, &str>) -> Result<(String, u16, Mode), SettingsError> {
        let mut reader = SettingsReader::new(vars);
        let table = reader.required("ORDERS_TABLE", "the name of the orders table");
        let port = reader.parsed_or("PORT", "a port number", 8080, |value| value.parse().ok());
        let mode = reader.choice(
            "MERCHANT_SIGNER",
            "kms or sealed",
            &[("kms", Mode::Kms), ("sealed", Mode::Sealed)],
        );
        reader.finish(|| Some((table?, port?, mode?)))
    }

    #[test]
    fn what_is_set_is_read_and_what_is_left_out_takes_its_default() {
        let vars = BTreeMap::from([("ORDERS_TABLE", "orders"), ("MERCHANT_SIGNER", "sealed")]);
        assert_eq!(read(&vars), Ok(("orders".to_owned(), 8080, Mode::Sealed)));
    }

    #[test]
    fn all_missing_and_malformed_names_are_reported_together() {
        let vars = BTreeMap::from([("PORT", "http"), ("MERCHANT_SIGNER", "paper")]);
        let error = read(&vars).expect_err("three faults");
        assert_eq!(error.names(), ["ORDERS_TABLE", "PORT", "MERCHANT_SIGNER"]);
        assert_eq!(format!("{error:?}"), error.to_string(), "as it is logged");
        assert_eq!(
            error.to_string(),
            "set these environment variables and start again: \
             ORDERS_TABLE is missing (expected the name of the orders table); \
             PORT is malformed (expected a port number); \
             MERCHANT_SIGNER is malformed (expected kms or sealed)"
        );
    }

    #[test]
    fn an_empty_value_counts_as_missing() {
        let vars = BTreeMap::from([
            ("ORDERS_TABLE", ""),
            ("PORT", ""),
            ("MERCHANT_SIGNER", "kms"),
        ]);
        assert_eq!(read(&vars).expect_err("no table").names(), ["ORDERS_TABLE"]);
    }

    #[test]
    fn a_malformed_value_is_never_printed() {
        let vars = BTreeMap::from([("ORDERS_TABLE", "orders"), ("MERCHANT_SIGNER", "s3cr3t")]);
        let error = read(&vars).expect_err("no such choice");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }

    #[test]
    fn the_process_environment_is_one_source() {
        assert!(Vars::get(&ProcessEnv, "PATH").is_some());
        assert_eq!(Vars::get(&ProcessEnv, "NO_SUCH_VARIABLE_HERE"), None);
    }
}
