//! Downloading a bill: a signed request whose answer is not signed, and may be gigabytes.

use std::time::Duration;

use reqwest::StatusCode;
use tracing::{info, warn};
use wechatpay::{
    RequestId,
    api::{BillLink, Interface, Method, Refusal},
};

use super::{
    Host, WechatApi, causes,
    exchange::ended_with,
    limits::Limit,
    measured::{CallResult, MeasuredCall},
    wire,
};
use crate::{
    bill_file::{BillBytes, BillFileError},
    not_sent::NotSent,
};

/// As much of a refusal as is read, in bytes.
const REFUSAL_MAX: usize = 64 * 1024;

impl WechatApi {
    /// Begins to load the file that a link leads to. Path and query are signed as WeChat Pay gave
    /// them, and sent to the host that the link names, if it is one of the two in the settings. A
    /// link is good for five minutes, and for the merchant who asked for it.
    ///
    /// Until the file begins to come it may take `within`; after that each piece has a limit of its
    /// own.
    ///
    /// # Errors
    /// [`BillFileError`].
    pub async fn open_bill(
        &self,
        link: &BillLink,
        within: Duration,
    ) -> Result<BillBytes, BillFileError> {
        let download = link.download()?;
        let Some(host) = self.host_at(&download.origin) else {
            return Err(BillFileError::ForeignHost {
                origin: download.origin,
            });
        };
        let deadline = self.0.clock.deadline(within);
        self.wait_for(Limit::Calls, &self.0.calls, &deadline)
            .await?;
        let keys = self.0.keys.current().await.map_err(NotSent::from)?;
        let (request, left) = self
            .signed(download.outgoing, host, keys.as_ref(), &deadline)
            .await?;
        let sent_at_ms = self.0.clock.now_ms();
        // It ends when the file begins to come.
        let mut span = self.span(Interface::BillFile, Method::Get, host, sent_at_ms);
        // A time limit on the request would apply to the whole file.
        let Ok(sent) = tokio::time::timeout(left, request.send()).await else {
            span.fails("timeout");
            span.end(self.0.clock.now_ms());
            warn!(
                interface = Interface::BillFile.name(),
                host = host.name(),
                outcome = CallResult::NoAnswer.name(),
                WechatCallMs = self.took_ms(sent_at_ms),
                cause = "timeout",
                WechatCallsFailed = 1,
                "WeChat Pay did not begin to send a bill"
            );
            return Err(BillFileError::TimedOut);
        };
        self.watch(host, sent_at_ms, sent.as_ref().err());
        match &sent {
            Ok(answer) => ended_with(&mut span, answer.status().as_u16()),
            Err(_) => span.fails("no_answer"),
        }
        span.end(self.0.clock.now_ms());
        // Until the file begins to come.
        let call = MeasuredCall {
            interface: Interface::BillFile,
            host,
            took_ms: self.took_ms(sent_at_ms),
        };
        let response = sent.map_err(|error| {
            let error = error.without_url();
            self.log_unanswered(call, &error);
            BillFileError::BrokeOff(error)
        })?;
        let request_id = wire::request_id(&response);
        let named = request_id.as_ref().map_or("none", RequestId::as_str);
        if response.status() == StatusCode::OK {
            info!(
                wechat_request_id = named,
                interface = call.interface.name(),
                host = host.name(),
                outcome = CallResult::Done.name(),
                WechatCallMs = call.took_ms,
                "WeChat Pay sends a bill"
            );
            return Ok(BillBytes::of(response));
        }
        let refusal = refusal(response, left).await?;
        let cause = causes::of_passing(&refusal);
        warn!(
            wechat_request_id = named,
            %refusal,
            interface = call.interface.name(),
            host = host.name(),
            outcome = CallResult::of_refusal(&refusal).name(),
            WechatCallMs = call.took_ms,
            cause,
            WechatCallsFailed = cause.map(|_| 1),
            "WeChat Pay refused to send a bill"
        );
        Err(BillFileError::Refused(Box::new(
            refusal.with_request_id(request_id),
        )))
    }

    /// The host whose base this is.
    fn host_at(&self, origin: &str) -> Option<Host> {
        let hosts = &self.0.hosts;
        if hosts.main.eq_ignore_ascii_case(origin) {
            Some(Host::Main)
        } else if hosts.backup.eq_ignore_ascii_case(origin) {
            Some(Host::Backup)
        } else {
            None
        }
    }
}

/// An answer that is no file, as far as it is of use.
async fn refusal(response: reqwest::Response, within: Duration) -> Result<Refusal, BillFileError> {
    let status = response.status().as_u16();
    let mut bytes = BillBytes::of(response);
    let read = async {
        let mut body = Vec::new();
        while let Some(chunk) = bytes.chunk().await? {
            if body.len().saturating_add(chunk.len()) > REFUSAL_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok::<_, BillFileError>(body)
    };
    match tokio::time::timeout(within, read).await {
        Ok(body) => Ok(Refusal::read(status, &body?)),
        Err(_elapsed) => Err(BillFileError::TimedOut),
    }
}
