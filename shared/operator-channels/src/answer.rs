//! What a channel's answer means. Robots answer 200 to what they refuse: the truth is in the body.

use serde::Deserialize;

use crate::kind::Kind;

/// The channel did not take the message. Holds what its own answer says, which people are shown.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There were too many messages: it has to be left alone for a while.
    #[error("too many messages (code {code})")]
    TooMany {
        /// Its code.
        code: i64,
    },
    /// The robot refused it.
    #[error("code {code}: {message}")]
    Code {
        /// Its code.
        code: i64,
        /// Its words, shortened.
        message: String,
    },
    /// Not a 2xx.
    #[error("status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// A 2xx without the word that means success.
    #[error("an answer that is none of a robot")]
    Unreadable,
}

/// The members that decide, of all three makers.
#[derive(Deserialize)]
struct Answer {
    errcode: Option<i64>,
    errmsg: Option<String>,
    code: Option<i64>,
    msg: Option<String>,
    #[serde(rename = "StatusCode")]
    status_code: Option<i64>,
}

/// How much of a robot's words is shown, in bytes.
const WORDS_MAX: usize = 120;

/// Reads an answer.
///
/// # Errors
/// [`Refusal`].
pub fn read_answer(kind: Kind, status: u16, body: &[u8]) -> Result<(), Refusal> {
    if status == 429 {
        return Err(Refusal::TooMany { code: 429 });
    }
    if !(200..300).contains(&status) {
        return Err(Refusal::Status { status });
    }
    let is_too_many: &[i64] = match kind {
        // A webhook's receiver says all by the status.
        Kind::Webhook | Kind::Sns => return Ok(()),
        Kind::Wecom => &[45_009],
        Kind::Dingtalk => &[90_030, 130_101, 130_102],
        Kind::Feishu => &[11_232, 9_499],
    };
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Refusal::Unreadable)?;
    let (code, words) = match kind {
        Kind::Feishu => (answer.code.or(answer.status_code), answer.msg),
        Kind::Wecom | Kind::Dingtalk | Kind::Webhook | Kind::Sns => (answer.errcode, answer.errmsg),
    };
    let words = words.unwrap_or_default();
    match code {
        None => Err(Refusal::Unreadable),
        Some(0) => Ok(()),
        // Feishu's 9499 is also that of a request it cannot read.
        Some(9_499) if !words.contains("too many request") => Err(Refusal::Code {
            code: 9_499,
            message: shortened(&words),
        }),
        Some(code) if is_too_many.contains(&code) => Err(Refusal::TooMany { code }),
        Some(code) => Err(Refusal::Code {
            code,
            message: shortened(&words),
        }),
    }
}

/// A robot's words as far as they are shown: in one line, and without what looks like a token,
/// since some repeat the address that was called.
fn shortened(words: &str) -> String {
    let plain: Vec<&str> = words
        .split_whitespace()
        .map(|word| if word.len() > 40 { "..." } else { word })
        .collect();
    crate::text::cut(&plain.join(" "), WORDS_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_in_a_200_answer_is_read() {
        let too_many = |code| Err(Refusal::TooMany { code });
        let refused = |code, message: &str| {
            let message = message.to_owned();
            Err(Refusal::Code { code, message })
        };
        for (kind, status, body, expected) in [
            (Kind::Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, Ok(())),
            (
                Kind::Wecom,
                200,
                r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
                too_many(45_009),
            ),
            (
                Kind::Wecom,
                200,
                r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
                refused(93_000, "invalid webhook url"),
            ),
            (
                Kind::Dingtalk,
                200,
                r#"{"errcode":0,"errmsg":"ok"}"#,
                Ok(()),
            ),
            (
                Kind::Dingtalk,
                200,
                r#"{"errcode":310000,"errmsg":"sign not match"}"#,
                refused(310_000, "sign not match"),
            ),
            (
                Kind::Dingtalk,
                200,
                r#"{"errcode":130101,"errmsg":"send too fast"}"#,
                too_many(130_101),
            ),
            (
                Kind::Dingtalk,
                200,
                r#"{"errcode":90030,"errmsg":"webhook over limit"}"#,
                too_many(90_030),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"code":0,"msg":"success","data":{}}"#,
                Ok(()),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"StatusCode":0,"StatusMessage":"success"}"#,
                Ok(()),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"code":19021,"msg":"sign match fail"}"#,
                refused(19_021, "sign match fail"),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"code":11232,"msg":"frequency limited"}"#,
                too_many(11_232),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"code":9499,"msg":"too many request"}"#,
                too_many(9_499),
            ),
            (
                Kind::Feishu,
                200,
                r#"{"code":9499,"msg":"Bad Request"}"#,
                refused(9_499, "Bad Request"),
            ),
            (Kind::Wecom, 500, "", Err(Refusal::Status { status: 500 })),
            (Kind::Wecom, 429, "", too_many(429)),
            (Kind::Wecom, 302, "", Err(Refusal::Status { status: 302 })),
            (Kind::Wecom, 200, "<html>", Err(Refusal::Unreadable)),
            (Kind::Wecom, 200, r#"{"code":0}"#, Err(Refusal::Unreadable)),
            (Kind::Feishu, 200, "{}", Err(Refusal::Unreadable)),
            (Kind::Webhook, 204, "", Ok(())),
            (Kind::Webhook, 410, "", Err(Refusal::Status { status: 410 })),
        ] {
            assert_eq!(
                read_answer(kind, status, body.as_bytes()),
                expected,
                "{kind:?} {status} {body}"
            );
        }
    }

    #[test]
    fn an_address_that_a_robot_repeats_is_not_shown() {
        let body = r#"{"errcode":93000,"errmsg":"invalid webhook url, from https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=5d1c"}"#;
        let refusal = read_answer(Kind::Wecom, 200, body.as_bytes()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "code 93000: invalid webhook url, from ..."
        );
    }
}
