//! `setup channel`: how people on call are told of alarms. The address of a group robot is what
//! lets one write into the group, so it comes from a file, is sealed, and is never shown.

use std::error::Error;

use operator_channels::{Credentials, Kind, Notification, Severity, State, compose};
use runtime::clock::Clock;
use runtime::net::{Reach, WebhookUrl};
use runtime::random::Random;
use stores::keys_table::{
    KeysError, KeysTable,
    channels::{Channel, NewChannel},
};
use webhook_client::WebhookHttp;
use wechatpay::time::format_rfc3339_beijing;
use zeroize::Zeroizing;

use crate::args::{Args, UsageError};
use crate::deployment::{DEPLOYMENT, Deployment};

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    match raw.next().as_deref() {
        Some("add") => add(raw).await,
        Some("list") => list(raw).await,
        Some("test") => test(raw).await,
        Some("remove") => remove(raw).await,
        Some(other) => Err(UsageError::Command(format!("setup channel {other}")).into()),
        None => Err(UsageError::Missing("add, list, test or remove".to_owned()).into()),
    }
}

async fn add(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let own = [
        "name",
        "kind",
        "address-file",
        "secret-file",
        "page",
        "ticket",
    ];
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &own].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let (name, kind) = (args.required("name")?, args.required("kind")?);
    let kind = Kind::parse(&kind).ok_or(UsageError::Value {
        name: "kind",
        expected: "is wecom, dingtalk, feishu, webhook or sns",
        given: kind,
    })?;
    let address = args.optional("address-file")?;
    let secret = args.optional("secret-file")?;
    let (page, ticket) = (place(&mut args, "page")?, place(&mut args, "ticket")?);
    args.finish()?;
    if page.is_none() && ticket.is_none() {
        let what = "what the channel is for: --page PLACE, --ticket PLACE or both,";
        return Err(UsageError::Missing(what.to_owned()).into());
    }
    let address = address.as_deref().map(read).transpose()?;
    let secret = secret.as_deref().map(read).transpose()?;
    let credentials = Credentials::new(
        kind,
        address.as_ref().map(|text| text.as_str()),
        secret.as_ref().map(|text| text.as_str()),
    )?;
    // Loopback is for a local stack: the function on AWS never calls such an address.
    if kind != Kind::Sns {
        WebhookUrl::parse(credentials.address(), Reach::PublicAndLoopback)?;
    }
    let new = NewChannel {
        name: &name,
        kind,
        credentials: &credentials,
        page,
        ticket,
    };
    deployment.keys_table().await?.put_channel(&new).await?;
    println!(
        "The channel {name} is set up; it counts within a minute. `cargo client setup channel test --name {name}` sends it a message."
    );
    Ok(())
}

async fn list(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &DEPLOYMENT, &[])?;
    let deployment = Deployment::read(&mut args)?;
    args.finish()?;
    let mut channels = deployment.keys_table().await?.read_channels().await?;
    if channels.is_empty() {
        println!(
            "There is no channel: nobody is told of alarms but by the topic's own subscriptions."
        );
        return Ok(());
    }
    channels.sort_by_key(|channel| (channel.page.is_none(), channel.page, channel.ticket));
    for channel in &channels {
        println!("{}", line(channel));
    }
    for severity in Severity::ALL {
        if channels
            .iter()
            .all(|channel| channel.place(severity).is_none())
        {
            println!(
                "No channel is for {}s: those go to all of them, in this order.",
                severity.name()
            );
        }
    }
    Ok(())
}

fn line(channel: &Channel) -> String {
    let place = |severity| match channel.place(severity) {
        Some(place) => format!("{} {place}", severity.name()),
        None => format!("no {}", severity.name()),
    };
    let [page, ticket] = Severity::ALL.map(place);
    let since = channel.set_up_at.map_or_else(String::new, |at| {
        format!(", set up {}", format_rfc3339_beijing(at))
    });
    format!(
        "{}: {}, {page}, {ticket}{since}",
        channel.name,
        channel.kind.name()
    )
}

/// Sends a message from here, past the queue and the limits: what it proves is address and secret.
async fn test(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (deployment, name) = named(raw)?;
    let table = deployment.keys_table().await?;
    let channel = found(&table, &name).await?;
    if channel.kind == Kind::Sns {
        return Err("a channel of the kind sns is tested by its topic: `aws sns publish --topic-arn ARN --message test`, with the stack's OperatorsTopicArn".into());
    }
    let credentials = table.channel_credentials(&channel).await?;
    let clock = Clock::system();
    let about = Notification {
        id: Random::system().id(),
        severity: Severity::Ticket,
        state: State::Message,
        name: "a test".to_owned(),
        description: String::new(),
        reason: format!("The channel {name} takes messages. There is nothing to do."),
        changed_at: format_rfc3339_beijing(clock.now()),
    };
    let text = compose(&[&about], &[], channel.kind.text_bytes_max());
    let http = WebhookHttp::new(Reach::PublicAndLoopback, clock.clone());
    let now_ms = clock.now_ms();
    match http
        .tell(channel.kind, &credentials, &text, &[&about], now_ms)
        .await
    {
        Ok(()) => {
            println!("The channel {name} took the message; look whether it is there.");
            Ok(())
        }
        Err(error) => Err(format!("the channel {name} did not take the message: {error}").into()),
    }
}

async fn remove(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (deployment, name) = named(raw)?;
    let table = deployment.keys_table().await?;
    match table.remove_channel(&name).await {
        Ok(()) => {}
        Err(KeysError::NoItem { .. }) => return Err(unknown(&name)),
        Err(error) => return Err(error.into()),
    }
    println!("The channel {name} is removed; functions forget it within a minute.");
    if table.read_channels().await?.is_empty() {
        println!(
            "It was the last one: nobody is told of alarms but by the topic's own subscriptions."
        );
    }
    Ok(())
}

fn named(raw: impl Iterator<Item = String>) -> Result<(Deployment, String), UsageError> {
    let mut args = Args::parse(raw, &[&DEPLOYMENT[..], &["name"]].concat(), &[])?;
    let deployment = Deployment::read(&mut args)?;
    let name = args.required("name")?;
    args.finish()?;
    Ok((deployment, name))
}

async fn found(table: &KeysTable, name: &str) -> Result<Channel, Box<dyn Error>> {
    let channels = table.read_channels().await?;
    let found = channels.into_iter().find(|channel| channel.name == name);
    found.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Box<dyn Error> {
    format!("there is no channel {name}: `cargo client setup channel list` lists them").into()
}

/// The place among the channels of a severity: the first one that takes a message is the last that
/// is tried.
fn place(args: &mut Args, name: &'static str) -> Result<Option<u32>, UsageError> {
    match args.number::<u32>(name)? {
        Some(place) if !(1..=99).contains(&place) => Err(UsageError::Value {
            name,
            expected: "is a place from 1 to 99",
            given: place.to_string(),
        }),
        place => Ok(place),
    }
}

/// An address or a secret in a text file; what an editor adds at its ends does not count.
pub(crate) fn read(path: &str) -> Result<Zeroizing<String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    Ok(Zeroizing::new(trimmed.to_owned()))
}
