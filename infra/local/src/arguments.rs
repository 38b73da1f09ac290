//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::functions::root;
use crate::product::Product;

/// What `cargo local --help` prints.
pub(crate) const HELP: &str = "\
Runs the whole bundle on this machine, and a scenario on it: the life of an order.

Builds the functions, starts a local AWS engine, the WeChat Pay simulator and a receiver of webhooks,
makes keys, deploys template.yaml, makes a payment and what comes after it (a webhook, a refund, a
close, late money) and leaves everything running until Ctrl-C. Data is kept in .local/.

Usage: cargo local [options]
       cargo local deploy NAME=VALUE ... [--setting NAME=VALUE] [--state DIR]

  --once               end after the scenario, with one line of JSON as the last line of stdout
  --product NAME       what to pay with: native (default), jsapi, mini_program, app, h5, or all
  --sealed-key         sign with a private key sealed in the keys table, instead of by KMS
  --release            build the functions as they are deployed (slower to build)
  --bins DIR           deploy the compiled functions in DIR instead of building them
  --fresh              forget what earlier runs left in the state directory
  --state DIR          the state directory (default .local of the repository)
  --port N             the API (default 8080)
  --simulator-port N   the WeChat Pay simulator (default 8081)
  --engine-port N      the AWS engine (default 4566)
                       0 takes a free port; all listen on 127.0.0.1 only
  --help               this text

The second form deploys the stack that runs once more, with these parameters changed and the others as
they are, as sam deploy --parameter-overrides does. --setting gives all functions a variable that no
parameter of the template has; an empty value takes it back. What a start deploys has none of that.

SIGUSR1 stops the AWS engine and starts it again, while the API and WeChat Pay stay up.
";

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) once: bool,
    pub(crate) products: Vec<Product>,
    pub(crate) sealed_key: bool,
    pub(crate) release: bool,
    pub(crate) bins: Option<PathBuf>,
    pub(crate) fresh: bool,
    pub(crate) state: PathBuf,
    pub(crate) port: u16,
    pub(crate) simulator_port: u16,
    pub(crate) engine_port: u16,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            once: false,
            products: vec![Product::Native],
            sealed_key: false,
            release: false,
            bins: None,
            fresh: false,
            state: root().join(".local"),
            port: 8080,
            simulator_port: 8081,
            engine_port: 4566,
        }
    }
}

/// A command line that was understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Print [`HELP`].
    Help,
    /// Do it.
    Run(Arguments),
    /// Deploy what runs with other parameters.
    Deploy(NewParameters),
}

/// What a running stack is deployed with once more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NewParameters {
    pub(crate) state: PathBuf,
    /// The changed ones alone.
    pub(crate) values: BTreeMap<String, String>,
    /// Variables of all functions beside them.
    pub(crate) settings: BTreeMap<String, String>,
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut arguments = Arguments::default();
    let mut is_first = true;
    while let Some(word) = words.next() {
        if std::mem::take(&mut is_first) && word == "deploy" {
            return parse_deploy(words, arguments.state);
        }
        // `--port=9` is `--port 9`.
        let (flag, mut attached) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || {
            attached
                .take()
                .or_else(|| words.next())
                .ok_or_else(|| format!("{flag} needs a value; see cargo local --help"))
        };
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--once" => arguments.once = true,
            "--sealed-key" => arguments.sealed_key = true,
            "--release" => arguments.release = true,
            "--fresh" => arguments.fresh = true,
            "--bins" => arguments.bins = Some(PathBuf::from(value()?)),
            "--state" => arguments.state = PathBuf::from(value()?),
            "--product" => arguments.products = products(&value()?)?,
            "--port" => arguments.port = port(&flag, &value()?)?,
            "--simulator-port" => arguments.simulator_port = port(&flag, &value()?)?,
            "--engine-port" => arguments.engine_port = port(&flag, &value()?)?,
            unknown => {
                return Err(format!(
                    "{unknown} is not an option; see cargo local --help"
                ));
            }
        }
        if let Some(value) = attached {
            return Err(format!("{flag} takes no value, but got {value}"));
        }
    }
    let ports = [
        arguments.port,
        arguments.simulator_port,
        arguments.engine_port,
    ];
    if has_twice(ports) {
        return Err(format!("the three ports {ports:?} must differ"));
    }
    Ok(Command::Run(arguments))
}

fn parse_deploy(
    mut words: impl Iterator<Item = String>,
    mut state: PathBuf,
) -> Result<Command, String> {
    let (mut values, mut settings) = (BTreeMap::new(), BTreeMap::new());
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--state", value)) => state = PathBuf::from(value),
            None if word == "--state" => {
                let value = words.next();
                state = value
                    .ok_or("--state needs a value; see cargo local --help")?
                    .into();
            }
            None if word == "--setting" => {
                let setting = words.next().unwrap_or_default();
                let (name, value) = setting
                    .split_once('=')
                    .ok_or("--setting needs NAME=VALUE; see cargo local --help")?;
                settings.insert(name.to_owned(), value.to_owned());
            }
            Some((name, value)) if !name.is_empty() && !name.starts_with('-') => {
                values.insert(name.to_owned(), value.to_owned());
            }
            Some(_) | None => {
                return Err(format!(
                    "cargo local deploy takes NAME=VALUE, --setting NAME=VALUE and --state DIR, not {word}"
                ));
            }
        }
    }
    if values.is_empty() && settings.is_empty() {
        return Err("cargo local deploy needs a parameter to change, as NAME=VALUE".to_owned());
    }
    Ok(Command::Deploy(NewParameters {
        state,
        values,
        settings,
    }))
}

fn port(flag: &str, value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_| format!("{flag} takes a port from 0 to 65535, not {value}"))
}

fn products(value: &str) -> Result<Vec<Product>, String> {
    if value == "all" {
        return Ok(Product::ALL.to_vec());
    }
    match Product::ALL
        .into_iter()
        .find(|product| product.name() == value)
    {
        Some(product) => Ok(vec![product]),
        None => Err(format!(
            "--product takes native, jsapi, mini_program, app, h5 or all, not {value}"
        )),
    }
}

fn has_twice([one, two, three]: [u16; 3]) -> bool {
    let same = |left, right| left == right && left != 0;
    same(one, two) || same(one, three) || same(two, three)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(run(""), Ok(Command::Run(Arguments::default())));
    }

    #[test]
    fn every_option_is_taken_in_both_spellings() {
        let expected = Arguments {
            once: true,
            products: vec![Product::Jsapi],
            sealed_key: true,
            release: true,
            bins: Some(PathBuf::from("out")),
            fresh: true,
            state: PathBuf::from("elsewhere"),
            port: 1,
            simulator_port: 2,
            engine_port: 3,
        };
        for line in [
            "--once --product jsapi --sealed-key --release --bins out --fresh --state elsewhere --port 1 --simulator-port 2 --engine-port 3",
            "--once --product=jsapi --sealed-key --release --bins=out --fresh --state=elsewhere --port=1 --simulator-port=2 --engine-port=3",
        ] {
            assert_eq!(run(line), Ok(Command::Run(expected.clone())), "{line}");
        }
        assert_eq!(run("--port 1 --help"), Ok(Command::Help));
    }

    #[test]
    fn a_running_stack_is_deployed_again_with_the_parameters_that_are_named() {
        let wanted = |state: &str| {
            Ok(Command::Deploy(NewParameters {
                state: PathBuf::from(state),
                values: BTreeMap::from([
                    ("MerchantSigner".to_owned(), "sealed".to_owned()),
                    ("OtherSigner".to_owned(), String::new()),
                ]),
                settings: BTreeMap::new(),
            }))
        };
        let words = "deploy MerchantSigner=sealed OtherSigner=";
        for line in [
            format!("{words} --state elsewhere"),
            format!("{words} --state=elsewhere"),
        ] {
            assert_eq!(run(&line), wanted("elsewhere"), "{line}");
        }
        assert_eq!(
            run(words),
            wanted(Arguments::default().state.to_str().unwrap())
        );
        for (line, expected) in [
            ("deploy", "needs a parameter"),
            ("deploy --state elsewhere", "needs a parameter"),
            ("deploy A=1 --state", "--state needs a value"),
            ("deploy A=1 sealed", "not sealed"),
            ("deploy --port=1", "not --port=1"),
            ("--port 1 deploy", "deploy is not an option"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn all_products_are_run_by_one_word() {
        let Ok(Command::Run(arguments)) = run("--product all") else {
            panic!("not understood")
        };
        assert_eq!(arguments.products, Product::ALL);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_refused_with_the_reason() {
        for (line, expected) in [
            ("--fast", "--fast is not an option"),
            ("once", "once is not an option"),
            ("--port", "--port needs a value"),
            ("--port 70000", "0 to 65535"),
            ("--product cash", "not cash"),
            ("--once=yes", "--once takes no value"),
            ("--port 5 --engine-port 5", "must differ"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert!(run("--port 0 --engine-port 0 --simulator-port 0").is_ok());
    }
}
