//! A request as it is signed and verified.

use crate::limits::COMPONENT_VALUE_MAX;
use crate::refusal::Refusal;

/// A request as it is signed and verified: everything as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, as sent (methods are case-sensitive).
    pub method: &'a str,
    /// `https` or `http`, in lower case: the scheme of the client's request. It is not part of the
    /// HTTP message, so the caller must know it. It only matters for a signature that covers
    /// `@target-uri`.
    pub scheme: &'a str,
    /// Host and port that the client asked for: the `Host` or `:authority` field.
    pub authority: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// The query without its `?`; `None` if the target has no `?`.
    pub query: Option<&'a str>,
    /// Header fields in order, a pair for each line. Names in any case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The content as sent; empty if there is none.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// A header field's value as it is signed: each line trimmed, lines joined by `, ` (RFC 9421
    /// section 2.1); `None` if the request lacks it. A handler that reads a covered field this way
    /// acts on what was signed.
    ///
    /// # Errors
    /// [`Refusal::UnreadableComponent`] for anything but visible ASCII, spaces and tabs;
    /// [`Refusal::TooLong`].
    pub fn field(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut joined: Option<String> = None;
        for (_, value) in self
            .headers
            .iter()
            .filter(|(line, _)| line.eq_ignore_ascii_case(name))
        {
            let text = readable(name, value)?.trim_matches([' ', '\t']);
            let joined = match &mut joined {
                None => joined.insert(String::new()),
                Some(earlier) => {
                    earlier.push_str(", ");
                    earlier
                }
            };
            joined.push_str(text);
            if joined.len() > COMPONENT_VALUE_MAX {
                return Err(Refusal::TooLong {
                    what: "a header field",
                    limit: COMPONENT_VALUE_MAX,
                });
            }
        }
        Ok(joined)
    }

    /// Whether a header field is there, with any value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(line, _)| line.eq_ignore_ascii_case(name))
    }
}

/// The value as text, if it is visible ASCII with spaces and tabs. A line break in a value would
/// let one component pass for two in the signature base.
pub(crate) fn readable<'v>(component: &str, value: &'v [u8]) -> Result<&'v str, Refusal> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t')
        })
        .ok_or_else(|| Refusal::UnreadableComponent {
            component: component.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_headers<'a>(headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
        Request {
            method: "GET",
            scheme: "https",
            authority: "example.com",
            path: "/",
            query: None,
            headers,
            body: b"",
        }
    }

    #[test]
    fn lines_of_one_field_are_trimmed_and_joined_in_order() {
        let headers: [(&str, &[u8]); 4] = [
            ("Cache-Control", b"  max-age=60 "),
            ("X-Other", b"x"),
            ("cache-control", b"\tmust-revalidate"),
            ("X-Empty", b""),
        ];
        let request = with_headers(&headers);
        assert_eq!(
            request.field("cache-control"),
            Ok(Some("max-age=60, must-revalidate".to_owned()))
        );
        assert_eq!(request.field("x-empty"), Ok(Some(String::new())));
        assert_eq!(request.field("x-absent"), Ok(None));
    }

    #[test]
    fn a_value_with_a_line_break_or_foreign_letters_is_refused() {
        for value in [
            b"a\nb".as_slice(),
            b"a\r",
            "\u{e9}".as_bytes(),
            b"\xff",
            b"\0",
            b"\x7f",
        ] {
            let headers = [("prefer", value)];
            let refusal = with_headers(&headers).field("prefer").unwrap_err();
            assert_eq!(
                refusal,
                Refusal::UnreadableComponent {
                    component: "prefer".to_owned()
                },
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_field_is_too_long_even_if_each_line_is_short() {
        let line = [b'x'; 1000];
        let headers = [("prefer", line.as_slice()); 9];
        assert_eq!(
            with_headers(&headers).field("prefer").unwrap_err().name(),
            "signature_too_long"
        );
    }
}
