//! The rule of `notify_url`.

use serde_json::Value;

use crate::refusal::Refusal;

/// Refuses a `notify_url` that WeChat Pay would refuse. Loopback addresses are fine here.
pub(crate) fn check_notify_url(value: &Value) -> Result<(), Refusal> {
    let Some(url) = value.pointer("/notify_url") else {
        return Ok(());
    };
    let text = url.as_str().unwrap_or_default();
    let wrong = |issue: &str| Err(Refusal::field("/notify_url", Some(url), issue));
    match text.parse::<http::Uri>() {
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() => {
            wrong("应为绝对URL (must be an absolute http or https URL)")
        }
        Ok(uri) if uri.query().is_some() || text.contains(['?', '#']) => {
            wrong("不允许携带参数 (must have neither query nor fragment)")
        }
        Ok(_) => Ok(()),
        Err(_) => wrong("不是URL (is not a URL)"),
    }
}
