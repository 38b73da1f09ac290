//! `notices`: callbacks that did not settle, as the ledger holds them. It is read from the
//! deployment's table, not over the API: a notice may belong to no client's order.

use std::error::Error;
use std::process::ExitCode;

use payments::model::trace::{SpanOf, span_id};
use runtime::aws::Aws;
use runtime::clock::Clock;
use runtime::random::Random;
use serde_json::{Map, Value, json};
use stores::notices::{DecideOutcome, Notice, NoticeStatus, Notices};
use stores::queues::{Queue, QueueError};
use wechatpay::UnixSeconds;
use wechatpay::time::format_rfc3339_beijing;

use crate::api::CommandResult;
use crate::args::{Args, UsageError};
use crate::cloud::{Account, PROFILE};

/// Whose ledger, as an option and as a variable.
const MCHID: (&str, &str) = ("mchid", "WECHATPAY_MCHID");
/// Its table.
const TABLE: (&str, &str) = ("notices-table", "NOTICES_TABLE");
/// Which ledger: options of every command here.
const LEDGER: [&str; 3] = [MCHID.0, TABLE.0, PROFILE];
/// Default number of notices in a list.
const MOST: usize = 100;

pub(crate) async fn run(mut raw: impl Iterator<Item = String>) -> CommandResult {
    match raw.next().as_deref() {
        Some("list") => list(raw).await?,
        Some("show") => show(raw).await?,
        Some("redrive") => redrive(raw).await?,
        Some("decide") => decide(raw).await?,
        Some(other) => return Err(UsageError::Command(format!("notices {other}")).into()),
        None => {
            return Err(UsageError::Missing("list, show, redrive or decide".to_owned()).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&LEDGER[..], &["status", "most"]].concat(), &[])?;
    let given = args.optional("status")?;
    let statuses = match given.as_deref().map(NoticeStatus::named) {
        None => vec![NoticeStatus::Parked, NoticeStatus::Pending],
        Some(Some(status)) => vec![status],
        Some(None) => {
            return Err(UsageError::Value {
                name: "status",
                expected: "is pending, parked, ok or decided",
                given: given.unwrap_or_default(),
            }
            .into());
        }
    };
    let most = args.number("most")?.unwrap_or(MOST);
    let (mchid, table) = (
        args.setting(MCHID.0, MCHID.1)?,
        args.setting(TABLE.0, TABLE.1)?,
    );
    let account = Account::named(&mut args)?;
    args.finish()?;
    let aws = account.connect(&Clock::system()).await?;
    let notices = Notices::new(aws.dynamodb(), &table, &mchid);
    let names: Vec<&str> = statuses.iter().map(|status| status.name()).collect();
    let names = names.join(" or ");
    let mut listed = Vec::new();
    let mut more = false;
    for status in statuses {
        let mut next = None;
        loop {
            let page = notices.list(status, next).await?;
            listed.extend(page.notices.iter().map(summary));
            next = page.next;
            if next.is_none() || listed.len() > most {
                break;
            }
        }
        more |= next.is_some() || listed.len() > most;
        listed.truncate(most);
    }
    if listed.is_empty() {
        eprintln!("merchant {mchid} has no notices in the table {table} that are {names}");
    }
    println!("{:#}", Value::Array(listed));
    if more {
        eprintln!(
            "there are more than these {most}: --most N shows more, --status those of one kind"
        );
    }
    Ok(())
}

async fn show(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &LEDGER, &[])?;
    let id = args.word("NOTICE_ID")?;
    let (notices, _aws) = open(args).await?;
    let notice = read(&notices, &id).await?;
    let mut shown = summary(&notice);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("message".to_owned(), json!(notice.message));
    }
    println!("{shown:#}");
    Ok(())
}

async fn redrive(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&LEDGER[..], &["queue-url"]].concat(), &[])?;
    let id = args.word("NOTICE_ID")?;
    let queue_url = args.setting("queue-url", "PAYMENT_RESULTS_QUEUE_URL")?;
    let (notices, aws) = open(args).await?;
    let notice = read(&notices, &id).await?;
    match notice.status {
        NoticeStatus::Pending | NoticeStatus::Parked => {}
        NoticeStatus::Settled => {
            return Err(format!("notice {id} has settled: there is nothing to send again").into());
        }
        NoticeStatus::Decided => {
            return Err(format!(
                "notice {id} was decided by {}: what was put right by hand must not settle as well",
                notice.decided_by.unwrap_or_default()
            )
            .into());
        }
    }
    if notice.message.is_empty() {
        return Err(format!(
            "notice {id} is of money that a query found, and no callback has reported it: there is nothing to send again"
        )
        .into());
    }
    // The span that a callback of this notice has: the journal names the notice.
    let trace_id = Random::system().id();
    let span_id = span_id(&trace_id, SpanOf::Callback { notice_id: &id });
    let queue = Queue::new(aws.sqs(), queue_url);
    let traceparent = format!("00-{trace_id}-{span_id}-01");
    if let Err(error) = queue.redrive(&notice.message, traceparent.as_str()).await {
        return Err(if may_not_send(&error) {
            Box::new(NotTheOperator(error))
        } else {
            error.into()
        });
    }
    println!("Notice {id} is in the queue again, under the trace {trace_id}.");
    println!(
        "{}",
        match notice.status {
            NoticeStatus::Parked =>
                "It stays parked, whatever comes of it, until its decision is written down.",
            NoticeStatus::Pending | NoticeStatus::Settled | NoticeStatus::Decided =>
                "If it lies in the dead-letter queue, that copy stays there: purge it once this one has settled.",
        }
    );
    Ok(())
}

async fn decide(raw: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse(raw, &[&LEDGER[..], &["who", "why"]].concat(), &[])?;
    let id = args.word("NOTICE_ID")?;
    let (who, why) = (args.required("who")?, args.required("why")?);
    for (name, text) in [("who", &who), ("why", &why)] {
        if text.trim().is_empty() {
            let expected = "says it for whoever asks later";
            let given = text.clone();
            return Err(UsageError::Value {
                name,
                expected,
                given,
            }
            .into());
        }
    }
    let (notices, _aws) = open(args).await?;
    match notices
        .decide(&id, &who, &why, Clock::system().now())
        .await?
    {
        DecideOutcome::Written => {
            println!("It is written down that {who} decided about notice {id}.");
            Ok(())
        }
        DecideOutcome::Closed(found) => {
            let by = found
                .decided_by
                .map(|who| format!(" by {who}"))
                .unwrap_or_default();
            Err(format!(
                "notice {id} is `{}`{by} since {}: there is nothing to decide",
                found.status.name(),
                format_rfc3339_beijing(found.updated_at)
            )
            .into())
        }
        DecideOutcome::Unknown => Err(unknown(&id)),
    }
}

async fn read(notices: &Notices, id: &str) -> Result<Notice, Box<dyn Error>> {
    notices.get(id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Box<dyn Error> {
    format!(
        "this merchant's ledger has no notice {id}; `cargo client notices list` shows those that wait \
         (a callback that settled at its first try has no record)"
    )
    .into()
}

/// The queue's policy lets receive-callback send, and the operator's role.
#[derive(Debug, thiserror::Error)]
#[error(
    "these credentials may not send to the queue. It takes the role that the stack's parameter OperatorRoleArn names, \
     which has to read and write the notices table, too"
)]
struct NotTheOperator(#[source] QueueError);

fn may_not_send(error: &QueueError) -> bool {
    matches!(error.code(), Some("AccessDenied" | "AccessDeniedException"))
}

/// All but the message.
fn summary(notice: &Notice) -> Value {
    let time = |at: UnixSeconds| json!(format_rfc3339_beijing(at));
    let mut shown = Map::new();
    let fields = [
        ("notice_id", Some(json!(notice.notice_id))),
        ("status", Some(json!(notice.status.name()))),
        (
            "order_no",
            notice.order_no.as_ref().map(|number| json!(number)),
        ),
        ("event_type", Some(json!(notice.event_type))),
        (
            "what_to_do",
            notice.what_to_do.as_ref().map(|text| json!(text)),
        ),
        (
            "last_error",
            notice.last_error.as_ref().map(|text| json!(text)),
        ),
        ("retries", Some(json!(notice.retries))),
        ("next_retry_at", notice.next_retry_at.map(time)),
        ("first_seen_at", Some(time(notice.first_seen_at))),
        ("updated_at", Some(time(notice.updated_at))),
        (
            "decided_by",
            notice.decided_by.as_ref().map(|who| json!(who)),
        ),
        (
            "decided_why",
            notice.decided_why.as_ref().map(|why| json!(why)),
        ),
    ];
    for (name, value) in fields {
        shown.extend(value.map(|value| (name.to_owned(), value)));
    }
    Value::Object(shown)
}

/// The ledger that the command line names, the last thing that it may name.
async fn open(mut args: Args) -> Result<(Notices, Aws), Box<dyn Error>> {
    let mchid = args.setting(MCHID.0, MCHID.1)?;
    let table = args.setting(TABLE.0, TABLE.1)?;
    let account = Account::named(&mut args)?;
    args.finish()?;
    let aws = account.connect(&Clock::system()).await?;
    Ok((Notices::new(aws.dynamodb(), table, mchid), aws))
}
