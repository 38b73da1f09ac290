//! `setup log-sink`: where log lines are forwarded to. What lets one in comes from a file, is
//! sealed, and is never shown.

use std::error::Error;

use log_sinks::{Dsn, Kind, Line, LogBatch, Login, Loki, Sink, envelope, pushes};
use runtime::clock::Clock;
use runtime::net::{Reach, WebhookUrl};
use runtime::random::Random;
use serde_json::json;
use stores::keys_table::KeysError;
use webhook_client::WebhookHttp;
use wechatpay::time::format_rfc3339_beijing;

use crate::args::{Args, UsageError};
use crate::channel::read;
use crate::deployment::{DEPLOYMENT, Deployment};

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("add") => add(raw).await,
        Some("list") => list(raw).await,
        Some("test") => test(raw).await,
        Some("remove") => remove(raw).await,
        Some(other) => Err(UsageError::Command(format!("setup log-sink {other}")).into()),
        None => Err(UsageError::Missing("add, list, test or remove".to_owned()).into()),
    }
}

async fn add(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "kind",
        "dsn-file",
        "address",
        "tenant",
        "user",
        "password-file",
        "token-file",
    ];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let kind = kind(&mut args)?;
    let sink = match kind {
        Kind::Sentry => {
            let dsn = args.required("dsn-file")?;
            args.finish()?;
            Sink::Sentry(Dsn::parse(&read(&dsn)?)?)
        }
        Kind::Loki => {
            let address = args.required("address")?;
            let tenant = args.optional("tenant")?;
            let user = args.optional("user")?;
            let password = args.optional("password-file")?;
            let token = args.optional("token-file")?;
            args.finish()?;
            let login = match (user, password, token) {
                (None, None, None) => Login::None,
                (Some(user), Some(password), None) => Login::Basic {
                    user,
                    password: read(&password)?,
                },
                (None, None, Some(token)) => Login::Bearer(read(&token)?),
                (Some(_), None, None) | (None, Some(_), _) | (_, _, Some(_)) => {
                    return Err(UsageError::Conflict(
                        "Loki is let in by --user with --password-file, by --token-file, or by neither",
                    )
                    .into());
                }
            };
            Sink::Loki(Loki::new(&address, tenant.as_deref(), login)?)
        }
    };
    // Loopback is for a local stack: the function on AWS never calls such an address.
    WebhookUrl::parse(&sink.address(), Reach::PublicAndLoopback)?;
    deployment.keys_table().await?.put_log_sink(&sink).await?;
    println!(
        "Log lines go to {} within a minute, where the stack has LogForwarding. `cargo client setup log-sink test --kind {}` sends one.",
        sink.address(),
        kind.name()
    );
    Ok(())
}

async fn list(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &DEPLOYMENT, &[])?;
    let deployment = Deployment::read(&mut args)?;
    args.finish()?;
    let sinks = deployment.keys_table().await?.read_log_sinks().await?;
    if sinks.is_empty() {
        println!("There is no log sink: lines stay in their log groups.");
    }
    for sink in &sinks {
        let since = sink.set_up_at.map_or_else(String::new, |at| {
            format!(", set up {}", format_rfc3339_beijing(at))
        });
        println!("{}{since}", sink.kind.name());
    }
    Ok(())
}

/// Sends a line from here: what it proves is address and secret.
async fn test(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (deployment, kind) = of_kind(raw)?;
    let table = deployment.keys_table().await?;
    let stored = table.read_log_sinks().await?;
    let stored = stored.iter().find(|sink| sink.kind == kind);
    let sink = table
        .open_log_sink(stored.ok_or_else(|| unknown(kind))?)
        .await?;
    let clock = Clock::system();
    let batch = test_line(&clock, &Random::system())?;
    let lines = Line::all(&batch, STACK);
    let http = WebhookHttp::new(Reach::PublicAndLoopback, clock);
    let requests: Vec<_> = match &sink {
        Sink::Sentry(dsn) => lines
            .iter()
            .filter_map(|line| Some(envelope(dsn, STACK, &batch, line, line.report()?)))
            .collect(),
        Sink::Loki(loki) => pushes(loki, STACK, &lines)
            .into_iter()
            .map(|push| push.request)
            .collect(),
    };
    for request in requests {
        if let Err(error) = http.forward(kind, request).await {
            let name = kind.name();
            return Err(format!("{name} did not take the line: {error}").into());
        }
    }
    println!(
        "{} took the line; look whether it is there, in the environment or stack `{STACK}`.",
        sink.address()
    );
    Ok(())
}

/// The environment of a line that is a test.
const STACK: &str = "setup-log-sink-test";

fn test_line(clock: &Clock, random: &Random) -> Result<LogBatch, serde_json::Error> {
    let line = json!({
        "level": "ERROR",
        "message": "a test of `cargo client setup log-sink`: there is nothing to do",
        "target": "client::log_sink",
    });
    serde_json::from_value(json!({
        "logGroup": format!("/aws/lambda/{STACK}-client"),
        "logEvents": [
            {"id": random.id(), "timestamp": clock.now_ms(), "message": line.to_string()},
        ],
    }))
}

async fn remove(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (deployment, kind) = of_kind(raw)?;
    let table = deployment.keys_table().await?;
    match table.remove_log_sink(kind).await {
        Ok(()) => {}
        Err(KeysError::NoItem { .. }) => return Err(unknown(kind)),
        Err(error) => return Err(error.into()),
    }
    println!(
        "The log sink {} is removed; the function forgets it within a minute.",
        kind.name()
    );
    if table.read_log_sinks().await?.is_empty() {
        println!(
            "It was the last one: what is forwarded has nowhere to go. Deploy with LogForwarding=off."
        );
    }
    Ok(())
}

fn of_kind(raw: impl Iterator<Item = String>) -> Result<(Deployment, Kind), UsageError> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["kind"]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let kind = kind(&mut args)?;
    args.finish()?;
    Ok((deployment, kind))
}

fn kind(args: &mut Args) -> Result<Kind, UsageError> {
    let given = args.required("kind")?;
    Kind::parse(&given).ok_or(UsageError::Value {
        name: "kind",
        expected: "is sentry or loki",
        given,
    })
}

fn unknown(kind: Kind) -> Box<dyn Error> {
    let name = kind.name();
    format!("there is no log sink {name}: `cargo client setup log-sink list` lists them").into()
}
