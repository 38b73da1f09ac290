//! Message components: the parts of a request that a signature can cover (RFC 9421 section 2).

use sfv::{Item, Parameters};

use crate::limits::{COMPONENT_NAME_MAX, COMPONENT_VALUE_MAX, COMPONENTS_MAX};
use crate::refusal::Refusal;
use crate::request::{Request, readable};

/// A component that can be covered here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Component {
    Method,
    Authority,
    Path,
    Query,
    /// Scheme, authority, path and query in one.
    TargetUri,
    /// A whole header field, by its lower-case name.
    Field(String),
}

impl Component {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Method => "@method",
            Self::Authority => "@authority",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::TargetUri => "@target-uri",
            Self::Field(name) => name,
        }
    }

    /// Reads a component's name. A field name is a lower-case token (RFC 9421 section 2.1, RFC 9110
    /// section 5.6.2).
    pub(crate) fn parse(name: &str) -> Result<Self, Refusal> {
        if name.len() > COMPONENT_NAME_MAX {
            return Err(Refusal::TooLong {
                what: "a covered component's name",
                limit: COMPONENT_NAME_MAX,
            });
        }
        let unsupported = |reason| {
            Err(Refusal::UnsupportedComponent {
                component: name.to_owned(),
                reason,
            })
        };
        match name {
            "@method" => Ok(Self::Method),
            "@authority" => Ok(Self::Authority),
            "@path" => Ok(Self::Path),
            "@query" => Ok(Self::Query),
            "@target-uri" => Ok(Self::TargetUri),
            other if other.starts_with('@') => unsupported(
                "of the derived components only @method, @authority, @path, @query and @target-uri are",
            ),
            upper if upper.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                unsupported("names are in lower case")
            }
            field if !field.is_empty() && field.bytes().all(is_token) => {
                Ok(Self::Field(field.to_owned()))
            }
            _ => unsupported("it is not the name of a header field"),
        }
    }

    /// Whether a signature that covers this component covers the one of that name by it.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.name() == name
            || (*self == Self::TargetUri && ["@authority", "@path", "@query"].contains(&name))
    }

    /// The component's value in this request.
    pub(crate) fn value(&self, request: &Request<'_>) -> Result<String, Refusal> {
        let value = match self {
            Self::Method => request.method.to_owned(),
            Self::Authority => authority(request.authority),
            Self::Path if request.path.is_empty() => "/".to_owned(),
            Self::Path => request.path.to_owned(),
            Self::Query => format!("?{}", request.query.unwrap_or_default()),
            Self::TargetUri => target_uri(request)?,
            Self::Field(name) => {
                let absent = || Refusal::ComponentAbsent {
                    component: name.clone(),
                };
                return request.field(name)?.ok_or_else(absent);
            }
        };
        if value.len() > COMPONENT_VALUE_MAX {
            return Err(Refusal::TooLong {
                what: "a covered component's value",
                limit: COMPONENT_VALUE_MAX,
            });
        }
        readable(self.name(), value.as_bytes())?;
        Ok(value)
    }
}

/// Reads the list of covered components.
pub(crate) fn read_all(items: &[Item]) -> Result<Vec<Component>, Refusal> {
    if items.len() > COMPONENTS_MAX {
        return Err(Refusal::TooLong {
            what: "the list of covered components",
            limit: COMPONENTS_MAX,
        });
    }
    let mut components: Vec<Component> = Vec::with_capacity(items.len());
    for item in items {
        let component = read(item)?;
        if components.contains(&component) {
            return Err(Refusal::RepeatedComponent {
                component: component.name().to_owned(),
            });
        }
        components.push(component);
    }
    Ok(components)
}

fn read(item: &Item) -> Result<Component, Refusal> {
    let Some(name) = item.bare_item.as_string() else {
        return Err(Refusal::UnsupportedComponent {
            component: String::new(),
            reason: "the name of a component is a string in double quotes",
        });
    };
    let component = Component::parse(name.as_str())?;
    if item.params == Parameters::new() {
        return Ok(component);
    }
    // `sf`, `key`, `bs`, `req`, `tr`: each makes the signed value something else than what a
    // handler reads.
    Err(Refusal::UnsupportedComponent {
        component: component.name().to_owned(),
        reason: "components with parameters are not",
    })
}

/// Host and port as RFC 9421 section 2.2.3 normalises them: lower case, the scheme's default port
/// left out. Behind a gateway the scheme is not known for certain, so the default ports of http and
/// https are both left out; a client that speaks http to port 443, or https to port 80, is refused.
fn authority(sent: &str) -> String {
    let lower = sent.to_ascii_lowercase();
    let host = lower
        .strip_suffix(":443")
        .or_else(|| lower.strip_suffix(":80"));
    host.map(ToOwned::to_owned).unwrap_or(lower)
}

/// The absolute URI that was asked for (RFC 9421 section 2.2.2), with the host in lower case,
/// without the scheme's own port, and with `/` for an empty path. A fragment is never sent, so
/// there is none.
///
/// It is one text of several parts of the request. A part with a delimiter in it that belongs to
/// another could be cut in another way by who is on the way, and still give the same text: that is
/// refused.
fn target_uri(request: &Request<'_>) -> Result<String, Refusal> {
    let refused = |reason| Refusal::UnsupportedComponent {
        component: "@target-uri".to_owned(),
        reason,
    };
    let (scheme, port) = match request.scheme {
        "https" => ("https", ":443"),
        "http" => ("http", ":80"),
        _ => return Err(refused("the scheme is neither https nor http")),
    };
    let host = request.authority.to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    if host.is_empty() || host.contains(['/', '?', '#', '@', '\\', ' ', '\t']) {
        return Err(refused("the request has no plain host"));
    }
    let path = match request.path {
        "" => "/",
        path if path.starts_with('/') && !path.contains(['?', '#']) => path,
        _ => return Err(refused("the path is not absolute, or not only a path")),
    };
    match request.query {
        Some(query) if query.contains('#') => Err(refused("the query is not only a query")),
        Some(query) => Ok(format!("{scheme}://{host}{path}?{query}")),
        None => Ok(format!("{scheme}://{host}{path}")),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(
        component: &Component,
        authority: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<String, Refusal> {
        component.value(&Request {
            method: "GET",
            scheme: "https",
            authority,
            path,
            query,
            headers: &[],
            body: b"",
        })
    }

    #[test]
    fn derived_components_are_normalised_as_the_rfc_says() {
        for (sent, expected) in [
            ("Example.COM", "example.com"),
            ("example.com:443", "example.com"),
            ("example.com:80", "example.com"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:443", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(
                value(&Component::Authority, sent, "/", None).as_deref(),
                Ok(expected),
                "{sent}"
            );
        }
        for (path, expected) in [("", "/"), ("/", "/"), ("/v1/a%20b", "/v1/a%20b")] {
            assert_eq!(
                value(&Component::Path, "h", path, None).as_deref(),
                Ok(expected),
                "{path}"
            );
        }
        for (query, expected) in [
            (None, "?"),
            (Some(""), "?"),
            (Some("a=1&A=%2f"), "?a=1&A=%2f"),
        ] {
            assert_eq!(
                value(&Component::Query, "h", "/", query).as_deref(),
                Ok(expected),
                "{query:?}"
            );
        }
    }

    fn target(
        scheme: &str,
        authority: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<String, Refusal> {
        Component::TargetUri.value(&Request {
            method: "GET",
            scheme,
            authority,
            path,
            query,
            headers: &[],
            body: b"",
        })
    }

    #[test]
    fn a_target_uri_is_normalised_as_the_rfc_says() {
        // The example of RFC 9421 section 2.2.2 first.
        for (scheme, authority, path, query, expected) in [
            (
                "https",
                "www.example.com",
                "/path",
                Some("param=value"),
                "https://www.example.com/path?param=value",
            ),
            (
                "https",
                "API.Example.com:443",
                "",
                None,
                "https://api.example.com/",
            ),
            (
                "http",
                "api.example.com:80",
                "/",
                None,
                "http://api.example.com/",
            ),
            // Another scheme's port is part of the address.
            ("https", "h:80", "/", None, "https://h:80/"),
            ("http", "h:443", "/", None, "http://h:443/"),
            ("https", "[::1]:443", "/a%2Fb", None, "https://[::1]/a%2Fb"),
            (
                "http",
                "127.0.0.1:8080",
                "/a",
                Some(""),
                "http://127.0.0.1:8080/a?",
            ),
            (
                "https",
                "h",
                "/A",
                Some("b=/?c&%2f"),
                "https://h/A?b=/?c&%2f",
            ),
        ] {
            assert_eq!(
                target(scheme, authority, path, query).as_deref(),
                Ok(expected)
            );
        }
    }

    #[test]
    fn a_target_uri_whose_parts_could_be_cut_in_another_way_is_refused() {
        for (scheme, authority, path, query) in [
            ("https", "h/v1", "/orders", None),
            ("https", "h?v1", "/orders", None),
            ("https", "h#", "/orders", None),
            ("https", "user:secret@h", "/orders", None),
            ("https", "h\\@evil", "/orders", None),
            ("https", "h evil", "/orders", None),
            ("https", "", "/orders", None),
            ("https", "exampl", "e.com/orders", None),
            ("https", "h", "/orders?a=1", None),
            ("https", "h", "/orders#a", None),
            ("https", "h", "/orders", Some("a=1#b")),
            ("ftp", "h", "/orders", None),
            ("https://h/?", "h", "/orders", None),
            ("", "h", "/orders", None),
        ] {
            let refusal = target(scheme, authority, path, query).unwrap_err();
            assert_eq!(
                refusal.name(),
                "component_unsupported",
                "{scheme} {authority} {path} {query:?}"
            );
        }
        let forged = target("https", "h", "/a\n\"@method\": POST", None).unwrap_err();
        assert_eq!(forged.name(), "component_unreadable");
    }

    #[test]
    fn a_path_with_a_line_break_cannot_forge_a_line_of_the_base() {
        let refusal = value(&Component::Path, "h", "/a\n\"@method\": POST", None).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::UnreadableComponent {
                component: "@path".to_owned()
            }
        );
    }

    #[test]
    fn a_path_over_the_limit_is_refused() {
        let path = "/".repeat(COMPONENT_VALUE_MAX + 1);
        assert_eq!(
            value(&Component::Path, "h", &path, None)
                .unwrap_err()
                .name(),
            "signature_too_long"
        );
    }

    #[test]
    fn only_names_that_can_be_verified_are_read() {
        for name in [
            "@query-param",
            "@request-target",
            "@scheme",
            "@status",
            "@",
            "",
            "a b",
            "Prefer",
            "@METHOD",
            "prefer\"",
        ] {
            assert_eq!(
                Component::parse(name).unwrap_err().name(),
                "component_unsupported",
                "{name}"
            );
        }
        let long = "x".repeat(COMPONENT_NAME_MAX + 1);
        assert_eq!(
            Component::parse(&long).unwrap_err().name(),
            "signature_too_long"
        );
        assert_eq!(
            Component::parse("x-a_b.c"),
            Ok(Component::Field("x-a_b.c".to_owned()))
        );
    }
}
