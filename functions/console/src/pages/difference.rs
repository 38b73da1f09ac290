//! The page of one difference: what both sides say, what may be decided, and what happened so far.

use flows::problem::Problem;
use maud::{Markup, html};
use payments::{
    model::{
        ids::ClientId,
        journal::{Cause, Event, Subject},
    },
    reconcile::difference::{
        Actor, Decision, DecisionContext, DecisionRejected, Difference, DifferenceState,
        HistoryEntry, OurSide, PERSONS, REASON_MAX, SideView, SoloExplainLimit,
    },
};
use wechatpay::UnixSeconds;

use super::{
    layout::{alerts, chip, layout, moment, notice},
    list,
};
use crate::{
    daily_run::DailyRun,
    input::{DECISIONS, decision_name},
    money::yuan_of_e5,
    person::Viewer,
    runs::DayAlerts,
    text,
};

/// What the page shows.
pub(crate) struct DifferenceView<'a> {
    pub(crate) viewer: &'a Viewer,
    /// What is wrong with the last days: said before all else.
    pub(crate) alerts: DayAlerts,
    /// When the daily run is due.
    pub(crate) daily_run: DailyRun,
    pub(crate) difference: &'a Difference,
    /// What happened to the order in our books; `None` when that is not known.
    pub(crate) journal: Option<Vec<Event>>,
    pub(crate) now: UnixSeconds,
    /// Who may explain alone.
    pub(crate) explain_alone: SoloExplainLimit,
    /// What was done just now.
    pub(crate) done: Option<&'static str>,
    pub(crate) draft: Option<RejectedForm<'a>>,
}

/// A form that did not hold.
#[derive(Clone, Copy)]
pub(crate) struct RejectedForm<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) you: &'a str,
    pub(crate) why: &'a str,
    pub(crate) client: &'a str,
}

pub(crate) fn difference(view: &DifferenceView<'_>) -> Markup {
    let one = view.difference;
    let name = list::name(one);
    let day = format!("/console/{}", one.date);
    let body = html! {
        (alerts(&view.alerts, None, view.daily_run))
        p.back { a href=(day) { "← " (text::long_day(one.date)) } }
        div.title.left {
            h1 { (one.kind.title()) }
            (chip(text::stands(one)))
        }
        p.lead { (text::sentence(one.kind.meaning())) }
        (notice(view.done))
        @if let Some(draft) = &view.draft {
            div.banner.bad role="alert" {
                div {
                    h2 { (draft.problem.title) }
                    // The page below was read after the answer, so it is up to date.
                    @if draft.problem.code == Problem::STALE {
                        p { "Another person, or a run, changed this difference after you loaded it, and nothing was done. Below is its present state: read it, then decide." }
                    } @else {
                        p { (draft.problem.detail) }
                    }
                }
            }
        }
        div.sides {
            (side("WeChat Pay says", one.there.as_ref()))
            @if one.kind.our_side() == OurSide::Books {
                (side("Our books say", one.here.as_ref()))
            } @else if one.here.as_ref().is_some_and(|rate| rate.fee_e5.is_some()) {
                // Earlier versions did not keep it.
                (side(one.kind.our_side().label(), one.here.as_ref()))
            }
        }
        div.columns {
            section.card {
                @if is_undecided(one.state) {
                    h2 { "What to do" }
                    p { (text::sentence(text::what_to_do(one))) }
                } @else {
                    h2 { "Where it stands" }
                }
                dl.facts {
                    div { dt { "Who acts next" } dd { (text::next(one)) } }
                    @if matches!(one.state, DifferenceState::Proposed | DifferenceState::Approved) {
                        div { dt { "What is decided about" } dd { (text::wanted(one)) } }
                    }
                    @if let Some(refund) = &one.refund {
                        div { dt { "Refund" } dd { code { (refund.refund_no) } " " (text::stage(refund)) } }
                    }
                }
                (form(view))
            }
            section.card {
                h2 { "What it is about" }
                (about(one))
            }
        }
        section.card {
            h2 { "What happened" }
            (timeline(view))
        }
    };
    layout(&format!("{name}, {}", one.date), Some(view.viewer), body)
}

/// Whether a person must or may still decide something.
fn is_undecided(state: DifferenceState) -> bool {
    match state {
        DifferenceState::Open | DifferenceState::Proposed | DifferenceState::Rejected => true,
        DifferenceState::Approved
        | DifferenceState::OnItsWay
        | DifferenceState::Repaired
        | DifferenceState::Explained => false,
    }
}

fn side(title: &str, side: Option<&SideView>) -> Markup {
    html! {
        section.figure {
            h2 { (title) }
            @match side {
                None => { p.sum.nothing { "Nothing" } }
                Some(side) => {
                    @if let Some(amount) = list::amount(side) { p.sum { (amount) } }
                    @if let Some(fee) = side.fee_e5 {
                        p { "Fee " strong { (yuan_of_e5(fee)) } @if let Some(rate) = &side.rate { " at " (rate) } }
                    }
                    @for (name, value) in [
                        ("Currency", &side.currency),
                        ("Appid", &side.appid),
                        ("Merchant number", &side.mchid),
                    ] {
                        @if let Some(value) = value { p { (name) " " code { (value) } } }
                    }
                    @if let Some(state) = &side.state { p { "State " code { (state) } } }
                    @if let Some(at) = side.at { p { "At " (moment(at)) } }
                    @if let Some(note) = &side.note { p { (note) } }
                }
            }
        }
    }
}

fn about(one: &Difference) -> Markup {
    let about = &one.about;
    html! {
        dl.facts {
            @for (name, value) in [
                ("Order", &about.order_no),
                ("Transaction", &about.transaction_id),
                ("Our refund number", &about.out_refund_no),
                ("WeChat Pay’s refund", &about.refund_id),
            ] {
                @if let Some(value) = value {
                    div { dt { (name) } dd { code { (value) } } }
                }
            }
            @if about.bill.is_some() {
                div { dt { "Bill" } dd { (text::which_bill(about.bill)) } }
            }
            @if let Some(line) = about.line {
                div { dt { "Row of the bill" } dd { (line) } }
            }
            div { dt { "Name here" } dd { code { (one.id) } } }
        }
    }
}

/// The allowed decisions, and what prevents this person from taking them.
fn allowed(view: &DifferenceView<'_>) -> Vec<(Decision, Option<DecisionRejected>)> {
    // A name that was typed in can be typed in differently.
    let person = if view.viewer.types_in() {
        "\u{0}"
    } else {
        view.viewer.name().unwrap_or_default()
    };
    let anybody = ClientId::new("whose");
    let deciding = DecisionContext {
        client: Some(&anybody),
        explain_alone: view.explain_alone,
    };
    DECISIONS
        .into_iter()
        .filter_map(|decision| {
            match view
                .difference
                .decided_by_rules(decision, &deciding, person, "why", view.now)
            {
                Ok(_) => Some((decision, None)),
                Err(not @ DecisionRejected::SamePerson) => Some((decision, Some(not))),
                Err(
                    DecisionRejected::WrongState { .. }
                    | DecisionRejected::WrongStage { .. }
                    | DecisionRejected::RefundIsThere { .. }
                    | DecisionRejected::NothingToRefund
                    | DecisionRejected::NothingToRestore
                    | DecisionRejected::RejectFirst
                    | DecisionRejected::PayerOwed
                    | DecisionRejected::PayerHasIt
                    | DecisionRejected::NothingOwed
                    | DecisionRejected::NoClient
                    | DecisionRejected::NoReason,
                ) => None,
            }
        })
        .collect()
}

fn form(view: &DifferenceView<'_>) -> Markup {
    let one = view.difference;
    let allowed = allowed(view);
    if allowed.is_empty() {
        return html! {};
    }
    let draft = |value: fn(&RejectedForm<'_>) -> String| view.draft.as_ref().map(value);
    let you = draft(|draft| draft.you.to_owned())
        .or_else(|| view.viewer.name().map(str::to_owned))
        .unwrap_or_default();
    html! {
        form.decide method="post" action=(format!("/console/{}/differences/{}", one.date, one.id)) {
            // The Enter key presses the first button of a form, so the first one does nothing.
            button type="submit" disabled hidden {}
            input type="hidden" name="version" value=(one.version);
            @if view.viewer.types_in() {
                label for="you" { "You are" }
                input #you name="you" value=(you) required maxlength="128" autocomplete="off" spellcheck="false";
            }
            label for="why" { "Why" }
            textarea #why name="why" required maxlength=(REASON_MAX) rows="3" {
                (draft(|draft| draft.why.to_owned()).unwrap_or_default())
            }
            @if allowed.iter().any(|(decision, _)| *decision == Decision::ProposePaid) {
                label for="client" { "Client whose order it was, only to restore it as paid" }
                input #client name="client" value=(draft(|draft| draft.client.to_owned()).unwrap_or_default())
                    maxlength="128" autocomplete="off" spellcheck="false";
            }
            @for (_, not) in &allowed {
                @if let Some(not) = not {
                    p.hint #same { (text::sentence(&not.to_string())) }
                }
            }
            div.actions {
                @for (position, (decision, not)) in allowed.iter().enumerate() {
                    button.main[position == 0] type="submit" name="decision" value=(decision_name(*decision))
                        disabled[not.is_some()] aria-describedby=[not.as_ref().map(|_| "same")] {
                        (text::button(*decision, one))
                    }
                }
            }
        }
    }
}

/// One thing that happened.
struct TimelineEntry {
    at: UnixSeconds,
    what: String,
    who: Markup,
    why: Option<String>,
    /// Whether it happened to the order, in our books.
    in_the_books: bool,
}

fn timeline(view: &DifferenceView<'_>) -> Markup {
    let one = view.difference;
    let mut steps = Vec::new();
    let (mut before, mut persons) = (None, 0);
    for step in &one.history {
        persons = match (&step.who, step.to) {
            (Actor::Person(_), DifferenceState::Proposed | DifferenceState::Approved) => {
                persons + 1
            }
            (Actor::Person(_), DifferenceState::Explained)
                if step.decision == Some(Decision::Approve) =>
            {
                persons + 1
            }
            (_, DifferenceState::Proposed) => persons,
            (
                _,
                DifferenceState::Open
                | DifferenceState::Approved
                | DifferenceState::OnItsWay
                | DifferenceState::Repaired
                | DifferenceState::Rejected
                | DifferenceState::Explained,
            ) => 0,
        };
        steps.push(TimelineEntry {
            at: step.at,
            what: what(step, before, persons),
            who: by(&step.who),
            why: Some(step.why.clone()),
            in_the_books: false,
        });
        before = Some(step.to);
    }
    let all = in_order(one, steps, view.journal.as_deref().unwrap_or_default());
    html! {
        ol.timeline {
            @for happened in &all {
                li.books[happened.in_the_books] {
                    p.when { (moment(happened.at)) }
                    div {
                        p { strong { (happened.what) } " " span.who { (happened.who) } }
                        @if let Some(why) = &happened.why { p.why { (why) } }
                    }
                }
            }
        }
        @if one.about.order_no.is_some() {
            @match &view.journal {
                None => { p.hint { "What our books say of the order is not shown: there is no such number here, or the table did not answer." } }
                Some(journal) if journal.is_empty() => { p.hint { "Our books have no order of this number." } }
                Some(_) => {
                    @if let Some(order_no) = &one.about.order_no {
                        p { a href=(format!("/console/orders/{order_no}")) { (text::order::TO_THE_ORDER) } }
                    }
                }
            }
        }
    }
}

/// Both lists merged in time order. Each list is ordered; times are whole seconds, so within one
/// second causes come before their effects.
fn in_order(one: &Difference, steps: Vec<TimelineEntry>, events: &[Event]) -> Vec<TimelineEntry> {
    let mut all = Vec::with_capacity(steps.len().saturating_add(events.len()));
    let mut events = events.iter().peekable();
    for (position, (step, shown)) in one.history.iter().zip(steps).enumerate() {
        let approved_later = one
            .history
            .iter()
            .skip(position.saturating_add(1))
            .any(|later| later.to == DifferenceState::Approved && later.at == step.at);
        let is_before = |event: &&Event| {
            // A refund that was opened again and decided about in one second moves by that
            // decision.
            let follows_an_approval = approved_later
                && is_ours(&event.cause)
                && matches!(event.subject, Subject::Refund(_));
            let happened_to_it = position > 0 && is_about_our_books(step) && !follows_an_approval;
            // A run parks a payment and then proposes its refund.
            let led_to_it = is_by_a_run(step) && !matches!(event.subject, Subject::Refund(_));
            let came_first = happened_to_it || led_to_it || !is_ours(&event.cause);
            event.at < step.at || event.at == step.at && came_first
        };
        while let Some(event) = events.next_if(is_before) {
            all.push(of_the_order(event));
        }
        all.push(shown);
    }
    all.extend(events.map(of_the_order));
    all
}

/// Whether a run proposes something by a step.
const fn is_by_a_run(step: &HistoryEntry) -> bool {
    matches!(
        (step.to, &step.who),
        (DifferenceState::Proposed, Actor::Run(_))
    )
}

/// Whether a step reports a change in our books: the change comes before it. Other steps are
/// decisions, and their effects come after them.
const fn is_about_our_books(step: &HistoryEntry) -> bool {
    match step.to {
        DifferenceState::Open | DifferenceState::OnItsWay | DifferenceState::Repaired => true,
        // A run explains what a person said of the payer once that is in the books.
        DifferenceState::Explained => matches!(step.who, Actor::Run(_)),
        DifferenceState::Proposed | DifferenceState::Approved | DifferenceState::Rejected => false,
    }
}

/// Whether a change of our books was made by the reconciliation itself. Others happened before it
/// read them.
const fn is_ours(cause: &Cause) -> bool {
    match cause {
        Cause::Reconciliation(_) => true,
        Cause::Request(_) | Cause::Message(_) | Cause::Notice(_) | Cause::Sweep(_) => false,
    }
}

fn what(step: &HistoryEntry, before: Option<DifferenceState>, persons: usize) -> String {
    match (step.to, before) {
        (_, None) => "Found".to_owned(),
        (DifferenceState::Proposed, Some(before)) if before != DifferenceState::Proposed => {
            let proposed = step.decision.and_then(text::proposed);
            proposed
                .unwrap_or(text::state(DifferenceState::Proposed).0)
                .to_owned()
        }
        (DifferenceState::Proposed, Some(DifferenceState::Proposed)) if persons > 0 => {
            format!("Approved, {persons} of {PERSONS}")
        }
        (DifferenceState::Approved, Some(DifferenceState::Proposed)) => {
            format!("Approved, {persons} of {PERSONS}")
        }
        (DifferenceState::Explained, Some(DifferenceState::Proposed)) if persons > 0 => {
            format!("Explained, {persons} of {PERSONS}")
        }
        (DifferenceState::Approved, Some(DifferenceState::Open)) => {
            text::decided_alone(step.decision).to_owned()
        }
        (to, Some(before)) if to == before => "Noted".to_owned(),
        (DifferenceState::Open, Some(_)) if step.decision == Some(Decision::Reject) => {
            "Rejected".to_owned()
        }
        (DifferenceState::Open, Some(_)) => "Open again".to_owned(),
        (to, Some(_)) => text::state(to).0.to_owned(),
    }
}

fn by(who: &Actor) -> Markup {
    match who {
        Actor::Run(id) => html! { "by run " code { (id) } },
        Actor::Person(name) => html! { "by " (name) },
    }
}

fn of_the_order(event: &Event) -> TimelineEntry {
    let subject = match &event.subject {
        Subject::Order => "Order".to_owned(),
        Subject::Refund(refund_no) => format!("Refund {refund_no}"),
        Subject::Payment(transaction_id) => format!("Payment {transaction_id}"),
    };
    let from = event.from.as_deref();
    let from = from.map_or(String::new(), |from| format!("{from} → "));
    let decision = event.decision.as_ref();
    let decided = decision.map(text::about_refund);
    let decided = decided.map_or(String::new(), |decided| format!(", {decided}"));
    TimelineEntry {
        at: event.at,
        what: format!("{subject}: {from}{}{decided}", event.to),
        who: match decision {
            Some(decision) => html! { "by " (decision.who) },
            None => html! { "by " (event.cause.kind()) " " code { (event.cause.id()) } },
        },
        why: decision.map(|decision| decision.why.clone()),
        in_the_books: true,
    }
}
