//! Span ids of W3C trace context for what the journal records.
//!
//! A span id follows from its trace and from what the span is. So it takes no room in an order's
//! item, which costs twice as much to write beyond 1 KB, and events that an earlier version wrote
//! have one too. Whoever passes a `traceparent` on names a span that the journal has: no parent is
//! made up.

use sha2::{Digest, Sha256};

use crate::model::{cause::Cause, ids::OrderNo};

/// What a span stands for.
#[derive(Clone, Copy, Debug)]
pub enum SpanOf<'a> {
    /// One change of an order: an event of its journal.
    Event { order_no: &'a OrderNo, version: u64 },
    /// The work that a cause started. A message that comes again starts it again: `received`
    /// counts.
    Work { cause: &'a Cause, received: u32 },
    /// A callback was taken: by its notice id.
    Callback { notice_id: &'a str },
}

/// The id of a span: 16 lower-case hexadecimal digits, never all zeros.
pub fn span_id(trace_id: &str, of: SpanOf<'_>) -> String {
    let (kind, id, count) = match of {
        SpanOf::Event { order_no, version } => ("event", order_no.as_str(), version),
        SpanOf::Work { cause, received } => (cause.kind(), cause.id(), u64::from(received)),
        SpanOf::Callback { notice_id } => ("callback", notice_id, 1),
    };
    let digest = Sha256::digest(format!("{trace_id}\n{kind}\n{count}\n{id}"));
    let first = digest
        .iter()
        .take(8)
        .fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    // The specification forbids an id of zeros.
    format!("{:016x}", first.max(1))
}

/// What follows the id of a trace in a record where whoever began it wants no spans kept. It goes
/// along to the webhook, and takes no room in the records of all others. One character, since an
/// item has the trace of each of its events, and beyond 1 KB it costs twice as much to write.
const NOT_SAMPLED: &str = "-";

/// A trace as records have it, by its id and whether its spans are kept.
pub fn trace_text(id: &str, is_sampled: bool) -> String {
    let flags = if is_sampled { "" } else { NOT_SAMPLED };
    format!("{id}{flags}")
}

/// The same, read again. A record of an earlier version says of each trace that it is kept.
pub fn read_trace(text: &str) -> (&str, bool) {
    match text.strip_suffix(NOT_SAMPLED) {
        Some(id) => (id, false),
        None => (text, true),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_span_id_is_the_same_wherever_it_is_worked_out() {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let event = SpanOf::Event {
            order_no: &order_no,
            version: 2,
        };
        // The release before this one and the next one must name the same span.
        assert_eq!(span_id(TRACE, event), "b769827d5fe15f09");
    }

    #[test]
    fn a_trace_is_kept_by_its_id_and_with_its_flags_where_nobody_wants_its_spans() {
        for (is_sampled, text) in [(true, TRACE.to_owned()), (false, format!("{TRACE}-"))] {
            assert_eq!(trace_text(TRACE, is_sampled), text);
            assert_eq!(read_trace(&text), (TRACE, is_sampled));
        }
    }

    #[test]
    fn no_two_spans_of_an_orders_way_have_one_id() {
        let order_no = OrderNo::parse("000001").expect("a number");
        let causes = [
            Cause::Request("000001".to_owned()),
            Cause::Message("1".to_owned()),
            Cause::Notice("1".to_owned()),
            Cause::Sweep("1".to_owned()),
            Cause::Reconciliation("1".to_owned()),
        ];
        let mut ids = Vec::new();
        for trace in [TRACE, "4bf92f3577b34da6a3ce929d0e0e4736"] {
            ids.push(span_id(trace, SpanOf::Callback { notice_id: "1" }));
            for n in 1..4 {
                ids.push(span_id(
                    trace,
                    SpanOf::Event {
                        order_no: &order_no,
                        version: n,
                    },
                ));
                for cause in &causes {
                    let received = u32::try_from(n).expect("small");
                    ids.push(span_id(trace, SpanOf::Work { cause, received }));
                }
            }
        }
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        for id in &ids {
            assert_eq!(id.len(), 16);
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
            );
        }
    }
}
