//! A call to AWS on its way: which it is, and the answers that a service gives when it does not do
//! what it is asked.

#![expect(
    clippy::expect_used,
    reason = "statuses of this file are statuses of HTTP"
)]

use std::sync::OnceLock;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::rules;
use crate::s3_http::{S3Reply, S3Request, s3_request};
use crate::service::Service;

/// What a request of the SDK's asks for.
#[derive(Debug)]
pub struct AwsRequest<'a> {
    /// Whom.
    pub service: Service,
    /// What, such as `PutItem`.
    pub operation: String,
    /// With which words, as JSON; empty for S3, which has none.
    body: String,
    /// The same once it was parsed.
    parsed: OnceLock<Value>,
    /// What S3 is asked.
    pub(crate) file: Option<S3Request<'a>>,
}

impl<'a> AwsRequest<'a> {
    /// Reads the target in the header and the JSON in the body, which all services but S3 use; of
    /// S3's the method and the address. `None` for what no function of the bundle calls.
    pub fn read(request: &'a HttpRequest) -> Option<Self> {
        let Some(target) = request.headers().get("x-amz-target") else {
            return Self::read_s3(request);
        };
        let (prefix, operation) = target.split_once('.')?;
        let service = match prefix {
            "DynamoDB_20120810" => Service::DynamoDb,
            "AmazonSQS" => Service::Sqs,
            "TrentService" => Service::Kms,
            _ => return None,
        };
        let body = request.body().bytes()?;
        Some(Self {
            service,
            operation: operation.to_owned(),
            body: String::from_utf8(body.to_vec()).ok()?,
            parsed: OnceLock::new(),
            file: None,
        })
    }

    fn read_s3(request: &'a HttpRequest) -> Option<Self> {
        let file = s3_request(request).ok()?;
        Some(Self {
            service: Service::S3,
            operation: file.operation()?.to_owned(),
            body: String::new(),
            parsed: OnceLock::new(),
            file: Some(file),
        })
    }

    /// The body as it is.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Puts another text for one in the body.
    pub fn replace(&mut self, text: &str, by: &str) {
        if self.body.contains(text) {
            self.body = self.body.replace(text, by);
            self.parsed = OnceLock::new();
        }
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> &Value {
        self.parsed
            .get_or_init(|| serde_json::from_str(&self.body).unwrap_or_default())
    }

    /// The file that S3 is asked about, as in a path: `/bucket/key`.
    pub fn file_path(&self) -> Option<&str> {
        self.file.as_ref().map(S3Request::path)
    }

    /// The items of a transaction.
    pub fn transaction(&self) -> Option<&Vec<Value>> {
        self.json().get("TransactItems")?.as_array()
    }

    /// The refusal of what a service would refuse by its documentation, and its engine here does
    /// not.
    pub fn refusal(&self) -> Option<HttpResponse> {
        let code = match self.service {
            Service::Sqs | Service::Kms => {
                rules::refusal(self.service, &self.operation, self.json())?
            }
            Service::DynamoDb | Service::S3 => return None,
        };
        Some(refused(400, code, None))
    }

    /// The service fails.
    pub fn server_error(&self) -> HttpResponse {
        match self.service {
            Service::S3 => of_s3(S3Reply::bad(500, "InternalError")),
            Service::DynamoDb | Service::Sqs | Service::Kms => {
                refused(500, "InternalServerError", None)
            }
        }
    }

    /// The service asks for fewer calls.
    pub fn throttled(&self) -> HttpResponse {
        let code = match self.service {
            Service::DynamoDb => "ProvisionedThroughputExceededException",
            Service::Sqs => "RequestThrottled",
            Service::Kms => "ThrottlingException",
            Service::S3 => return of_s3(S3Reply::bad(503, "SlowDown")),
        };
        refused(400, code, None)
    }

    /// The service does not allow it.
    pub fn denied(&self) -> HttpResponse {
        match self.service {
            Service::S3 => of_s3(S3Reply::bad(403, "AccessDenied")),
            Service::DynamoDb | Service::Sqs | Service::Kms => {
                refused(400, "AccessDeniedException", None)
            }
        }
    }

    /// Another write holds the item or the file.
    pub fn conflict(&self) -> HttpResponse {
        if self.service == Service::S3 {
            return of_s3(S3Reply::bad(409, "ConditionalRequestConflict"));
        }
        match self.transaction() {
            Some(items) => {
                let reason = json!({"Code": "TransactionConflict", "Message": "by the test"});
                let reasons = vec![reason; items.len()];
                refused(400, "TransactionCanceledException", Some(reasons))
            }
            None => refused(400, "TransactionConflictException", None),
        }
    }
}

/// An answer of S3's for the SDK.
pub(crate) fn of_s3(reply: S3Reply) -> HttpResponse {
    reply.into_response().expect("a status")
}

/// An answer of another service for the SDK.
pub(crate) fn of_json(status: u16, body: String) -> HttpResponse {
    let status = status.try_into().expect("a status");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    response
}

fn refused(status: u16, code: &str, reasons: Option<Vec<Value>>) -> HttpResponse {
    let mut body = json!({"__type": format!("test#{code}"), "message": "by the test"});
    if let (Some(reasons), Some(fields)) = (reasons, body.as_object_mut()) {
        fields.insert("CancellationReasons".to_owned(), Value::Array(reasons));
    }
    of_json(status, body.to_string())
}
