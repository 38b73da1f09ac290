//! Loki: where it takes lines, and the requests that bring them.
//!
//! Labels are few, since Loki keeps a stream for each set of them: the stack, the function and the
//! level. What leads to one order or one trace is structured metadata (Loki 3, or 2.9 with
//! `allow_structured_metadata`).

use std::collections::BTreeMap;
use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::bad_secret::BadSecret;
use crate::line::Line;
use crate::{Request, beginning};

const PUSH: &str = "/loki/api/v1/push";
/// So many lines a request has.
const LINES_MAX: usize = 1_000;
/// So many bytes of lines and their metadata: Loki's own limit of a request is 4 MB by default.
const BYTES_MAX: usize = 1_000_000;
/// Loki's limit of a line is 256 KB by default.
const LINE_MAX: usize = 200_000;
/// Members that lead to one order, one request or one trace.
const METADATA: [&str; 5] = ["order_no", "refund_no", "release", "request_id", "trace_id"];
/// The longest of them.
const METADATUM_MAX: usize = 200;

/// Where Loki is, whose lines these are, and what lets one in. Its `Debug` shows the address.
#[derive(Clone, Eq, PartialEq)]
pub struct Loki {
    /// Without the path of the API.
    pub(crate) address: String,
    pub(crate) tenant: Option<String>,
    pub(crate) login: Login,
}

/// What lets one in.
#[derive(Clone, Eq, PartialEq)]
pub enum Login {
    /// Nothing: the network does.
    None,
    Basic {
        user: String,
        password: Zeroizing<String>,
    },
    Bearer(Zeroizing<String>),
}

impl Loki {
    /// Takes `https://HOST`, with or without the path of its API.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn new(address: &str, tenant: Option<&str>, login: Login) -> Result<Self, BadSecret> {
        let address = address.trim_end_matches('/');
        let address = address.strip_suffix(PUSH).unwrap_or(address);
        let url = Url::parse(address).map_err(|_| BadSecret::NotAnAddress)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if url.host_str().is_none() || !is_plain {
            return Err(BadSecret::NotAnAddress);
        }
        let fits = |text: &str| {
            (1..=1_024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let is_login = match &login {
            Login::None => true,
            // A name ends at the first colon.
            Login::Basic { user, password } => fits(user) && !user.contains(':') && fits(password),
            Login::Bearer(token) => fits(token),
        };
        if !is_login || tenant.is_some_and(|tenant| !fits(tenant)) {
            return Err(BadSecret::Form);
        }
        Ok(Self {
            address: address.to_owned(),
            tenant: tenant.map(ToOwned::to_owned),
            login,
        })
    }

    /// Where lines are posted to.
    #[must_use]
    pub fn push_address(&self) -> String {
        format!("{}{PUSH}", self.address)
    }

    fn headers(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let login = match &self.login {
            Login::None => None,
            Login::Basic { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
                Some(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            }
            Login::Bearer(token) => Some(format!("Bearer {}", token.as_str())),
        };
        let login = login.map(|text| ("authorization", Zeroizing::new(text)));
        let tenant = self.tenant.clone();
        let tenant = tenant.map(|tenant| ("x-scope-orgid", Zeroizing::new(tenant)));
        login.into_iter().chain(tenant).collect()
    }
}

impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loki")
            .field("address", &self.address)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// A request with some of the lines.
pub struct Push {
    pub request: Request,
    /// The places of its lines.
    pub places: Vec<usize>,
}

/// The requests that bring all lines, as few as their sizes allow.
#[must_use]
pub fn pushes(loki: &Loki, stack: &str, lines: &[Line<'_>]) -> Vec<Push> {
    // By time, and at the same time as they came: in this sequence a stream of Loki is read.
    let mut sorted: Vec<usize> = (0..lines.len()).collect();
    sorted.sort_by_key(|place| lines.get(*place).map(Line::written_ns));
    let mut pushes = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0_usize);
    for place in sorted {
        let Some(line) = lines.get(place) else {
            continue;
        };
        let value = value(line);
        let size = value.to_string().len();
        if part.len() >= LINES_MAX || (!part.is_empty() && bytes.saturating_add(size) > BYTES_MAX) {
            pushes.push(push(loki, stack, std::mem::take(&mut part)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        part.push((place, line, value));
    }
    if !part.is_empty() {
        pushes.push(push(loki, stack, part));
    }
    pushes
}

fn push(loki: &Loki, stack: &str, part: Vec<(usize, &Line<'_>, Value)>) -> Push {
    let mut streams: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
    let mut places = Vec::new();
    for (place, line, value) in part {
        places.push(place);
        streams
            .entry((line.function, line.level()))
            .or_default()
            .push(value);
    }
    let streams = streams.into_iter().map(|((function, level), values)| {
        let labels = json!({"stack": stack, "function": function, "level": level});
        json!({"stream": labels, "values": values})
    });
    let body = json!({"streams": streams.collect::<Vec<_>>()}).to_string();
    Push {
        request: Request {
            address: loki.push_address(),
            content_type: "application/json",
            headers: loki.headers(),
            body,
        },
        places,
    }
}

/// A line as a stream has it: nanoseconds as a text, the line, structured metadata.
fn value(line: &Line<'_>) -> Value {
    let metadata = METADATA.iter().filter_map(|name| {
        let text = line.text(name)?;
        let text = beginning(text, METADATUM_MAX).to_owned();
        Some(((*name).to_owned(), Value::String(text)))
    });
    let metadata: Map<String, Value> = metadata.collect();
    let at = line.written_ns().to_string();
    json!([at, beginning(&line.event.message, LINE_MAX), metadata])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::batch;

    fn loki(tenant: Option<&str>, login: Login) -> Result<Loki, BadSecret> {
        Loki::new("https://loki.example/base/", tenant, login)
    }

    fn line(level: &str, second: u32, more: &str) -> Value {
        json!({
            "timestamp": format!("2026-08-01T04:00:{second:02}.000001Z"),
            "level": level, "message": more,
        })
    }

    fn body(push: &Push) -> Value {
        serde_json::from_str(&push.request.body).unwrap()
    }

    #[test]
    fn lines_are_in_streams_by_function_and_level_in_the_sequence_of_their_times() {
        let mut traced = line("INFO", 3, "c");
        traced["trace_id"] = json!("0af7651916cd43dd8448eb211c80319c");
        traced["order_no"] = json!("A-1");
        let messages = [
            traced,
            line("WARN", 2, "b"),
            line("INFO", 1, "a"),
            json!("plain"),
        ];
        let batch = batch(&messages);
        let lines = Line::all(&batch, "shop");
        let pushes = pushes(&loki(None, Login::None).unwrap(), "shop", &lines);
        let [push] = &pushes[..] else {
            panic!("one request")
        };
        assert_eq!(
            push.request.address,
            "https://loki.example/base/loki/api/v1/push"
        );
        let labels =
            |level: &str| json!({"stack": "shop", "function": "create-order", "level": level});
        let metadata = json!({"order_no": "A-1", "trace_id": "0af7651916cd43dd8448eb211c80319c"});
        assert_eq!(
            body(push),
            json!({"streams": [
                {"stream": labels("info"), "values": [
                    ["1785556801000001000", messages[2].to_string(), {}],
                    ["1785556803000001000", messages[0].to_string(), metadata],
                ]},
                {"stream": labels("unknown"), "values": [["1785556800123000000", "plain", {}]]},
                {"stream": labels("warn"), "values": [
                    ["1785556802000001000", messages[1].to_string(), {}],
                ]},
            ]})
        );
    }

    #[test]
    fn requests_are_bounded_in_lines_and_bytes_and_no_line_is_lost() {
        let many: Vec<Value> = (0..2_500).map(|_| line("INFO", 1, "x")).collect();
        let large: Vec<Value> = (0..12)
            .map(|_| line("INFO", 1, &"\"".repeat(90_000)))
            .collect();
        let huge = [json!("y".repeat(900_000))];
        let loki = loki(None, Login::None).unwrap();
        for (messages, expected) in [(&many[..], 3), (&large, 6), (&huge, 1), (&[], 0)] {
            let batch = batch(messages);
            let lines = Line::all(&batch, "shop");
            let pushes = pushes(&loki, "shop", &lines);
            assert_eq!(pushes.len(), expected);
            let mut places: Vec<usize> =
                pushes.iter().flat_map(|push| push.places.clone()).collect();
            places.sort_unstable();
            assert_eq!(places, (0..messages.len()).collect::<Vec<_>>());
            for push in &pushes {
                assert!(push.request.body.len() < 1_100_000);
            }
        }
    }

    #[test]
    fn tenant_and_login_are_headers() {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let basic = Login::Basic {
            user: "42".to_owned(),
            password: secret("p:w"),
        };
        for (tenant, login, expected) in [
            (None, Login::None, &[][..]),
            (Some("shop"), Login::None, &[("x-scope-orgid", "shop")]),
            (None, basic, &[("authorization", "Basic NDI6cDp3")]),
            (
                Some("shop"),
                Login::Bearer(secret("t0k3n")),
                &[("authorization", "Bearer t0k3n"), ("x-scope-orgid", "shop")],
            ),
        ] {
            let loki = loki(tenant, login).unwrap();
            let headers = loki.headers();
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            assert_eq!(headers, expected);
            assert!(!format!("{loki:?}").contains("t0k3n"), "{loki:?}");
        }
    }

    #[test]
    fn what_is_no_address_or_no_login_is_refused() {
        for address in [
            "",
            "loki.example",
            "https://user:pw@loki.example",
            "https://loki.example?a=1",
            "https://loki.example#a",
        ] {
            let refused = Loki::new(address, None, Login::None);
            assert_eq!(refused, Err(BadSecret::NotAnAddress), "{address}");
        }
        let basic = |user: &str, password: &str| Login::Basic {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        };
        for login in [
            basic("", "p"),
            basic("a:b", "p"),
            basic("u", ""),
            basic("u", "a b"),
            Login::Bearer(Zeroizing::new("a\nb".to_owned())),
        ] {
            assert_eq!(loki(None, login), Err(BadSecret::Form));
        }
        assert_eq!(loki(Some("a b"), Login::None), Err(BadSecret::Form));
        let whole = Loki::new("https://loki.example/loki/api/v1/push", None, Login::None);
        assert_eq!(
            whole.unwrap().push_address(),
            "https://loki.example/loki/api/v1/push"
        );
    }
}
