//! The signature base: the exact text that is signed (RFC 9421 section 2.5).

use crate::component::Component;
use crate::refusal::Refusal;
use crate::request::Request;

/// A line for each component, then the parameters; LF between lines, none at the end. `params` is
/// the serialised inner list with its parameters in the signer's order.
pub(crate) fn base(
    request: &Request<'_>,
    components: &[Component],
    params: &str,
) -> Result<String, Refusal> {
    let mut text = String::with_capacity(512);
    for component in components {
        text.push('"');
        text.push_str(component.name());
        text.push_str("\": ");
        text.push_str(&component.value(request)?);
        text.push('\n');
    }
    text.push_str("\"@signature-params\": ");
    text.push_str(params);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_the_one_of_rfc_9421_b_2_5() {
        let headers: [(&str, &[u8]); 2] = [
            ("Date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
            ("Content-Type", b"application/json"),
        ];
        let request = Request {
            method: "POST",
            scheme: "https",
            authority: "example.com",
            path: "/foo",
            query: Some("param=Value&Pet=dog"),
            headers: &headers,
            body: br#"{"hello": "world"}"#,
        };
        let components = [
            Component::Field("date".to_owned()),
            Component::Authority,
            Component::Field("content-type".to_owned()),
        ];
        let params =
            r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
        let expected = concat!(
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n",
            "\"@authority\": example.com\n",
            "\"content-type\": application/json\n",
            "\"@signature-params\": (\"date\" \"@authority\" \"content-type\")",
            ";created=1618884473;keyid=\"test-shared-secret\"",
        );
        assert_eq!(base(&request, &components, params).as_deref(), Ok(expected));
    }
}
