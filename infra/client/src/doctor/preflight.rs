//! `preflight`: what would fail at a deployment, before there is a stack.

mod kept;

use std::path::{Path, PathBuf};
use std::process::Command;

use runtime::clock::Clock;

use super::aws_calls::{AwsCalls, CallError, STS};
use super::finding::{Finding, Severity};
use super::parameters::{self, Parameters};
use super::report::Report;
use super::stack::{self, Stack};
use super::{clock, functions, limits};
use crate::api::CommandResult;
use crate::args::{Args, UsageError};
use crate::cloud::{Account, AccountError, PROFILE};

/// A program that builds or deploys.
struct Tool {
    name: &'static str,
    /// How it is asked for its version: the first that runs counts.
    asked: &'static [&'static [&'static str]],
    /// The version that CI builds and deploys with (a test reads it there), or the least.
    tested: [u32; 3],
    /// Of which package CI installs it, if it does.
    package: Option<&'static str>,
}

const TOOLS: [Tool; 4] = [
    Tool {
        name: "the SAM CLI",
        asked: &[&["sam", "--version"]],
        tested: [1, 170, 0],
        package: Some("aws-sam-cli"),
    },
    Tool {
        name: "cargo-lambda",
        asked: &[&["cargo-lambda", "lambda", "--version"]],
        tested: [1, 9, 2],
        package: Some("cargo-lambda"),
    },
    Tool {
        name: "zig",
        asked: &[
            &["zig", "version"],
            &["python3", "-m", "ziglang", "version"],
        ],
        tested: [0, 17, 1],
        package: Some("ziglang"),
    },
    Tool {
        name: "version 2 of the AWS CLI",
        asked: &[&["aws", "--version"]],
        // The first that makes change sets which look at what is there (`--deployment-mode`).
        tested: [2, 31, 38],
        package: None,
    },
];

/// What a file of parameters is called where it is left out.
const PARAMETERS: &str = "the parameters";

/// What a function is compiled for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Architecture {
    Arm64,
    X86,
}

impl Architecture {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "arm64" => Some(Self::Arm64),
            "x86_64" => Some(Self::X86),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86 => "x86_64-unknown-linux-gnu",
        }
    }
}

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let options = ["stack", "architecture", "parameters", PROFILE];
    let mut args = Args::parse(raw, &options, &["json"])?;
    let name = args.optional_setting("stack", "STACK")?;
    let parameters = args
        .optional("parameters")?
        .map(|path| Parameters::read(Path::new(&path)))
        .transpose()?;
    let option = args.optional("architecture")?;
    let (architecture, contradicted) = architecture(option, parameters.as_ref())?;
    let as_json = args.flag("json")?;
    let account_named = Account::named(&mut args)?;
    args.finish()?;

    eprintln!("examining tools ...");
    let mut findings: Vec<Finding> = TOOLS.iter().filter_map(tool).collect();
    findings.extend(target_missing(architecture));
    findings.extend(contradicted);
    let clock = Clock::system();
    let settings = match account_named.settings(&clock).await {
        Ok(settings) => settings,
        Err(error) => {
            findings.push(settings_missing(&error));
            let mut left_out = vec!["the account"];
            left_out.extend(parameters.is_some().then_some(PARAMETERS));
            return Ok(print_report(
                "deployment".to_owned(),
                findings,
                left_out,
                as_json,
            ));
        }
    };
    let calls = AwsCalls::new(settings, clock)?;
    let subject = format!("deployment in {}", calls.region());
    eprintln!("examining the account ...");
    let (name, given) = (name.as_deref(), parameters.as_ref());
    let (of_account, mut left_out) = account(&calls, name, architecture, given).await;
    findings.extend(of_account);
    if let Some(parameters) = &parameters {
        if left_out.is_empty() {
            eprintln!("examining {PARAMETERS} ...");
            let stack = match name {
                Some(name) => Stack::described(&calls, name).await,
                None => Ok(None),
            };
            // Where the stack cannot be seen, its name says so already.
            if let Ok(stack) = stack {
                findings.extend(parameters::refused(parameters, stack.as_ref()));
                findings.extend(limits::findings(|name| {
                    parameters.deployed(name, stack.as_ref())
                }));
            }
            findings.extend(parameters::findings(&calls, parameters).await);
        } else {
            left_out.push(PARAMETERS);
        }
    }
    Ok(print_report(subject, findings, left_out, as_json))
}

/// What functions are compiled for: a file says it for the deployment, whatever the option does.
fn architecture(
    option: Option<String>,
    parameters: Option<&Parameters>,
) -> Result<(Architecture, Option<Finding>), UsageError> {
    let parsed = |given: String| {
        Architecture::parse(&given).ok_or(UsageError::Value {
            name: "architecture",
            expected: "is arm64 or x86_64",
            given,
        })
    };
    let of_option = option.map(parsed).transpose()?;
    let of_file = |file: &Parameters| match file.given("Architecture") {
        Some(given) => parsed(given.to_owned()),
        None => Ok(Architecture::Arm64),
    };
    let of_file = parameters.map(of_file).transpose()?;
    let architecture = of_file.or(of_option).unwrap_or(Architecture::Arm64);
    let other = of_option.filter(|option| *option != architecture);
    let contradicted = other.map(|other| {
        let (other, deployed) = (other.name(), architecture.name());
        Finding::error(
            "architecture-contradicted",
            "The file of parameters deploys for another processor than --architecture says.",
            format!("--architecture {other}; the file has {deployed}"),
            format!("leave --architecture out, or write `Architecture: \"{other}\"` into the file"),
        )
    });
    Ok((architecture, contradicted))
}

fn print_report(
    subject: String,
    findings: Vec<Finding>,
    left_out: Vec<&'static str>,
    as_json: bool,
) -> std::process::ExitCode {
    Report::new(subject, findings, left_out, Vec::new()).print(as_json)
}

async fn account(
    calls: &AwsCalls,
    name: Option<&str>,
    architecture: Architecture,
    parameters: Option<&Parameters>,
) -> (Vec<Finding>, Vec<&'static str>) {
    let mut findings = Vec::new();
    if calls.region().starts_with("cn-") && architecture == Architecture::Arm64 {
        findings.push(Finding::error(
            "architecture-not-in-region",
            "AWS China runs functions on x86_64 alone.",
            format!("region {}, architecture arm64", calls.region()),
            "deploy with Architecture=x86_64 (and --architecture x86_64 here)",
        ));
    }
    let identity = calls.query(STS, "GetCallerIdentity", &[]).await;
    let off = clock::finding(calls);
    let clock_fails = off
        .as_ref()
        .is_some_and(|off| off.severity == Severity::Error);
    findings.extend(off);
    if let Err(error) = identity {
        // A wrong clock is why it was refused.
        if !clock_fails {
            findings.push(identity_refused(&error));
        }
        return (findings, vec!["concurrency", "what earlier stacks left"]);
    }
    match functions::account_limit(calls).await {
        Ok(limit) => findings.extend(limit_low(limit, parameters)),
        Err(error) => findings.push(not_examined("The account's concurrency", &error)),
    }
    if let Some(name) = name {
        match left_over(calls, name).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(not_examined("What earlier stacks left", &error)),
        }
    }
    (findings, Vec::new())
}

/// Whether the account runs fewer functions at once than the file's shares need, or the template's.
fn limit_low(limit: u64, parameters: Option<&Parameters>) -> Option<Finding> {
    let given = |name: &str| parameters.and_then(|parameters| parameters.given(name));
    let needed = functions::concurrency_needed(given);
    if limit >= needed {
        return None;
    }
    let evidence = format!("the limit is {limit}; the shares need {needed}");
    Some(if given("ReserveConcurrency") == Some("true") {
        Finding::error(
            "concurrency-limit-low",
            "The file reserves more concurrency than the account has, and a deployment with it fails.",
            evidence,
            "write `ReserveConcurrency: \"false\"` until the limit `Concurrent executions` of Lambda is raised (Service Quotas)",
        )
    } else {
        Finding::warning(
            "concurrency-limit-low",
            "The account runs few functions at once: a deployment that reserves concurrency fails.",
            evidence,
            "deploy with ReserveConcurrency=false, as it is by default, and have the limit `Concurrent executions` of Lambda \
             raised (Service Quotas)",
        )
    })
}

/// A stack that cannot be deployed over, or what one left that was deleted.
async fn left_over(calls: &AwsCalls, name: &str) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    match Stack::read(calls, name).await? {
        Some(stack) if stack.is_never_made() => findings.push(Finding::warning(
            "stack-never-made",
            stack::NEVER_MADE,
            format!("{name} waits for its first change set to be executed"),
            stack::after_review(name),
        )),
        Some(stack) => return Ok(stack::state(&stack).into_iter().collect()),
        None => {}
    }
    findings.extend(kept::taken(calls, name).await?);
    Ok(findings)
}

fn identity_refused(error: &CallError) -> Finding {
    match error.code() {
        Some(_) => Finding::error(
            "credentials-refused",
            "AWS does not take these credentials, here and now.",
            error.to_string(),
            "sign in again (session credentials end); where they are good in another region, this one may have to be enabled \
             for the account first (ap-east-1, for one)",
        ),
        None => not_examined("The account", error),
    }
}

fn settings_missing(error: &AccountError) -> Finding {
    match error {
        AccountError::Environment(missing) if missing.names() == ["AWS_REGION"] => Finding::error(
            "region-missing",
            "Nothing says which region to deploy in.",
            missing.to_string(),
            "export AWS_REGION and AWS_DEFAULT_REGION",
        ),
        AccountError::NoRegion { cause, next_step } => Finding::error(
            "region-missing",
            "Nothing says which region to deploy in.",
            cause.as_str(),
            *next_step,
        ),
        AccountError::Environment(missing) => Finding::error(
            "credentials-missing",
            "There are no credentials for AWS in the environment.",
            missing.to_string(),
            "set all of them, or unset them and name a profile (--profile or AWS_PROFILE)",
        ),
        AccountError::NoCredentials { cause, next_step } => Finding::error(
            "credentials-missing",
            "There are no credentials for AWS.",
            cause.as_str(),
            next_step.as_str(),
        ),
        AccountError::Endpoint(_) => Finding::error(
            "credentials-missing",
            "Nothing can be sent to the address that stands for AWS.",
            error.to_string(),
            "unset it, or put it right",
        ),
    }
}

fn not_examined(what: &str, error: &CallError) -> Finding {
    Finding::warning(
        "not-examined",
        format!("{what} could not be examined."),
        error.to_string(),
        "see the credentials' permissions, the region and the network, and run this again",
    )
}

/// What is wrong with a tool.
fn tool(tool: &Tool) -> Option<Finding> {
    let wanted = shown(tool.tested);
    let install = match tool.package {
        Some(_) => "`bash .ci/tools target/ci`, and `export PATH=\"$PWD/target/ci/sam/bin:$PATH\"`",
        None => "take AWS's installer, and have `aws` on the PATH",
    };
    let Some(said) = tool.asked.iter().find_map(|asked| said(asked)) else {
        let asked = tool.asked.first().map(|asked| asked.join(" "));
        return Some(Finding::error(
            "tool-missing",
            format!(
                "{} is not there, and nothing can be built and deployed without it.",
                tool.name
            ),
            format!("`{}` cannot be run", asked.unwrap_or_default()),
            install,
        ));
    };
    let found = version(&said);
    (found.is_none_or(|found| found < tool.tested)).then(|| {
        Finding::warning(
            "tool-old",
            format!(
                "{} is older than the version that deployments are tested with.",
                tool.name
            ),
            format!("it says `{}`; tested is {wanted}", said.trim()),
            install,
        )
    })
}

/// What a command prints, if it runs and ends well.
fn said(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// The first `a.b.c` of a text.
fn version(text: &str) -> Option<[u32; 3]> {
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.';
    text.split(|letter: char| !is_part(letter))
        .find_map(|word| {
            let parts: Vec<u32> = word
                .split('.')
                .map_while(|part| part.parse().ok())
                .collect();
            <[u32; 3]>::try_from(parts).ok()
        })
}

fn shown([major, minor, patch]: [u32; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

/// Whether the compiler's library for that processor is there: where it is not, only `rustup` can
/// fetch it.
fn target_missing(architecture: Architecture) -> Option<Finding> {
    let target = architecture.target();
    let asked = ["rustc", "--print", "target-libdir", "--target", target];
    let folder = said(&asked).map(|folder| PathBuf::from(folder.trim()));
    let is_there = folder.as_deref().is_some_and(Path::is_dir);
    (!is_there).then(|| {
        Finding::warning(
            "rust-target-missing",
            "Rust's library for the functions' processor is not installed: the build has to fetch it first.",
            format!("there is no {target}"),
            format!("rustup target add {target}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CI: &str = include_str!("../../../../.ci/tools");

    #[test]
    fn the_versions_are_those_that_ci_installs() {
        for tool in TOOLS {
            let Some(package) = tool.package else {
                continue;
            };
            let pinned = format!("{package}=={}", shown(tool.tested));
            assert!(CI.contains(&pinned), "{pinned}");
        }
    }

    #[test]
    fn a_version_is_found_in_what_each_tool_says() {
        for (said, found) in [
            ("SAM CLI, version 1.170.0\n", Some([1, 170, 0])),
            (
                "cargo-lambda 1.9.2 (a9c5d8e 2026-11-02Z)\n",
                Some([1, 9, 2]),
            ),
            ("0.17.1\n", Some([0, 17, 1])),
            (
                "aws-cli/2.31.0 Python/3.13.7 Linux/6.8.0\n",
                Some([2, 31, 0]),
            ),
            (
                "aws-cli/1.45.11 Python/3.11.2 Linux/6.8.0\n",
                Some([1, 45, 11]),
            ),
            ("0.17.0-dev.12\n", Some([0, 17, 0])),
            ("nothing", None),
        ] {
            assert_eq!(version(said), found, "{said}");
        }
    }
}
