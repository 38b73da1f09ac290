//! Words of the page of one order.

use payments::rules::waterfall::SpanKind;

pub(crate) const TITLE: &str = "An order’s way";
pub(crate) const LEAD: &str = "From its journal: which function worked when, what waited in which queue, and who brought the news. Widths grow with the logarithm of the time, the times are exact.";
pub(crate) const ROUGH: &str =
    "Steps with ~ are from an earlier version of this system, which kept seconds only.";
pub(crate) const NO_ORDER: &str = "Our books have no order of this number.";
pub(crate) const TO_THE_ORDER: &str = "The order’s way, as a picture";
pub(crate) const TO_THE_MAP: &str = "How all parts did in the last hour: the service map";
pub(crate) const PICTURE: &str =
    "The order’s way, one line for each step; the table below has the same";

/// The names of the columns.
pub(crate) const COLUMNS: [&str; 5] = ["When", "After", "Took", "Where", "What"];

/// What a colour of the picture means.
pub(crate) const fn sample(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Callback => "WeChat Pay’s callback was taken",
        SpanKind::Queue => "A message waited",
        SpanKind::Work => "A function worked",
        SpanKind::Event => "Something changed",
    }
}

/// A span of another trace.
pub(crate) fn linked(trace_id: &str) -> String {
    format!("linked to trace {trace_id}")
}
