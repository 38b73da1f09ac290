//! AWS in this process: DynamoDB, SQS, KMS and S3 behind the HTTP connector of the real SDK.
//!
//! The SDK signs, serialises, repeats and parses as it does when deployed; only what it would have
//! sent over the network is handed to an engine here. No engine throttles, conflicts or loses an
//! answer by itself: [`crate::FaultyTransport`] does, and so does the fault harness.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;

use crate::aws_request::{AwsRequest, of_json, of_s3};
use crate::dynamo::DynamoInProcess;
use crate::environment::AWS_IN_PROCESS;
use crate::kms::KmsEngine;
use crate::s3::S3Engine;
use crate::service::Service;
use crate::sqs::SqsEngine;

/// An AWS of one's own. Clones share everything.
#[derive(Clone)]
pub struct AwsEngines(Arc<Engines>);

struct Engines {
    tables: DynamoInProcess,
    queues: Mutex<SqsEngine>,
    keys: Mutex<KmsEngine>,
    files: S3Engine,
    clock: Clock,
}

impl AwsEngines {
    /// Engines with the keys that the functions are deployed with, without tables, and with nothing
    /// in queues and files. Queues follow `clock`.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Engines {
            tables: DynamoInProcess::new(),
            queues: Mutex::default(),
            keys: Mutex::new(KmsEngine::new()),
            files: S3Engine::new(),
            clock,
        }))
    }

    /// The tables.
    pub fn tables(&self) -> &DynamoInProcess {
        &self.0.tables
    }

    /// The queues.
    pub fn queues(&self) -> MutexGuard<'_, SqsEngine> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys.
    pub fn keys(&self) -> MutexGuard<'_, KmsEngine> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files.
    pub fn files(&self) -> &S3Engine {
        &self.0.files
    }

    /// The clock of the queues, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// The client to give to [`Aws::with_http_client`].
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// Clients for the services, past every wire.
    pub fn aws(&self) -> Aws {
        Aws::with_http_client(
            &AwsSettings::local(AWS_IN_PROCESS),
            &Clock::system(),
            self.http_client(),
        )
    }

    /// Does what a request asks for.
    pub fn answer(&self, asked: &AwsRequest<'_>) -> HttpResponse {
        if let Some(refusal) = asked.refusal() {
            return refusal;
        }
        let (operation, body) = (asked.operation.as_str(), asked.body());
        let reply = match (asked.service, &asked.file) {
            (_, Some(file)) => return of_s3(self.0.files.answer(file)),
            (Service::Sqs, None) => self.queues().answer(operation, body, self.now_ms()),
            (Service::Kms, None) => self.keys().answer(operation, body),
            (Service::DynamoDb | Service::S3, None) => self.0.tables.answer(operation, body),
        };
        of_json(reply.status, reply.body)
    }
}

impl fmt::Debug for AwsEngines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsEngines")
    }
}

impl HttpClient for AwsEngines {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for AwsEngines {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let engines = self.clone();
        HttpConnectorFuture::new(async move {
            // Others go on meanwhile, as they do while a call is on the network.
            tokio::task::yield_now().await;
            let asked = AwsRequest::read(&request)
                .ok_or_else(|| ConnectorError::user("a call that no engine knows".into()))?;
            let answer = engines.answer(&asked);
            tokio::task::yield_now().await;
            Ok(answer)
        })
    }
}
