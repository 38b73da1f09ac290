//! Reconciliations as our API shows them.

use std::collections::{BTreeMap, BTreeSet};

use matching::totals::{Gap, Sums};
use payments::{
    model::bill_date::BillName,
    reconcile::{
        difference::{Actor, Difference, DifferenceState, HistoryEntry, SideView},
        run::{FundSide, Run},
    },
};
use serde_json::{Map, Value, json};
use wechatpay::{UnixSeconds, time::format_rfc3339_beijing};

use crate::{
    breakdown::{Breakdown, GapStatus},
    day_listing::DayListing,
    input::{STATES, decision_name},
    listing::ListPage,
    money::decimal_of_e5,
    text,
};

/// A day: its run, both sides' totals, how many differences there are, and the latest preview
/// beside the run.
pub(crate) fn day(run: &Run, preview: Option<&Run>, day: &DayListing) -> Value {
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("date", json!(run.date));
    put("run_id", json!(run.id));
    put("state", json!(run.state.name()));
    put("dry_run", json!(run.dry_run));
    put("requested_at", requested_at(run));
    put("started_at", json!(format_rfc3339_beijing(run.started_at)));
    put("updated_at", json!(format_rfc3339_beijing(run.updated_at)));
    put("parts", json!(run.parts));
    put("parts_done", json!(run.parts_done.len()));
    if let Some(trouble) = &run.trouble {
        put("trouble", json!(trouble));
    }
    put("bills", bills(run));
    put("totals", totals(run, &day.breakdown));
    put("carried", json!(run.carried()));
    put("differences", differences(day));
    if let Some(side) = &run.funds {
        put("funds", funds(side));
    }
    if let Some(preview) = preview {
        put("latest_preview", self::preview(preview));
    }
    Value::Object(view)
}

fn requested_at(run: &Run) -> Value {
    let requested_at = UnixSeconds(run.requested_at_ms().div_euclid(1000));
    json!(format_rfc3339_beijing(requested_at))
}

/// The fund side of a run: a verdict of its own.
fn funds(side: &FundSide) -> Value {
    let accounts: Vec<&str> = side.accounts.iter().map(|bill| bill.name()).collect();
    let mut view = Map::from_iter([
        ("state".to_owned(), json!(side.state.name())),
        ("accounts".to_owned(), json!(accounts)),
        ("settlement_days".to_owned(), json!(side.settlement_days)),
        ("parts".to_owned(), json!(side.parts)),
        ("parts_done".to_owned(), json!(side.parts_done.len())),
        ("carried".to_owned(), json!(side.carried())),
    ]);
    if let Some(trouble) = &side.trouble {
        view.insert("trouble".to_owned(), json!(trouble));
    }
    Value::Object(view)
}

/// A preview beside the day's run, in short.
fn preview(preview: &Run) -> Value {
    let mut view = Map::from_iter([
        ("run_id".to_owned(), json!(preview.id)),
        ("state".to_owned(), json!(preview.state.name())),
        ("requested_at".to_owned(), requested_at(preview)),
    ]);
    if let Some(trouble) = &preview.trouble {
        view.insert("trouble".to_owned(), json!(trouble));
    }
    Value::Object(view)
}

fn bills(run: &Run) -> Value {
    let read = BillName::ALL
        .into_iter()
        .filter_map(|name| Some((name, run.bills.get(&name)?)));
    let bills = read.map(|(name, facts)| {
        json!({
            "name": name.name(),
            "rows": facts.rows,
            "sha1": facts.sha1,
            "kept_as": facts.kept_as,
        })
    });
    bills.collect()
}

fn totals(run: &Run, breakdown: &Breakdown) -> Value {
    let (of_bill, of_books) = (run.there(), run.here());
    let products: BTreeSet<&String> = of_bill.0.keys().chain(of_books.0.keys()).collect();
    let sums = |side: &BTreeMap<String, Sums>, product: &str| {
        side.get(product).copied().unwrap_or_default()
    };
    let by_product = products.into_iter().map(|product| {
        let mut view = both(&sums(&of_bill.0, product), &sums(&of_books.0, product));
        view.insert("product".to_owned(), json!(product));
        Value::Object(view)
    });
    let by_product: Vec<Value> = by_product.collect();
    let (there, here) = (of_bill.all(), of_books.all());
    let mut view = both(&there, &here);
    view.insert("by_product".to_owned(), json!(by_product));
    if breakdown.is_whole() {
        let by_end = GapStatus::ALL.map(|end| (end.name().to_owned(), gap(breakdown.at(end))));
        view.insert(
            "difference_by".to_owned(),
            Value::Object(Map::from_iter(by_end)),
        );
    }
    Value::Object(view)
}

fn gap(gap: Gap) -> Value {
    json!({
        "payments": gap.payments,
        "paid_fen": gap.paid_fen,
        "refunds": gap.refunds,
        "refunded_fen": gap.refunded_fen,
    })
}

fn both(there: &Sums, here: &Sums) -> Map<String, Value> {
    let mut bill = counts(there);
    for (name, value) in [
        ("settled_fen", json!(there.settled_fen())),
        ("fee_e5", json!(there.fees)),
        ("fee_yuan", json!(decimal_of_e5(there.fees))),
    ] {
        bill.insert(name.to_owned(), value);
    }
    let difference = gap(Gap::between(there, here));
    Map::from_iter([
        ("there".to_owned(), Value::Object(bill)),
        ("here".to_owned(), Value::Object(counts(here))),
        ("difference".to_owned(), difference),
    ])
}

fn counts(sums: &Sums) -> Map<String, Value> {
    Map::from_iter([
        ("payments".to_owned(), json!(sums.payments)),
        ("paid_fen".to_owned(), json!(sums.payments_fen)),
        ("refunds".to_owned(), json!(sums.refunds)),
        ("refunded_fen".to_owned(), json!(sums.refunds_fen)),
    ])
}

fn differences(day: &DayListing) -> Value {
    let by_kind = day.kinds().map(|(kind, count)| (kind.name(), count));
    let by_kind: BTreeMap<&str, usize> = by_kind.collect();
    let by_state = STATES.map(|state| (state.name(), day.in_state(state)));
    let mut view = json!({
        "count": day.len(),
        "is_cut": day.is_cut,
        "needing_somebody": day.needing(),
        "by_kind": by_kind,
        "by_state": BTreeMap::from(by_state),
    });
    if let Some(fields) = view.as_object_mut().filter(|_| day.unreadable > 0) {
        fields.insert("unreadable".to_owned(), json!(day.unreadable));
    }
    view
}

pub(crate) fn list(piece: &ListPage) -> Value {
    let items: Vec<Value> = piece
        .items
        .iter()
        .map(|difference| Value::Object(short(difference)))
        .collect();
    let mut view = Map::from_iter([("differences".to_owned(), json!(items))]);
    if let Some(next) = &piece.next {
        view.insert("next".to_owned(), json!(next));
    }
    Value::Object(view)
}

/// A difference with its history.
pub(crate) fn difference(difference: &Difference) -> Value {
    let mut view = short(difference);
    let history: Vec<Value> = difference.history.iter().map(step).collect();
    view.insert("history".to_owned(), json!(history));
    Value::Object(view)
}

fn short(difference: &Difference) -> Map<String, Value> {
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("id", json!(difference.id));
    put("date", json!(difference.date));
    put("kind", json!(difference.kind.name()));
    put("meaning", json!(difference.kind.meaning()));
    put("what_to_do", json!(text::what_to_do(difference)));
    put("about", json!(difference.about));
    if let Some(many) = &difference.aggregate {
        let (count, amount_fen) = (many.count, many.amount_fen);
        let many = json!({"count": count, "amount_fen": amount_fen, "examples": many.examples});
        put("aggregate", many);
    }
    if let Some(there) = &difference.there {
        put("there", side(there));
    }
    if let Some(here) = &difference.here {
        put("here", side(here));
    }
    put("state", json!(difference.state.name()));
    match difference.state {
        DifferenceState::Proposed | DifferenceState::Approved => {
            put("wanted", json!(difference.wanted))
        }
        DifferenceState::Open
        | DifferenceState::OnItsWay
        | DifferenceState::Repaired
        | DifferenceState::Rejected
        | DifferenceState::Explained => None,
    };
    if let Some(refund) = &difference.refund {
        let view = json!({
            "refund_no": refund.refund_no,
            "stage": refund.stage.name(),
            "to_merchant": refund.to_merchant,
            "payer_owed": refund.owes_its_payer(),
        });
        put("refund", view);
    }
    put("next", json!(text::next(difference)));
    put("version", json!(difference.version));
    view
}

fn side(side: &SideView) -> Value {
    let mut view = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        view.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("amount_fen", side.amount_fen.map(|fen| json!(fen)));
    put("state", side.state.as_ref().map(|state| json!(state)));
    put("at", side.at.map(|at| json!(format_rfc3339_beijing(at))));
    put("note", side.note.as_ref().map(|note| json!(note)));
    for (name, value) in [
        ("currency", &side.currency),
        ("appid", &side.appid),
        ("mchid", &side.mchid),
        ("rate", &side.rate),
    ] {
        put(name, value.as_ref().map(|value| json!(value)));
    }
    put("fee_e5", side.fee_e5.map(|fee| json!(fee)));
    put("fee_yuan", side.fee_e5.map(|fee| json!(decimal_of_e5(fee))));
    Value::Object(view)
}

fn step(step: &HistoryEntry) -> Value {
    let (by, name) = match &step.who {
        Actor::Run(id) => ("run", id),
        Actor::Person(name) => ("person", name),
    };
    let mut view = json!({
        "at": format_rfc3339_beijing(step.at),
        "by": {"kind": by, "id": name},
        "to": step.to.name(),
        "why": step.why,
    });
    if let (Some(decision), Some(fields)) = (step.decision, view.as_object_mut()) {
        fields.insert("decision".to_owned(), json!(decision_name(decision)));
    }
    view
}
