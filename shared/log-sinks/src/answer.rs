//! What a sink answers, and whether to try again.

use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::{beginning, secret::Kind};

/// How long a sink is left alone that does not say it, in seconds: what Sentry's own SDKs wait.
const REST_S: i64 = 60;
/// No sink is left alone for longer than this without being asked again, in seconds.
const REST_S_MAX: i64 = 86_400;
/// How much of a sink's words is kept.
const WORDS_MAX: usize = 200;

/// A sink took what it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// It takes nothing more for so many seconds.
    pub rests_s: Option<i64>,
}

/// A sink did not take what it was sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It had too much, and takes nothing for so long.
    #[error("status 429: it takes nothing for {rests_s} s")]
    TooMany { rests_s: i64 },
    /// It fails. The same may be taken later.
    #[error("status {status}")]
    Passing { status: u16 },
    /// Loki takes no line that is so old; it took the others of the request.
    #[error("status {status}: {words}")]
    TooOld {
        status: u16,
        words: String,
        /// How many it left out, where it says so.
        lines: Option<usize>,
    },
    /// It will never take this.
    #[error("status {status}: {words}")]
    ForGood {
        status: u16,
        /// What it says of the cause.
        words: String,
    },
}

/// Reads the answer to a request. `header` gives a header's value by its name in small letters.
///
/// # Errors
/// [`Refusal`].
pub fn read_answer<'a>(
    kind: Kind,
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now_s: i64,
) -> Result<Taken, Refusal> {
    let limits = match kind {
        Kind::Sentry => header("x-sentry-rate-limits"),
        Kind::Loki => None,
    };
    let said = limits.and_then(rest_of_limits);
    match status {
        200..=299 => Ok(Taken {
            rests_s: said.map(bounded),
        }),
        429 => {
            let waits = || header("retry-after").and_then(|text| rest_of(text, now_s));
            let rests_s = said.or_else(waits).unwrap_or(REST_S);
            Err(Refusal::TooMany {
                rests_s: bounded(rests_s),
            })
        }
        408 | 425 | 500..=599 => Err(Refusal::Passing { status }),
        400 if kind == Kind::Loki && is_too_old(body) => Err(Refusal::TooOld {
            status,
            words: words(body),
            lines: ignored(body),
        }),
        _ => Err(Refusal::ForGood {
            status,
            words: words(body),
        }),
    }
}

/// Whether Loki says of a line that it lies too far behind the newest of its stream, or is older
/// than any line that it takes.
///
/// <https://grafana.com/docs/loki/latest/operations/request-validation-rate-limits/>
fn is_too_old(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    [
        "entry too far behind",
        "entry out of order", // where streams are not ordered by Loki itself
        "timestamp too old",
        "greater_than_max_sample_age",
    ]
    .iter()
    .any(|reason| text.contains(reason))
}

/// The number in `total ignored: 2 out of 9`.
fn ignored(body: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("total ignored: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn bounded(rests_s: i64) -> i64 {
    rests_s.clamp(1, REST_S_MAX)
}

/// The longest rest that is about errors, of `60:error;default:organization, 10::key`: groups of
/// seconds, categories (none means all) and more.
fn rest_of_limits(text: &str) -> Option<i64> {
    let groups = text.split(',').filter_map(|group| {
        let mut parts = group.trim().split(':');
        let rests_s = seconds(parts.next()?)?;
        let categories = parts.next().unwrap_or_default();
        let is_ours = categories.is_empty() || categories.split(';').any(|name| name == "error");
        is_ours.then_some(rests_s)
    });
    groups.max()
}

/// Whole seconds, rounded up.
fn seconds(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let whole: i64 = whole.parse().ok().filter(|whole| *whole >= 0)?;
    let more = part.bytes().any(|digit| digit != b'0');
    Some(whole.saturating_add(i64::from(more)))
}

/// `Retry-After`: seconds, or a date.
fn rest_of(text: &str, now_s: i64) -> Option<i64> {
    seconds(text).or_else(|| {
        let date = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
        Some(date.unix_timestamp().saturating_sub(now_s))
    })
}

/// The beginning of a body, in one line, without addresses: a proxy may repeat ours. SQS takes no
/// control characters in what is put away with it.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.replace(char::is_control, " ");
    let words = text
        .split_whitespace()
        .map(|word| if word.contains("://") { "..." } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    beginning(&text, WORDS_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_785_556_800;

    fn answer(kind: Kind, status: u16, headers: &[(&str, &'static str)]) -> Result<Taken, Refusal> {
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        };
        read_answer(
            kind,
            status,
            header,
            b"no\n such\x07 https://k3y@sentry.example/1 project",
            NOW_S,
        )
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for kind in [Kind::Sentry, Kind::Loki] {
            for status in [200, 204] {
                assert_eq!(answer(kind, status, &[]), Ok(Taken { rests_s: None }));
            }
            for status in [408, 425, 500, 502, 503, 504] {
                assert_eq!(answer(kind, status, &[]), Err(Refusal::Passing { status }));
            }
            for status in [302, 400, 401, 403, 404, 413] {
                let words = "no such ... project".to_owned();
                assert_eq!(
                    answer(kind, status, &[]),
                    Err(Refusal::ForGood { status, words })
                );
            }
        }
    }

    #[test]
    fn the_rest_is_the_longest_that_is_about_errors() {
        let limits = "x-sentry-rate-limits";
        for (headers, rests_s) in [
            (&[][..], 60),
            (&[("retry-after", "7")], 7),
            (&[("retry-after", "2.1")], 3),
            (&[("retry-after", "Sat, 01 Aug 2026 04:01:30 GMT")], 90),
            (&[("retry-after", "Sat, 01 Aug 2026 03:00:00 GMT")], 1),
            (&[("retry-after", "soon")], 60),
            (&[("retry-after", "-5")], 60),
            (&[("retry-after", "99999999999")], 86_400),
            (&[(limits, "30:error:organization:quota")], 30),
            (&[(limits, "30:default;error:organization, 45::key")], 45),
            (&[(limits, "900:transaction:key, 20:error:project")], 20),
            (&[(limits, "900:transaction:key"), ("retry-after", "5")], 5),
            (&[(limits, "nothing, :error"), ("retry-after", "5")], 5),
            (&[(limits, "20:error:key"), ("retry-after", "900")], 20),
        ] {
            let refused = answer(Kind::Sentry, 429, headers);
            assert_eq!(refused, Err(Refusal::TooMany { rests_s }), "{headers:?}");
        }
    }

    #[test]
    fn sentry_may_take_an_event_and_ask_for_a_rest() {
        let limits = &[("x-sentry-rate-limits", "30:error:key")];
        let rests = Taken { rests_s: Some(30) };
        assert_eq!(answer(Kind::Sentry, 200, limits), Ok(rests));
        assert_eq!(answer(Kind::Loki, 204, limits), Ok(Taken { rests_s: None }));
    }

    #[test]
    fn a_line_that_is_too_old_for_loki_is_told_from_a_request_that_it_never_takes() {
        let of = |kind, status, body: &str| {
            read_answer(kind, status, |_| None, body.as_bytes(), NOW_S).unwrap_err()
        };
        let behind = "entry with timestamp 2026-08-01 03:00:00 +0000 UTC ignored, reason: 'entry too far behind, \
            entry timestamp is: 2026-08-01T03:00:00Z, oldest acceptable timestamp is: 2026-08-01T04:00:00Z',\n\
            user 'shop', total ignored: 2 out of 9 for stream: {stack=\"shop\"}";
        let old = "entry for stream '{stack=\"shop\"}' has timestamp too old: 2026-07-01T00:00:00Z, \
            oldest acceptable timestamp is: 2026-07-25T00:00:00Z";
        for (body, expected) in [(behind, Some(2)), (old, None)] {
            let Refusal::TooOld { lines, .. } = of(Kind::Loki, 400, body) else {
                panic!("{body}");
            };
            assert_eq!(lines, expected);
        }
        for (kind, status, body) in [
            (Kind::Sentry, 400, old),
            (Kind::Loki, 401, old),
            (
                Kind::Loki,
                400,
                "stream has structured metadata, which is not allowed",
            ),
        ] {
            let other = of(kind, status, body);
            assert!(matches!(other, Refusal::ForGood { .. }), "{other:?}");
        }
    }
}
