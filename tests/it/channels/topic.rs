//! SNS before the engines: takes what is published, by the rules of its API.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

pub(super) const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:000000000000:operators";

/// The topic of the people on call. What is no call of SNS goes on to the next.
#[derive(Clone)]
pub(super) struct Topic(Arc<Inner>);

struct Inner {
    next: SharedHttpClient,
    published: Mutex<Vec<String>>,
}

impl Topic {
    pub(super) fn before(next: SharedHttpClient) -> Self {
        Self(Arc::new(Inner {
            next,
            published: Mutex::default(),
        }))
    }

    pub(super) fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    pub(super) fn published(&self) -> Vec<String> {
        self.0.published.lock().expect("not poisoned").clone()
    }

    /// Refuses what SNS refuses: another topic, a message of more than 256 KB, and a subject that
    /// is empty, longer than 100 characters or not in visible ASCII.
    fn publish(&self, body: &str) -> HttpResponse {
        let fields: Vec<(String, String)> = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let get = |name: &str| {
            let mut found = fields.iter().filter(|(key, _)| key == name);
            found.next().map_or("", |(_, value)| value.as_str())
        };
        let (message, subject) = (get("Message"), get("Subject"));
        let is_subject = (1..=100).contains(&subject.len())
            && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if get("TopicArn") != TOPIC_ARN || !is_subject || !(1..=262_144).contains(&message.len()) {
            let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>by the test</Message></Error></ErrorResponse>";
            return answer(400, refused);
        }
        let mut published = self.0.published.lock().expect("not poisoned");
        published.push(message.to_owned());
        answer(
            200,
            "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
        )
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let status = status.try_into().expect("a status");
    HttpResponse::new(status, SdkBody::from(body))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let hex = [*high, *low];
                let hex = std::str::from_utf8(&hex).expect("ASCII");
                bytes.push(u8::from_str_radix(hex, 16).expect("hex"));
                after
            }
            (b'+', after) => {
                bytes.push(b' ');
                after
            }
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8(bytes).expect("UTF-8")
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic")
    }
}

impl HttpClient for Topic {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        parts: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            topic: self.clone(),
            next: self.0.next.http_connector(settings, parts),
        })
    }
}

#[derive(Debug)]
struct Connector {
    topic: Topic,
    next: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request
            .body()
            .bytes()
            .map(<[u8]>::to_vec)
            .unwrap_or_default();
        match String::from_utf8(body) {
            Ok(body) if body.starts_with("Action=Publish&") => {
                let answer = self.topic.publish(&body);
                HttpConnectorFuture::ready(Ok(answer))
            }
            Ok(_) | Err(_) => self.next.call(request),
        }
    }
}
