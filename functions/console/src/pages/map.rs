//! The service map, as a picture and as tables for whoever cannot see one.

use maud::{Markup, html};
use service_map::{
    map::{Health, MapEdge, MapNode, ServiceMap, grouped},
    nodes::{Node, NodeKind},
};
use wechatpay::UnixSeconds;

use super::layout::{layout, moment};
use crate::{
    person::Viewer,
    text::map::{self as words, NoMap},
};

// Units of the drawing, about a pixel each on a wide screen.
const COLUMN: i64 = 186;
const QUARTER: i64 = 22;
const WIDTH: i64 = 164;
const HEIGHT: i64 = 58;
const EDGE: i64 = 8;
const COLUMNS: i64 = 7;
const QUARTERS: i64 = 24;

/// The last hour.
pub(crate) fn map(viewer: &Viewer, map: &ServiceMap) -> Markup {
    let body = html! {
        div.title.left { h1 { (words::TITLE) } }
        p.lead { (words::LEAD) }
        p.meta {
            "From " (moment(UnixSeconds(map.from_s))) " to " (moment(UnixSeconds(map.until_s))) " in Beijing. "
            a href="/console/map" { "Load it again" }
        }
        @if map.unfinished > 0 {
            section.banner.wait role="alert" {
                div {
                    p { (words::unfinished(map.unfinished)) }
                    @for message in &map.messages { p.meta { (message) } }
                }
            }
        }
        @if map.is_empty() { p.empty { (words::EMPTY) } }
        section.card { (picture(map)) (legend()) p.hint { (words::TOGETHER) } }
        section.card { h2 { (words::ARROWS) } (arrows(map)) }
        section.card { h2 { (words::PARTS) } (parts(map)) }
    };
    layout(words::TITLE, Some(viewer), body)
}

/// CloudWatch was asked in vain.
pub(crate) fn no_map(viewer: &Viewer, why: &NoMap) -> Markup {
    let body = html! {
        div.title.left { h1 { (words::TITLE) } }
        section.banner.bad role="alert" {
            div {
                h2 { (words::NO_MAP) }
                p { (why.cause) }
                p { (why.next) }
            }
            a.button href="/console/map" { "Load it again" }
        }
    };
    layout(words::TITLE, Some(viewer), body)
}

/// Where a part stands: its column, and its row in quarters of one.
const fn place(node: Node) -> (i64, i64) {
    match node {
        Node::Clients => (0, 0),
        Node::Notifier => (0, 6),
        Node::Staff => (0, 12),
        Node::Api => (1, 6),
        Node::CreateOrder => (2, 0),
        Node::ManageOrder => (2, 4),
        Node::ReceiveCallback => (2, 8),
        Node::Console => (2, 12),
        Node::PaymentRequests => (3, 2),
        Node::PaymentResults => (3, 8),
        Node::ReconcileWork => (3, 13),
        Node::Scheduler => (3, 17),
        Node::ProcessPayment => (4, 5),
        Node::Reconcile => (4, 13),
        Node::Prepay => (5, 0),
        Node::Queries => (5, 4),
        Node::Refunds => (5, 8),
        Node::Bills => (5, 12),
        Node::MainHost => (6, 3),
        Node::BackupHost => (6, 9),
        Node::Kms => (5, 16),
        Node::Orders => (5, 20),
        Node::Pipe => (4, 21),
        Node::Bus => (3, 21),
        Node::Webhooks => (2, 21),
        Node::SendWebhook => (1, 21),
        Node::Receivers => (0, 21),
    }
}

/// The upper left corner of a part.
const fn corner(node: Node) -> (i64, i64) {
    let (column, quarters) = place(node);
    (EDGE + column * COLUMN, EDGE + quarters * QUARTER)
}

fn picture(map: &ServiceMap) -> Markup {
    let width = EDGE * 2 + (COLUMNS - 1) * COLUMN + WIDTH;
    let height = EDGE * 2 + (QUARTERS - 3) * QUARTER + HEIGHT;
    html! {
        div.chart.map tabindex="0" role="region" aria-label=(words::PICTURE) {
            svg viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(words::PICTURE) {
                @for edge in by_weight(map) {
                    g { title { (told(edge)) } @for from in &edge.from { (arrow(*from, edge)) } }
                }
                @for node in &map.nodes { (part(map, node)) }
            }
        }
    }
}

/// Those with failures last, so that they lie above the others.
fn by_weight(map: &ServiceMap) -> Vec<&MapEdge> {
    let mut edges: Vec<&MapEdge> = map.edges.iter().collect();
    edges.sort_by_key(|edge| match edge.health {
        Health::Quiet => 0,
        Health::NotMeasured => 1,
        Health::Good => 2,
        Health::Unknown => 3,
        Health::Few => 4,
        Health::Many => 5,
    });
    edges
}

fn arrow(from: Node, edge: &MapEdge) -> Markup {
    let ((from_x, from_y), (to_x, to_y)) = (corner(from), corner(edge.to));
    let middle = HEIGHT / 2;
    let class = words::class(edge.health);
    let (line, head) = if from_x == to_x {
        // From below, or from above.
        let x = from_x + WIDTH / 2;
        let (from_y, to_y, tip) = if from_y > to_y {
            (from_y, to_y + HEIGHT, 8)
        } else {
            (from_y + HEIGHT, to_y, -8)
        };
        (
            format!("M{x} {from_y}V{}", to_y + tip),
            format!("M{x} {to_y}l-4.5 {tip}h9z"),
        )
    } else {
        // Those that lead back lie a bit lower than those that lead on.
        let (from_x, to_x, tip, lower) = if from_x < to_x {
            (from_x + WIDTH, to_x, -8, 0)
        } else {
            (from_x, to_x + WIDTH, 8, 14)
        };
        let (from_y, to_y) = (from_y + middle + lower, to_y + middle + lower);
        let end = to_x + tip;
        let bend = if tip < 0 { 1 } else { -1 } * ((end - from_x).abs() / 2).clamp(6, 60);
        (
            format!(
                "M{from_x} {from_y}C{} {from_y} {} {to_y} {end} {to_y}",
                from_x + bend,
                end - bend
            ),
            format!("M{to_x} {to_y}l{tip} -4.5v9z"),
        )
    };
    html! {
        path.arrow.(class) d=(line) {}
        path.head.(class) d=(head) {}
    }
}

fn part(map: &ServiceMap, node: &MapNode) -> Markup {
    let (x, y) = corner(node.node);
    let class = match node.kind {
        NodeKind::Outside => "outside",
        NodeKind::Function => "function",
        NodeKind::Queue => "queue",
        NodeKind::Service => "service",
        NodeKind::Interface => "interface",
    };
    let round = match node.kind {
        NodeKind::Function | NodeKind::Interface => 10,
        NodeKind::Outside => 28,
        NodeKind::Queue | NodeKind::Service => 2,
    };
    let edges: Vec<&MapEdge> = map.arrows_to(node.node).collect();
    let wrong = wrong_words(node);
    html! {
        g.part.(class).wrong[wrong.is_some()] {
            title { (node.name) @for edge in &edges { "; " (told(edge)) } }
            rect.box x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx=(round) {}
            text.name x=(x + 12) y=(y + 18) { (node.name) }
            @for (line, edge) in (0_i64..2).zip(&edges) {
                text.(words::class(edge.health)) x=(x + 12) y=(y + 34 + line * 16) { (short(edge)) }
            }
            @match (wrong, edges.as_slice()) {
                (Some(wrong), _) if edges.len() < 2 => {
                    text.many x=(x + 12) y=(y + 50) { "! " (wrong) }
                }
                (_, [edge]) => {
                    @if let Some(times) = edge.times { text x=(x + 12) y=(y + 50) { (times.words()) } }
                }
                _ => {}
            }
        }
    }
}

/// `1,234/h, 0.1 % failed`.
fn short(edge: &MapEdge) -> String {
    let Some(calls) = edge.calls else {
        return words::UNKNOWN.to_owned();
    };
    let calls = format!("{}/h", compact(calls));
    match (edge.health, edge.share()) {
        (Health::Few | Health::Many, Some(share)) => format!("{calls}, {share} failed"),
        _ => calls,
    }
}

/// A number that has room in a part: `1.2M`. The table has all its digits.
fn compact(number: u64) -> String {
    match number {
        0..100_000 => grouped(number),
        100_000..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}.{}M", grouped(number / 1_000_000), number / 100_000 % 10),
    }
}

/// All of an arrow in a sentence.
fn told(edge: &MapEdge) -> String {
    let from: Vec<&str> = edge.from.iter().map(|node| node.name()).collect();
    let mut text = format!(
        "{} → {}: {} {}",
        from.join(", "),
        edge.to.name(),
        known(edge.calls),
        edge.counted
    );
    if let Some(failed) = failed_words(edge) {
        text.push_str(&format!(", {failed} failed"));
    }
    if let Some(times) = edge.times {
        text.push_str(&format!(", {}", times.words()));
    }
    text
}

/// A figure, or that it is not known.
fn known(figure: Option<u64>) -> String {
    figure.map_or_else(|| words::UNKNOWN.to_owned(), grouped)
}

/// `12 (0.1 %)`. `None` where it is not measured, or nothing was called.
fn failed_words(edge: &MapEdge) -> Option<String> {
    match (edge.failed, edge.share()) {
        (Some(0), Some(_)) => Some("0".to_owned()),
        (Some(failed), Some(share)) => Some(format!("{} ({share})", grouped(failed))),
        (Some(_), None) if edge.health == Health::Unknown => Some(known(edge.failed)),
        (None, _) if edge.health == Health::Unknown => Some(words::UNKNOWN.to_owned()),
        (Some(_) | None, _) => None,
    }
}

/// What of a part wants a look.
fn wrong_words(node: &MapNode) -> Option<String> {
    let wrong = node.figures.iter();
    let wrong = wrong.filter(|one| one.is_bad());
    let wrong: Vec<String> = wrong
        .map(|one| format!("{} {}", known(one.value), one.figure.words()))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

fn legend() -> Markup {
    let all = [
        Health::Good,
        Health::Few,
        Health::Many,
        Health::NotMeasured,
        Health::Quiet,
        Health::Unknown,
    ];
    html! {
        ul.legend.map {
            @for health in all {
                @let class = words::class(health);
                li {
                    svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true" {
                        path.arrow.(class) d="M0 6H26" {}
                        path.head.(class) d="M34 6l-8 -4.5v9z" {}
                    }
                    (words::sample(health))
                }
            }
        }
    }
}

fn arrows(map: &ServiceMap) -> Markup {
    html! {
        div.chart.map tabindex="0" role="region" aria-label=(words::ARROWS) {
            table.steps {
                thead { tr { @for name in words::ARROW_COLUMNS { th scope="col" { (name) } } } }
                tbody {
                    @for edge in &map.edges {
                        tr {
                            td { @for (place, from) in edge.from.iter().enumerate() { @if place > 0 { ", " } (from.name()) } }
                            td { (edge.to.name()) }
                            td { (edge.counted) }
                            td { @if edge.is_at_least() { (words::AT_LEAST) } (known(edge.calls)) }
                            td.bad[edge.health == Health::Many] { (failed_words(edge).unwrap_or_default()) }
                            td { @if let Some(times) = edge.times { (times.words()) } }
                        }
                    }
                }
            }
        }
    }
}

fn parts(map: &ServiceMap) -> Markup {
    html! {
        div.chart.map tabindex="0" role="region" aria-label=(words::PARTS) {
            table.steps {
                thead { tr { @for name in words::PART_COLUMNS { th scope="col" { (name) } } } }
                tbody {
                    @for node in map.nodes.iter().filter(|node| !node.figures.is_empty()) {
                        tr {
                            td { (node.name) }
                            td.bad[node.is_bad()] {
                                @for (place, one) in node.figures.iter().enumerate() {
                                    @if place > 0 { ", " }
                                    (known(one.value)) " " (one.figure.words())
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_part_is_short_however_large_it_is() {
        for (number, text) in [
            (0, "0"),
            (99_999, "99,999"),
            (123_456, "123k"),
            (1_234_567, "1.2M"),
            (98_765_432, "98.7M"),
        ] {
            assert_eq!(compact(number), text);
        }
    }
}
