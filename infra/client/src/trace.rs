//! `trace`: one order's way, drawn from its journal as the API shows it.

use std::process::ExitCode;

use client::{Call, Sender};
use payments::model::decision::OperatorDecision;
use payments::model::ids::{OrderNo, RefundNo, TransactionId};
use payments::model::journal::{Cause, Delivery, Event, Subject};
use payments::model::order_refusal::OrderRefusal;
use payments::rules::waterfall::{Scale, Span, SpanKind, Waterfall, duration, waterfall};
use runtime::clock::Clock;
use runtime::random::Random;
use serde::Deserialize;
use wechatpay::UnixSeconds;
use wechatpay::time::{format_rfc3339_beijing, parse_rfc3339};

use crate::api::{CommandResult, client, number, show};
use crate::args::Args;

/// How wide the bars are, in characters.
const WIDTH: i64 = 48;

pub(crate) async fn run(raw: impl Iterator<Item = String>) -> CommandResult {
    let mut args = Args::parse(raw, &["settings"], &["json"])?;
    let order_no = number(&mut args, "ORDER_NO")?;
    let as_json = args.flag("json")?;
    let (client, call) = (client(args)?, Call::list_events(&order_no));
    let nonce = Random::system().nonce();
    let signed = client.sign(&call, Clock::system().now(), &nonce)?;
    let answer = Sender::new()?.send(&signed).await?;
    if !answer.is_success() {
        show(&answer);
        return Ok(ExitCode::FAILURE);
    }
    let list: EventList = serde_json::from_str(&answer.body)?;
    let order_no = OrderNo::parse(&list.order_no)?;
    let events = list.events.into_iter().map(ListedEvent::read);
    let journal = events
        .collect::<Option<Vec<Event>>>()
        .ok_or("the API shows an event that this version cannot read")?;
    let way = waterfall(&order_no, &journal).ok_or("the order has no events")?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&way)?);
    } else {
        print!("{}", drawn(&way));
    }
    Ok(ExitCode::SUCCESS)
}

/// The journal as the API shows it (`infra/openapi.yaml`, `EventList`). Members that are not used
/// here are passed over.
#[derive(Debug, Deserialize)]
struct EventList {
    order_no: String,
    events: Vec<ListedEvent>,
}

#[derive(Debug, Deserialize)]
struct ListedEvent {
    version: u64,
    subject: String,
    subject_id: String,
    from: Option<String>,
    to: String,
    cause: ListedCause,
    at: String,
    at_ms: Option<i64>,
    trace_id: String,
    delivery: Option<ListedDelivery>,
    rejection: Option<ListedRejection>,
    next_try_at: Option<String>,
    decision: Option<OperatorDecision>,
}

#[derive(Debug, Deserialize)]
struct ListedCause {
    kind: String,
    id: String,
}

#[derive(Debug, Deserialize)]
struct ListedDelivery {
    queued_ms: u32,
    worked_ms: u32,
    received: u32,
}

#[derive(Debug, Deserialize)]
struct ListedRejection {
    code: String,
}

impl ListedEvent {
    fn read(self) -> Option<Event> {
        let time = |text: &str| parse_rfc3339(text).ok();
        Some(Event {
            version: self.version,
            subject: match self.subject.as_str() {
                "order" => Subject::Order,
                "refund" => Subject::Refund(RefundNo::parse(&self.subject_id).ok()?),
                "payment" => Subject::Payment(TransactionId::parse(&self.subject_id).ok()?),
                _ => return None,
            },
            from: self.from,
            to: self.to,
            cause: Cause::of(&self.cause.kind, self.cause.id)?,
            at: match self.at_ms {
                Some(at_ms) => UnixSeconds(at_ms.div_euclid(1000)),
                None => time(&self.at)?,
            },
            millisecond: self
                .at_ms
                .and_then(|at_ms| u16::try_from(at_ms.rem_euclid(1000)).ok()),
            delivery: self.delivery.map(|delivery| Delivery {
                queued_ms: delivery.queued_ms,
                worked_ms: delivery.worked_ms,
                received: delivery.received,
            }),
            trace: self.trace_id,
            is_sampled: true,
            request_id: None,
            refusal: self.rejection.map(|rejection| OrderRefusal {
                code: rejection.code,
                message: String::new(),
            }),
            next_try_at: match self.next_try_at {
                Some(at) => Some(time(&at)?),
                None => None,
            },
            decision: self.decision,
        })
    }
}

/// The picture: a line for each span, with the pauses between them.
fn drawn(way: &Waterfall) -> String {
    let scale = Scale::new(way, WIDTH);
    let began = format_rfc3339_beijing(UnixSeconds(way.from_ms.div_euclid(1000)));
    let mut text = format!(
        "{}  from {began}, {} in all\n",
        way.order_no,
        duration(way.until_ms.saturating_sub(way.from_ms))
    );
    let mut trace = "";
    for span in &way.spans {
        if span.gap_ms > 0 {
            text.push_str(&format!("{:>14}  ... {} ...\n", "", duration(span.gap_ms)));
        }
        if span.kind != SpanKind::Event && span.trace_id != trace {
            trace = &span.trace_id;
            let linked = span.link.as_ref().map_or(String::new(), |link| {
                format!(", linked to {}", link.trace_id)
            });
            text.push_str(&format!("{:>14}  trace {trace}{linked}\n", ""));
        }
        text.push_str(&line(way, span, &scale));
    }
    text.push_str("Widths grow with the logarithm of the time; the numbers are exact");
    text.push_str(if way.spans.iter().all(|span| span.is_exact) {
        ".\n"
    } else {
        ", but for those marked ~ (to the second).\n"
    });
    text
}

fn line(way: &Waterfall, span: &Span, scale: &Scale) -> String {
    let (from, until) = (scale.place(span.from_ms), scale.place(span.until_ms));
    let cell = |place: i64| match span.kind {
        SpanKind::Event | SpanKind::Callback if place == from.min(WIDTH - 1) => '◆',
        SpanKind::Queue if (from..until.max(from + 1)).contains(&place) => '░',
        SpanKind::Work if (from.min(WIDTH - 1)..until.max(from + 1)).contains(&place) => '█',
        SpanKind::Event | SpanKind::Callback | SpanKind::Queue | SpanKind::Work => ' ',
    };
    let bar: String = (0..WIDTH).map(cell).collect();
    let about = if span.is_exact { ' ' } else { '~' };
    let after = duration(span.from_ms.saturating_sub(way.from_ms));
    let took = match span.kind {
        SpanKind::Queue | SpanKind::Work => duration(span.took_ms()),
        SpanKind::Event | SpanKind::Callback => String::new(),
    };
    let indent = match span.kind {
        SpanKind::Event => "  ",
        SpanKind::Callback | SpanKind::Queue | SpanKind::Work => "",
    };
    let name = format!("{indent}{}", span.name);
    format!(
        "{about}+{after:>12}  |{bar}| {took:>11}  {name:<17} {}\n",
        span.what
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = include_str!("trace/paid.json");

    fn way(answer: &str) -> Waterfall {
        let list: EventList = serde_json::from_str(answer).expect("a journal");
        let order_no = OrderNo::parse(&list.order_no).expect("a number");
        let events = list.events.into_iter().map(ListedEvent::read);
        let journal: Option<Vec<Event>> = events.collect();
        waterfall(&order_no, &journal.expect("events")).expect("a way")
    }

    #[test]
    fn an_orders_way_is_drawn_line_by_line() {
        let text = drawn(&way(ANSWER));
        for line in text.lines() {
            assert!(line.chars().count() < 170, "{line}");
        }
        for expected in [
            "tea-0001  from 2026-08-01T12:00:01+08:00, 30.948 s in all",
            "create-order      the client's request",
            "awaiting_payment -> paid",
            "receive-callback  WeChat Pay's callback is taken",
            "payment-results   received 2 times: 1 try came to nothing",
            "linked to 0af7651916cd43dd8448eb211c80319c",
            "... 20.574 s ...",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains('~'), "{text}");
    }

    #[test]
    fn an_answer_of_a_release_before_is_drawn_to_the_second() {
        let mut answer: serde_json::Value = serde_json::from_str(ANSWER).expect("JSON");
        for event in answer["events"].as_array_mut().expect("events") {
            for name in ["at_ms", "span_id", "parent_span_id", "delivery", "links"] {
                event.as_object_mut().expect("an event").remove(name);
            }
        }
        let text = drawn(&way(&answer.to_string()));
        assert!(text.contains("~+"), "{text}");
        assert!(text.ends_with("marked ~ (to the second).\n"), "{text}");
    }
}
