//! Reading a command line: words, `--name value` (or `--name=value`) and flags. What is not known
//! is refused, so that a misspelt option is never silently left out of an order.

use runtime::env::{ProcessEnv, Vars};

/// The arguments of one command.
#[derive(Debug)]
pub(crate) struct Args {
    words: std::vec::IntoIter<String>,
    /// In the order given. A flag has an empty value.
    options: Vec<(String, String)>,
}

/// What is wrong with a command line.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("there is no option --{given} here; there are: {known}")]
    Unknown { given: String, known: String },
    #[error("--{0} needs a value")]
    NoValue(String),
    #[error("--{0} takes no value")]
    Flag(String),
    #[error("--{0} is given twice")]
    Twice(String),
    #[error("{0} is missing")]
    Missing(String),
    #[error("`{0}` is one word too many")]
    Extra(String),
    #[error("--{name} {expected}, not `{given}`")]
    Value {
        name: &'static str,
        expected: &'static str,
        given: String,
    },
    #[error("{what} {expected}, not `{given}`")]
    Word {
        what: &'static str,
        expected: &'static str,
        given: String,
    },
    #[error("there is no command `{0}`")]
    Command(String),
    #[error("{0}")]
    Conflict(&'static str),
}

impl Args {
    /// Sorts the arguments. `options` take a value, `flags` do not.
    pub(crate) fn parse(
        raw: impl Iterator<Item = String>,
        options: &[&str],
        flags: &[&str],
    ) -> Result<Self, UsageError> {
        let mut raw = raw;
        let mut words = Vec::new();
        let mut read = Vec::new();
        while let Some(argument) = raw.next() {
            let Some(option) = argument.strip_prefix("--") else {
                words.push(argument);
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            let value = if flags.contains(&name) {
                if value.is_some() {
                    return Err(UsageError::Flag(name.to_owned()));
                }
                String::new()
            } else if options.contains(&name) {
                value
                    .or_else(|| raw.next())
                    .ok_or_else(|| UsageError::NoValue(name.to_owned()))?
            } else {
                let known: Vec<String> = options
                    .iter()
                    .chain(flags)
                    .map(|name| format!("--{name}"))
                    .collect();
                return Err(UsageError::Unknown {
                    given: name.to_owned(),
                    known: known.join(" "),
                });
            };
            read.push((name.to_owned(), value));
        }
        Ok(Self {
            words: words.into_iter(),
            options: read,
        })
    }

    pub(crate) fn word(&mut self, what: &str) -> Result<String, UsageError> {
        self.words
            .next()
            .ok_or_else(|| UsageError::Missing(what.to_owned()))
    }

    /// An option that may be left out.
    pub(crate) fn optional(&mut self, name: &'static str) -> Result<Option<String>, UsageError> {
        let mut values = self.all(&[name]).into_iter().map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            Err(UsageError::Twice(name.to_owned()))
        } else {
            Ok(value)
        }
    }

    /// An option that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, UsageError> {
        self.optional(name)?
            .ok_or_else(|| UsageError::Missing(format!("--{name}")))
    }

    /// An option, or its environment variable.
    pub(crate) fn setting(
        &mut self,
        name: &'static str,
        variable: &'static str,
    ) -> Result<String, UsageError> {
        self.optional_setting(name, variable)?
            .ok_or_else(|| UsageError::Missing(format!("--{name} (or the variable {variable})")))
    }

    /// The same, if neither is required. An empty value counts as absent.
    pub(crate) fn optional_setting(
        &mut self,
        name: &'static str,
        variable: &'static str,
    ) -> Result<Option<String>, UsageError> {
        let given = self.optional(name)?.or_else(|| ProcessEnv.get(variable));
        Ok(given.filter(|value| !value.is_empty()))
    }

    /// A whole number that may be left out.
    pub(crate) fn number<T: std::str::FromStr>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, UsageError> {
        let Some(given) = self.optional(name)? else {
            return Ok(None);
        };
        let invalid = || UsageError::Value {
            name,
            expected: "takes a whole number",
            given: given.clone(),
        };
        given.parse().map(Some).map_err(|_| invalid())
    }

    /// Whether a flag is there.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, UsageError> {
        self.optional(name).map(|value| value.is_some())
    }

    /// All options of these names, in the order given.
    pub(crate) fn all(&mut self, names: &[&str]) -> Vec<(String, String)> {
        self.options
            .extract_if(.., |(name, _)| names.contains(&name.as_str()))
            .collect()
    }

    /// Refuses words that no one asked for.
    pub(crate) fn finish(mut self) -> Result<(), UsageError> {
        self.words
            .next()
            .map_or(Ok(()), |word| Err(UsageError::Extra(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, UsageError> {
        Args::parse(
            line.split(' ').map(ToOwned::to_owned),
            &["amount", "key"],
            &["async"],
        )
    }

    #[test]
    fn words_options_and_flags_come_in_any_order() {
        let mut args = parse("GET --amount 5 --async /v1 --key=a=b --key c").unwrap();
        assert_eq!(args.word("METHOD").as_deref(), Ok("GET"));
        assert_eq!(args.number::<i64>("amount"), Ok(Some(5)));
        assert_eq!(args.flag("async"), Ok(true));
        assert_eq!(args.flag("async"), Ok(false));
        let keys = args.all(&["key"]);
        assert_eq!(
            keys.iter()
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>(),
            ["a=b", "c"]
        );
        assert_eq!(args.word("PATH").as_deref(), Ok("/v1"));
        assert_eq!(args.finish(), Ok(()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(
            matches!(parse("--amout 5"), Err(UsageError::Unknown { given, .. }) if given == "amout")
        );
        assert!(matches!(parse("--amount"), Err(UsageError::NoValue(name)) if name == "amount"));
        assert!(matches!(parse("--async=yes"), Err(UsageError::Flag(name)) if name == "async"));
        assert_eq!(
            parse("--amount 1 --amount 2").unwrap().optional("amount"),
            Err(UsageError::Twice("amount".to_owned()))
        );
        assert_eq!(
            parse("x").unwrap().required("amount"),
            Err(UsageError::Missing("--amount".to_owned()))
        );
        assert!(matches!(
            parse("--amount 1.5").unwrap().number::<i64>("amount"),
            Err(UsageError::Value { .. })
        ));
        assert_eq!(
            parse("x").unwrap().finish(),
            Err(UsageError::Extra("x".to_owned()))
        );
    }
}
