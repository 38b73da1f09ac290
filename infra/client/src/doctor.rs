//! `doctor`: what is wrong with a deployed stack, and what to do next. It changes nothing, but for
//! an order of one fen for each appid, which nobody is shown and which is closed at once.

mod alarms;
pub(crate) mod aws_calls;
mod checklist;
mod clock;
mod console;
mod finding;
mod functions;
mod keys;
pub(crate) mod keys_status;
mod limits;
mod log_sinks;
mod parameters;
mod policies;
pub(crate) mod preflight;
mod queues;
mod quotas;
mod report;
mod roles;
mod schedules;
pub(crate) mod stack;
mod tables;
mod wechat;
mod xml;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use runtime::clock::Clock;

use crate::api::CommandResult;
use crate::args::Args;
use crate::cloud::{Account, PROFILE};

use aws_calls::{AwsCalls, CallError};
use console::Stranger;
use finding::{Examined, Finding, Severity};
use report::Report;
use stack::Stack;
use wechat::Merchant;

/// How long WeChat Pay's callback may take: it is sent at once, and again after 15 s twice.
const CALLBACK_WITHIN_S: u64 = 45;

/// Every check, in the order in which they are made. A check is a file of this folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Check {
    Stack,
    Keys,
    Tables,
    Queues,
    Functions,
    Roles,
    Quotas,
    Schedules,
    Alarms,
    Console,
    Merchant,
    Wechat,
}

const CHECKS: [Check; 12] = [
    Check::Stack,
    Check::Keys,
    Check::Tables,
    Check::Queues,
    Check::Functions,
    Check::Roles,
    Check::Quotas,
    Check::Schedules,
    Check::Alarms,
    Check::Console,
    Check::Merchant,
    Check::Wechat,
];

impl Check {
    fn title(self) -> &'static str {
        match self {
            Self::Stack => "the stack",
            Self::Keys => "KMS keys",
            Self::Tables => "tables",
            Self::Queues => "queues",
            Self::Functions => "functions",
            Self::Roles => "roles",
            Self::Quotas => "quotas",
            Self::Schedules => "schedules and events",
            Self::Alarms => "alarms",
            Self::Console => "the API's address and the console",
            Self::Merchant => "the merchant's record",
            Self::Wechat => "WeChat Pay",
        }
    }

    /// What an error of this check makes futile.
    fn is_needed_by(self, other: Self) -> bool {
        match self {
            // A key, a table or a record that is gone is reported once, and not by all that needs
            // it.
            Self::Keys | Self::Merchant => matches!(other, Self::Merchant | Self::Wechat),
            Self::Stack => other != Self::Stack,
            Self::Tables
            | Self::Queues
            | Self::Functions
            | Self::Roles
            | Self::Quotas
            | Self::Schedules
            | Self::Alarms
            | Self::Console
            | Self::Wechat => false,
        }
    }
}

struct Examination<'a> {
    calls: &'a AwsCalls,
    stack: &'a Stack,
    stranger: Stranger,
    merchant: Merchant<'a>,
    certificate: Option<PathBuf>,
    console_token: Option<String>,
    callback_within: Duration,
}

impl Examination<'_> {
    async fn run(&self, check: Check, before: &[Finding]) -> Result<Examined, CallError> {
        let (calls, stack) = (self.calls, self.stack);
        Ok(match check {
            Check::Stack => {
                let clock = clock::finding(calls).into_iter();
                clock
                    .chain(stack::findings(stack))
                    .collect::<Vec<_>>()
                    .into()
            }
            Check::Keys => keys::findings(calls, stack).await?.into(),
            Check::Tables => tables::findings(calls, stack).await?.into(),
            Check::Queues => queues::findings(calls, stack).await?.into(),
            Check::Functions => {
                let mut found = functions::findings(calls, stack).await?;
                found.extend(log_sinks::findings(calls, stack).await?);
                found.into()
            }
            Check::Roles => roles::findings(calls, stack).await?.into(),
            Check::Quotas => quotas::examine(calls, stack).await?,
            Check::Schedules => schedules::findings(calls, stack).await?.into(),
            Check::Alarms => alarms::findings(calls, stack).await?.into(),
            Check::Console => match console::api_unreachable(stack, &self.stranger).await {
                Some(finding) => vec![finding].into(),
                None => {
                    let token = self.console_token.as_deref();
                    console::examine(calls, stack, &self.stranger, token).await
                }
            },
            Check::Merchant => self
                .merchant
                .stored(self.certificate.as_deref())
                .await
                .into(),
            Check::Wechat => {
                let is_unreachable = before
                    .iter()
                    .any(|found| found.id == "notify-url-unreachable");
                let callback_within = (!is_unreachable).then_some(self.callback_within);
                self.merchant.examine(callback_within).await
            }
        })
    }
}

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let options = [
        "stack",
        "merchant-certificate-file",
        "callback-within-s",
        "console-token-file",
        PROFILE,
    ];
    let mut args = Args::parse(raw, &options, &["json"])?;
    let name = args.setting("stack", "STACK")?;
    let certificate = args
        .optional("merchant-certificate-file")?
        .map(PathBuf::from);
    let callback_within_s = args
        .number("callback-within-s")?
        .unwrap_or(CALLBACK_WITHIN_S);
    let console_token = args
        .optional("console-token-file")?
        .map(std::fs::read_to_string)
        .transpose()?
        .map(|token| token.trim().to_owned());
    let as_json = args.flag("json")?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let clock = Clock::system();
    let (aws, calls) = AwsCalls::beside_sdk(&account, &clock).await?;
    let subject = format!("stack {name} in {}", calls.region());

    progress(Check::Stack);
    let stack = match Stack::read(&calls, &name).await {
        Ok(Some(stack)) => stack,
        Ok(None) => {
            let finding = stack::missing(&name, calls.region());
            return Ok(gave_up(subject, finding, as_json));
        }
        Err(error) => {
            // AWS refuses what a wrong clock signs, and says the time with it.
            let off = clock::finding(&calls).filter(|found| found.severity == Severity::Error);
            let finding = off.unwrap_or_else(|| not_looked_at(Check::Stack, &error));
            return Ok(gave_up(subject, finding, as_json));
        }
    };
    let merchant = Merchant::of(&stack, &aws, &clock)?;
    let examination = Examination {
        calls: &calls,
        stack: &stack,
        stranger: Stranger::new(calls.is_on_this_machine())?,
        merchant,
        certificate,
        console_token,
        callback_within: Duration::from_secs(callback_within_s),
    };
    Ok(examine(&examination, subject).await.print(as_json))
}

async fn examine(examination: &Examination<'_>, subject: String) -> Report {
    let (mut findings, mut left_out, mut not_proved) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed: Vec<Check> = Vec::new();
    for check in CHECKS {
        if failed.iter().any(|failed| failed.is_needed_by(check)) {
            left_out.push(check.title());
            continue;
        }
        if check != Check::Stack {
            progress(check);
        }
        let examined = match examination.run(check, &findings).await {
            Ok(examined) => examined,
            Err(error) => vec![not_looked_at(check, &error)].into(),
        };
        if examined
            .findings
            .iter()
            .any(|found| found.severity == Severity::Error)
        {
            failed.push(check);
        }
        findings.extend(examined.findings);
        not_proved.extend(examined.not_proved);
    }
    not_proved.extend(checklist::ONLY_BY_HAND.map(ToOwned::to_owned));
    Report::new(subject, findings, left_out, not_proved)
}

/// Goes to standard error, so that standard output is the report and nothing else.
fn progress(check: Check) {
    eprintln!("examining {} ...", check.title());
}

/// Nothing else can be examined.
fn gave_up(subject: String, finding: Finding, as_json: bool) -> ExitCode {
    let others = CHECKS.into_iter().filter(|check| *check != Check::Stack);
    let left_out = others.map(Check::title).collect();
    Report::new(subject, vec![finding], left_out, Vec::new()).print(as_json)
}

/// A check that could not be made: whether something is wrong there is not known.
fn not_looked_at(check: Check, error: &CallError) -> Finding {
    let is_denied = error
        .code()
        .is_some_and(|code| code.contains("AccessDenied") || code.contains("NotAuthorized"));
    let next_step = if is_denied {
        "run this with a role that has the permission which the message names (infra/runbooks/doctor.md lists all of them)"
    } else {
        "run this again; if it stays, see the credentials, the region and the network"
    };
    Finding::warning(
        "not-examined",
        format!(
            "{} could not be examined to the end.",
            sentence(check.title())
        ),
        error.to_string(),
        next_step,
    )
}

fn sentence(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
