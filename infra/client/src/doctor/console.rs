//! The pages and the API for finance staff: closed to whoever has no token.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::redirect::Policy;

use super::aws_calls::AwsCalls;
use super::finding::{Examined, Finding, PUT_BACK};
use super::stack::Stack;

/// API Gateway answers within 30 s or not at all.
const TIME_LIMIT: Duration = Duration::from_secs(35);

/// Looks at addresses of the stack's API without any credentials.
#[derive(Debug)]
pub(crate) struct Stranger {
    http: reqwest::Client,
}

impl Stranger {
    pub(crate) fn new(is_on_this_machine: bool) -> Result<Self, Box<dyn std::error::Error>> {
        let mut builder = reqwest::Client::builder()
            .timeout(TIME_LIMIT)
            .redirect(Policy::none())
            .tls_backend_preconfigured(runtime::tls::client_config()?);
        if is_on_this_machine {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build()?,
        })
    }

    /// The status of the answer and where it leads, or why there is none.
    pub(crate) async fn get(&self, url: &str) -> Result<(u16, String), String> {
        Self::seen(self.http.get(url)).await
    }

    /// The same with the token of a member of the console's group.
    async fn get_with(&self, url: &str, token: &str) -> Result<(u16, String), String> {
        Self::seen(self.http.get(url).bearer_auth(token)).await
    }

    async fn seen(request: reqwest::RequestBuilder) -> Result<(u16, String), String> {
        match request.send().await {
            Ok(answer) => {
                let location = answer.headers().get(LOCATION);
                let location = location.and_then(|location| location.to_str().ok());
                let location = location.unwrap_or_default().to_owned();
                Ok((answer.status().as_u16(), location))
            }
            Err(error) => {
                let error = error.without_url();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                Err(format!("{error}: {}", cause.unwrap_or_default()))
            }
        }
    }
}

/// Whether the API answers at all at the address that WeChat Pay calls. API Gateway itself answers
/// 404 to a method that has no route, so no function runs for this and no line is logged.
pub(crate) async fn api_unreachable(stack: &Stack, stranger: &Stranger) -> Option<Finding> {
    let url = stack.output("NotifyUrl");
    let seen = match stranger.get(url).await {
        Ok((404 | 405, _)) => return None,
        Ok((status, _)) => format!("GET {url}: HTTP {status}, where the API answers 404"),
        Err(why) => format!("GET {url}: {why}"),
    };
    Some(Finding::error(
        "notify-url-unreachable",
        "The address that WeChat Pay sends callbacks to does not lead to this stack's API.",
        seen,
        "see the name's DNS record, its certificate (one that browsers take, for port 443), and what stands before the API: \
         a firewall or CDN must let POST and the Wechatpay-* headers through",
    ))
}

/// `token` is that of a person who may see the console.
pub(crate) async fn examine(
    calls: &AwsCalls,
    stack: &Stack,
    stranger: &Stranger,
    token: Option<&str>,
) -> Examined {
    let is_open_on_purpose = stack.parameter("ConsoleOnLoopback") == "true";
    if is_open_on_purpose && calls.is_on_this_machine() {
        return Examined {
            findings: Vec::new(),
            not_proved: vec![
                "The console is closed without a token: this stack is on a developer's machine, and has it open \
                 (ConsoleOnLoopback)."
                    .to_owned(),
            ],
        };
    }
    let Some(base) = stack.api_base() else {
        return Examined::default();
    };
    let mut findings = Vec::new();
    for path in ["/console", "/v1/reconciliations/2026-01-01"] {
        let url = format!("{base}{path}");
        let Ok((status, location)) = stranger.get(&url).await else {
            continue;
        };
        // Without an issuer there is no route. One who is led to a page to sign in sees nothing.
        let leads_in = location.strip_prefix(base).unwrap_or(&location);
        if (200..300).contains(&status) || leads_in.starts_with("/console/") {
            findings.push(Finding::error(
                "console-open",
                "Anyone who knows the address sees the reconciliation, and may be let in to decide about money.",
                format!("GET {url} without a token: HTTP {status}"),
                format!(
                    "deploy with ConsoleIssuer, ConsoleAudience and ConsoleGroup, and with ConsoleOnLoopback=false; where the \
                     stack has them, {PUT_BACK}; if a domain leads here through a proxy that adds a token, let that sign \
                     people in first"
                ),
            ));
            break;
        }
    }
    if let (Some(token), true) = (token, findings.is_empty()) {
        findings.extend(shut(stranger, base, token).await);
    }
    Examined::from(findings)
}

/// Whether the console keeps out who may come in.
async fn shut(stranger: &Stranger, base: &str, token: &str) -> Option<Finding> {
    let url = format!("{base}/console");
    let seen = match stranger.get_with(&url, token).await {
        Ok((200..=399, _)) => return None,
        Ok((status, _)) => format!("HTTP {status}"),
        Err(why) => why,
    };
    Some(Finding::error(
        "console-shut",
        "A person who may see the console is kept out, so nobody decides about differences.",
        format!("GET {url} with the token: {seen}"),
        "401: the token has ended, or its issuer or audience is not ConsoleIssuer, ConsoleAudience. 403: it is of no member of \
         ConsoleGroup, or has no person (ConsolePersonClaim). 404: the stack has no ConsoleIssuer",
    ))
}
