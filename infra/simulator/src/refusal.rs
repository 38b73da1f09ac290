//! What WeChat Pay answers when it says no: status, code, message, detail, and the number at the
//! end of `Request-ID`.

use std::borrow::Cow;

use serde_json::{Value, json};

/// An answer that is not 2xx. Never signed, like the real ones.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    /// In Chinese, the default, and in English, for `Accept-Language: en`.
    message: (String, String),
    detail: Option<Value>,
    /// The internal result number after the last `-` of `Request-ID`.
    pub(crate) internal: u32,
}

impl Refusal {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        internal: u32,
        chinese: impl Into<String>,
        english: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: (chinese.into(), english.into()),
            detail: None,
            internal,
        }
    }

    /// 400 `PARAM_ERROR` for one field of the body. `field` is a JSON pointer.
    pub(crate) fn field(field: &str, value: Option<&Value>, issue: &str) -> Self {
        Self::param("body", field, value, issue)
    }

    /// 400 `PARAM_ERROR` for a value in the query or the path (`url`).
    pub(crate) fn query(field: &str, issue: &str) -> Self {
        Self::param("query", field, None, issue)
    }

    pub(crate) fn param(location: &str, field: &str, value: Option<&Value>, issue: &str) -> Self {
        let mut detail = json!({"field": field, "issue": issue, "location": location});
        if let (Some(value), Some(detail)) = (value, detail.as_object_mut()) {
            detail.insert("value".to_owned(), value.clone());
        }
        Self {
            detail: Some(detail),
            ..Self::new(
                400,
                "PARAM_ERROR",
                268_435_461,
                format!("参数错误：{field} {issue}"),
                format!("Parameter error: {field} {issue}"),
            )
        }
    }

    /// 400 `PARAM_ERROR` about a header.
    pub(crate) fn header(chinese: impl Into<String>, english: impl Into<String>) -> Self {
        Self::new(400, "PARAM_ERROR", 268_435_461, chinese, english)
    }

    /// 401 `SIGN_ERROR`.
    pub(crate) fn sign(chinese: impl Into<String>, english: impl Into<String>) -> Self {
        Self::new(401, "SIGN_ERROR", 268_443_699, chinese, english)
    }

    /// 400 `INVALID_REQUEST`.
    pub(crate) fn invalid(chinese: impl Into<String>, english: impl Into<String>) -> Self {
        Self::new(400, "INVALID_REQUEST", 268_435_462, chinese, english)
    }

    /// The same number with other parameters.
    pub(crate) fn changed_re_entry() -> Self {
        Self {
            internal: 268_498_688,
            ..Self::invalid(
                "请求重入时，参数与首次请求时不一致。请检查后再试",
                "The parameters differ from those of the first request with this number",
            )
        }
    }

    pub(crate) fn order_not_exist() -> Self {
        Self::new(
            404,
            "ORDER_NOT_EXIST",
            268_512_771,
            "订单不存在",
            "The order does not exist",
        )
    }

    pub(crate) fn frequency_limited() -> Self {
        Self::new(
            429,
            "FREQUENCY_LIMITED",
            268_447_840,
            "频率限制，请稍后再试",
            "Too many requests, try later",
        )
    }

    /// As a fault says.
    pub(crate) fn by_fault(status: u16, code: &str) -> Self {
        Self::new(
            status,
            code.to_owned(),
            268_435_457,
            "请求被拒绝",
            "The request is refused",
        )
    }

    pub(crate) fn system_error(status: u16) -> Self {
        let code = if status == 500 {
            "SYSTEM_ERROR"
        } else {
            "SERVICE_UNAVAILABLE"
        };
        Self::new(
            status,
            code,
            268_435_457,
            "系统繁忙，请稍后重试",
            "The system is busy, try again",
        )
    }

    pub(crate) fn in_english(&self) -> &str {
        &self.message.1
    }

    pub(crate) fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    pub(crate) fn with_internal(mut self, internal: u32) -> Self {
        self.internal = internal;
        self
    }

    /// The answer's body, in the language that `Accept-Language` asks for; `bare` leaves the
    /// underscores out of the code.
    pub(crate) fn body(&self, accept_language: Option<&str>, bare: bool) -> Vec<u8> {
        let english = accept_language
            .is_some_and(|languages| languages.trim().to_ascii_lowercase().starts_with("en"));
        let message = if english {
            &self.message.1
        } else {
            &self.message.0
        };
        let code = if bare {
            self.code.replace('_', "")
        } else {
            self.code.to_string()
        };
        let mut body = json!({"code": code, "message": message});
        if let (Some(detail), Some(body)) = (&self.detail, body.as_object_mut()) {
            body.insert("detail".to_owned(), detail.clone());
        }
        body.to_string().into_bytes()
    }
}

/// `text` without line breaks and other control characters: it may quote a request.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(char::is_control).map(str::trim);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_line_whatever_it_quotes() {
        assert_eq!(one_line("a\nb\r\n c\u{7}"), "a b c");
        assert_eq!(one_line("你好 (x)"), "你好 (x)");
    }

    #[test]
    fn the_message_is_chinese_unless_english_is_asked_for() {
        let refusal = Refusal::order_not_exist();
        let read =
            |language| -> Value { serde_json::from_slice(&refusal.body(language, false)).unwrap() };
        assert_eq!(read(None)["message"], "订单不存在");
        assert_eq!(read(Some("zh-CN"))["message"], "订单不存在");
        assert_eq!(read(Some("en"))["message"], "The order does not exist");
        assert_eq!(read(None).get("detail"), None);
        let bare: Value = serde_json::from_slice(&refusal.body(None, true)).unwrap();
        assert_eq!(bare["code"], "ORDERNOTEXIST");
    }
}
