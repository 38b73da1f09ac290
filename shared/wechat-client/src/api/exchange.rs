//! One exchange with a host: a request is signed and sent, and what comes back is read.

use std::{sync::Arc, time::Duration};

use runtime::{
    call_keys::CallKeys,
    clock::Deadline,
    spans::{Span, SpanKind},
};
use wechatpay::{
    api::{Interface, Method, Outgoing},
    sign::authorization,
};

use super::wire::{HttpAnswer, HttpResult, build_client};
use super::{Host, HostChoice, NotSent, WechatApi, limits::Limit};

/// A request that was sent, and what came back.
pub(super) struct Exchange {
    /// The keys that were read for it.
    pub(super) keys: Arc<dyn CallKeys>,
    pub(super) received: HttpResult,
    /// From sending to the end of the answer.
    pub(super) took_ms: i64,
}

impl WechatApi {
    /// Signs a request, sends it to one host, and reads what comes back. All within the deadline,
    /// waiting for the limits on calls and signatures too.
    ///
    /// # Errors
    /// [`NotSent`] when nothing left for WeChat Pay.
    pub(super) async fn exchange(
        &self,
        interface: Interface,
        outgoing: Outgoing,
        host: Host,
        deadline: &Deadline,
    ) -> Result<Exchange, NotSent> {
        self.wait_for(Limit::Calls, &self.0.calls, deadline).await?;
        let keys = self.0.keys.current().await?;
        let method = outgoing.method;
        let (request, left) = self.signed(outgoing, host, keys.as_ref(), deadline).await?;
        let request = request
            .header("wechatpay-serial", keys.response_serial())
            .timeout(left);
        let sent_at_ms = self.0.clock.now_ms();
        let span = self.span(interface, method, host, sent_at_ms);
        let received = match request.send().await {
            Ok(response) => HttpAnswer::read(response).await,
            Err(error) => Err(error),
        };
        self.watch(host, sent_at_ms, received.as_ref().err());
        end(span, &received, self.0.clock.now_ms());
        Ok(Exchange {
            keys,
            received,
            took_ms: self.took_ms(sent_at_ms),
        })
    }

    /// The span of a call: HTTP's conventions, without the URL, which has the order's number.
    pub(super) fn span(
        &self,
        interface: Interface,
        method: Method,
        host: Host,
        at_ms: i64,
    ) -> Span {
        let template = interface.url_template();
        let method = match method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut span = Span::child(SpanKind::Client, || format!("{method} {template}"), at_ms);
        if span.is_recorded() {
            let address = self.base(host);
            let address = address.split_once("://").map_or(address, |(_, rest)| rest);
            let (name, port) = address.rsplit_once(':').unwrap_or((address, "443"));
            span.set("http.request.method", method);
            span.set("url.template", template);
            span.set("server.address", name);
            span.set("server.port", port.parse::<u16>().unwrap_or(443));
            span.set("wechatpay.interface", interface.name());
        }
        span
    }

    fn base(&self, host: Host) -> &str {
        match (self.0.host_choice, host) {
            (HostChoice::ByHealth, Host::Backup) => &self.0.hosts.backup,
            (HostChoice::ByHealth, Host::Main)
            | (HostChoice::MainAlways, Host::Main | Host::Backup) => &self.0.hosts.main,
        }
    }

    /// How long ago a call was sent.
    pub(super) fn took_ms(&self, sent_at_ms: i64) -> i64 {
        self.0.clock.now_ms().saturating_sub(sent_at_ms).max(0)
    }

    /// A request to one host, signed by the merchant's key, and how long it may still take.
    ///
    /// # Errors
    /// [`NotSent`], also when the deadline is over once it is signed.
    pub(super) async fn signed(
        &self,
        outgoing: Outgoing,
        host: Host,
        keys: &dyn CallKeys,
        deadline: &Deadline,
    ) -> Result<(reqwest::RequestBuilder, Duration), NotSent> {
        let signer = self.signer_by(keys, deadline).await?;
        let authorization = authorization(
            &signer,
            &self.0.mchid,
            &outgoing,
            self.0.clock.now(),
            &self.0.random.nonce(),
        )
        .await?;
        let http = self
            .0
            .http
            .get_or_try_init(|| async { build_client() })
            .await?;
        let left = deadline.left();
        if left.is_zero() {
            return Err(NotSent::TooLate);
        }
        let request = self.request(http, host, outgoing);
        Ok((request.header("authorization", authorization), left))
    }

    fn request(
        &self,
        http: &reqwest::Client,
        host: Host,
        outgoing: Outgoing,
    ) -> reqwest::RequestBuilder {
        let base = self.base(host);
        let method = match outgoing.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        http.request(method, format!("{base}{}", outgoing.path_and_query))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(outgoing.body)
    }
}

/// Says on a call's span which status came back.
pub(super) fn ended_with(span: &mut Span, status: u16) {
    span.set("http.response.status_code", status);
    if status >= 400 {
        span.fails(status.to_string());
    }
}

/// Ends a call's span with what came back.
fn end(mut span: Span, received: &HttpResult, at_ms: i64) {
    match received {
        Ok(Some(answer)) => {
            ended_with(&mut span, answer.status);
            if let Some(request_id) = &answer.request_id {
                span.set("wechatpay.request_id", request_id.as_str());
            }
        }
        Ok(None) => span.fails("too_long"),
        Err(error) if error.is_timeout() => span.fails("timeout"),
        Err(_) => span.fails("no_answer"),
    }
    span.end(at_ms);
}
