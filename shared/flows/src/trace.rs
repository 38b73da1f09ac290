//! The trace that ties an API call, its queue messages and the settlement together: W3C
//! `traceparent`.

use http::{HeaderName, HeaderValue};
use runtime::random::Random;

/// A trace and the parent span of our part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    trace_id: String,
    span_id: String,
}

impl Trace {
    /// Continues the caller's trace if the header is a valid `traceparent` (version 00); otherwise
    /// starts a new one.
    pub fn from_header(header: Option<&str>, random: &Random) -> Self {
        let span_id = hex(&random.bytes::<8>());
        match header.and_then(trace_id_of) {
            Some(trace_id) => Self {
                trace_id: trace_id.to_owned(),
                span_id,
            },
            None => Self {
                trace_id: hex(&random.bytes::<16>()),
                span_id,
            },
        }
    }

    /// The 32 hexadecimal digits that every record of this trace carries.
    pub fn id(&self) -> &str {
        &self.trace_id
    }

    /// The header of an answer, so that the caller can tie its own records to ours.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(&self.traceparent()).ok()?;
        Some((HeaderName::from_static("traceparent"), value))
    }

    /// The header for outgoing calls: the same trace, our own span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// The header for outgoing calls of a trace of which only the id is known.
pub(crate) fn traceparent_of(trace_id: &str, random: &Random) -> String {
    format!("00-{trace_id}-{}-01", hex(&random.bytes::<8>()))
}

fn trace_id_of(header: &str) -> Option<&str> {
    let mut parts = header.split('-');
    let (version, trace_id, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let valid = version == "00"
        && parts.next().is_none()
        && is_hex(trace_id, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2);
    (valid && trace_id.bytes().any(|byte| byte != b'0')).then_some(trace_id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_traceparent_is_continued_and_anything_else_begins_a_new_trace() {
        let random = Random::system();
        let id = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{id}-b7ad6b7169203331-01");
        assert_eq!(Trace::from_header(Some(&good), &random).id(), id);
        assert!(
            Trace::from_header(Some(&good), &random)
                .traceparent()
                .starts_with(&format!("00-{id}-"))
        );
        for bad in [
            "",
            "00-xyz",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            let trace = Trace::from_header(Some(bad), &random);
            assert_ne!(trace.id(), id);
            assert_eq!(trace.id().len(), 32);
        }
    }
}
