//! The trace that ties an API call, its queue messages, the settlement and its webhooks together:
//! W3C Trace Context.
//!
//! Span ids follow from what the journal records ([`payments::model::trace`]), so each
//! `traceparent` that leaves names a span that can be found again. `tracestate` is its writers'
//! own: it goes along unread with messages, and not into the tables, where it would double the
//! price of an order's writes.

use http::{HeaderName, HeaderValue};
use payments::model::{
    ids::OrderNo,
    journal::{Cause, Event},
    trace::{SpanOf, span_id},
};
use runtime::{random::Random, spans::SpanContext};
use stores::queues::TraceHeaders;

/// A trace and our own span in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    trace_id: String,
    span_id: String,
    flags: u8,
    state: Option<String>,
    parent: Option<Box<Trace>>,
}

/// The flags of a trace that begins here: sampled, since the journal records it.
const SAMPLED: u8 = 1;
/// The flags that the specification defines: sampled, and a random trace id. Others must be sent as
/// zero.
const KNOWN_FLAGS: u8 = 3;
/// Length of a `traceparent` of version 00. One of a later version begins with the same.
const LENGTH: usize = 55;
/// A longer `tracestate` is dropped. The specification asks to pass on at least 512 characters.
const STATE_MAX: usize = 512;
/// So many entries a `tracestate` may have.
const STATE_ENTRIES_MAX: usize = 32;

impl Trace {
    /// Continues the caller's trace if the header is a valid `traceparent`; otherwise starts a new
    /// one, for which the caller's `tracestate` means nothing.
    pub fn from_headers(
        traceparent: Option<&str>,
        tracestate: Option<&str>,
        random: &Random,
    ) -> Self {
        let span_id = hex(&random.bytes::<8>());
        match traceparent.and_then(read) {
            Some(caller) => Self {
                trace_id: caller.trace_id.clone(),
                span_id,
                flags: caller.flags,
                state: tracestate
                    .filter(|state| is_valid_state(state))
                    .map(str::to_owned),
                parent: Some(Box::new(caller)),
            },
            None => Self {
                trace_id: hex(&random.bytes::<16>()),
                span_id,
                flags: SAMPLED,
                state: None,
                parent: None,
            },
        }
    }

    /// The span that a `traceparent` names; `None` if it is none.
    pub fn sent(traceparent: &str) -> Option<Self> {
        read(traceparent)
    }

    /// A trace that begins here.
    pub fn new(random: &Random) -> Self {
        Self::from_headers(None, None, random)
    }

    /// The same trace, with the span of the work that this cause started.
    #[must_use]
    pub fn of_work(&self, cause: &Cause, received: u32) -> Self {
        self.with_span(SpanOf::Work { cause, received })
    }

    /// The same trace, with the span of a callback that was taken.
    #[must_use]
    pub fn of_callback(&self, notice_id: &str) -> Self {
        self.with_span(SpanOf::Callback { notice_id })
    }

    /// The trace and the span of an event of the journal: the parent of what comes of it. If the
    /// event is of this trace, its flags and state stay; otherwise the journal knows of both only
    /// whether spans are kept.
    #[must_use]
    pub fn of_event(&self, order_no: &OrderNo, event: &Event) -> Self {
        let is_ours = event.trace == self.trace_id;
        Self {
            trace_id: event.trace.clone(),
            span_id: event.span_id(order_no),
            flags: match event.is_sampled {
                _ if is_ours => self.flags,
                true => SAMPLED,
                false => 0,
            },
            state: self.state.clone().filter(|_| is_ours),
            parent: None,
        }
    }

    fn with_span(&self, of: SpanOf<'_>) -> Self {
        Self {
            span_id: span_id(&self.trace_id, of),
            ..self.clone()
        }
    }

    /// The span that this one continues, if it does not begin the trace.
    pub fn parent(&self) -> Option<&Self> {
        self.parent.as_deref()
    }

    /// The 32 hexadecimal digits that every record of this trace carries.
    pub fn id(&self) -> &str {
        &self.trace_id
    }

    /// The 16 hexadecimal digits of our own span.
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// Whether whoever began the trace asked for its spans to be kept.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `tracestate` that came with it.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The ids of our own span, for its export; `None` if whoever began the trace wants none kept.
    pub fn context(&self) -> Option<SpanContext> {
        let context = SpanContext::parse(&self.trace_id, &self.span_id);
        context.filter(|_| self.is_sampled())
    }

    /// The same of the span that this one continues.
    pub fn parents_context(&self) -> Option<SpanContext> {
        self.parent().and_then(Self::context)
    }

    /// The header of an answer, so that the caller can tie its own records to ours.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(&self.traceparent()).ok()?;
        Some((HeaderName::from_static("traceparent"), value))
    }

    /// The header for outgoing calls: the same trace, our own span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }

    /// What a message carries on.
    pub fn headers(&self) -> TraceHeaders {
        TraceHeaders {
            traceparent: self.traceparent(),
            tracestate: self.state.clone(),
        }
    }
}

/// A `traceparent`. One of a later version is read as far as version 00 goes, as the specification
/// says.
fn read(header: &str) -> Option<Trace> {
    let (known, more) = header.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let (version, trace_id, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let is_whole = match version {
        "ff" => false,
        "00" => more.is_empty(),
        _ => more.is_empty() || more.starts_with('-'),
    };
    let valid = is_hex(version, 2)
        && is_whole
        && parts.next().is_none()
        && is_id(trace_id, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2);
    let flags = u8::from_str_radix(flags, 16).ok()? & KNOWN_FLAGS;
    valid.then(|| Trace {
        trace_id: trace_id.to_owned(),
        span_id: parent.to_owned(),
        flags,
        state: None,
        parent: None,
    })
}

/// Whether a `tracestate` may be passed on: a list of `key=value` in printable characters.
fn is_valid_state(state: &str) -> bool {
    let entries = || {
        state
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    };
    state.len() <= STATE_MAX
        && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && (1..=STATE_ENTRIES_MAX).contains(&entries().count())
        && entries().all(|entry| {
            entry
                .split_once('=')
                .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
        })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn from(traceparent: &str, tracestate: Option<&str>) -> Trace {
        Trace::from_headers(Some(traceparent), tracestate, &Random::system())
    }

    #[test]
    fn a_valid_traceparent_is_continued_under_a_span_of_our_own() {
        let trace = from(&format!("00-{ID}-{SPAN}-01"), None);
        assert_eq!(trace.id(), ID);
        assert_ne!(trace.span_id(), SPAN);
        let parent = trace.parent().expect("the caller's span");
        assert_eq!((parent.id(), parent.span_id()), (ID, SPAN));
        assert_eq!(
            trace.traceparent(),
            format!("00-{ID}-{}-01", trace.span_id())
        );
    }

    #[test]
    fn one_of_a_later_version_is_read_as_far_as_ours_goes_and_passed_on_as_ours() {
        for later in [
            format!("01-{ID}-{SPAN}-01"),
            format!("cc-{ID}-{SPAN}-01-what-the-future-will-be-like"),
        ] {
            let trace = from(&later, None);
            assert_eq!(trace.id(), ID, "{later}");
            assert!(trace.traceparent().starts_with("00-"));
        }
    }

    #[test]
    fn anything_else_begins_a_new_trace() {
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            "00-xyz".to_owned(),
            format!("ff-{ID}-{SPAN}-01"),
            format!("0g-{ID}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{ID}-{SPAN}-0x"),
            format!("00-{ID}-{SPAN}-01-more"),
            format!("01-{ID}-{SPAN}-01more"),
            format!("00-{}-{SPAN}-01", ID.to_uppercase()),
            format!("00_{ID}_{SPAN}_01"),
            format!(" 00-{ID}-{SPAN}-01"),
            "\u{e9}".repeat(28),
        ] {
            let trace = from(&bad, Some("vendor=1"));
            assert_ne!(trace.id(), ID, "{bad}");
            assert_eq!((trace.id().len(), trace.parent()), (32, None), "{bad}");
            assert_eq!(trace.headers().tracestate, None, "{bad}");
            assert!(trace.is_sampled());
        }
    }

    #[test]
    fn the_caller_s_flags_are_passed_on_and_unknown_ones_are_not() {
        for (sent, passed_on, sampled) in [
            ("00", "00", false),
            ("01", "01", true),
            ("02", "02", false),
            ("03", "03", true),
            ("fd", "01", true),
            ("fc", "00", false),
        ] {
            let trace = from(&format!("00-{ID}-{SPAN}-{sent}"), None);
            assert!(trace.traceparent().ends_with(&format!("-{passed_on}")));
            assert_eq!(trace.is_sampled(), sampled, "{sent}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_on_unchanged_unless_it_is_none() {
        let longest = format!("a={}", "x".repeat(STATE_MAX - 2));
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        for (state, passes) in [
            ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", true),
            ("congo = t61 , , rojo=1", true),
            (longest.as_str(), true),
            (&format!("{longest}x"), false),
            (&many.join(","), false),
            ("", false),
            ("no-value", false),
            ("=1", false),
            ("a=\u{e9}", false),
            ("a=\n", false),
        ] {
            let trace = from(&format!("00-{ID}-{SPAN}-01"), Some(state));
            assert_eq!(trace.id(), ID);
            let expected = passes.then(|| state.to_owned());
            assert_eq!(trace.headers().tracestate, expected, "{state}");
        }
    }

    #[test]
    fn the_span_of_work_and_of_a_callback_follow_from_the_trace_and_what_they_are() {
        let trace = from(&format!("00-{ID}-{SPAN}-00"), Some("a=1"));
        let cause = Cause::Message("m-1".to_owned());
        let work = trace.of_work(&cause, 2);
        let again = from(&format!("00-{ID}-{SPAN}-00"), Some("a=1")).of_work(&cause, 2);
        assert_eq!(work, again);
        assert_ne!(work.span_id(), trace.of_work(&cause, 3).span_id());
        assert_ne!(work.span_id(), trace.of_callback("m-1").span_id());
        assert_eq!(work.headers().tracestate.as_deref(), Some("a=1"));
        assert_eq!(work.parent(), trace.parent());
        assert!(!work.is_sampled());
    }
}
