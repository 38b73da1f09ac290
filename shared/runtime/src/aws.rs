//! Reaching AWS: one configuration for all clients of a sandbox, and what a failed call comes down
//! to.
//!
//! `aws-config` is left out. It looks for credentials in files, roles and metadata services that a
//! Lambda function does not have, and costs start-up time and size; Lambda puts static credentials
//! into the environment, where [`AwsSettings::read`] finds them. The trust roots are Mozilla's,
//! compiled in: reading the platform's store is what makes a default client slow to start.
//! Everything is built when it is first used, so a cold start makes no call.

mod cloudwatch;
mod counted;
mod error;
mod https;
mod recorded;
mod signed;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::clock::Clock;
use crate::env::SettingsReader;

use counted::CountedAttempts;
use recorded::RecordedCalls;

pub use cloudwatch::{CloudWatch, cloudwatch_endpoint};
pub use error::{AwsError, FailureKind};
pub(crate) use https::connector;
pub use https::https_client;

const ATTEMPTS_MAX: u32 = 3;
/// Time to open a connection to S3, including TLS.
const S3_CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Time for one attempt at S3, which may send 8 MB: at 1 MB/s, a fraction of what a small function
/// has.
const S3_ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
/// Time for a call to S3 with all its attempts. No client waits for one.
const S3_CALL_LIMIT: Duration = Duration::from_secs(30);

/// How long calls to DynamoDB, SQS and KMS may take. They answer in milliseconds; what takes much
/// longer is lost, and a repeat is likely to be answered.
///
/// All calls that one invocation makes, each at its limit, fit into its function's own time-out
/// (`tests/it/time_limits.rs`). S3 has limits of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CallLimits {
    /// Opening a connection, including TLS.
    connect: Duration,
    /// One attempt.
    attempt: Duration,
    /// The call with all its attempts and the pauses between them.
    call: Duration,
    /// The longest first pause between two attempts; the next is twice as long.
    first_pause: Duration,
}

impl CallLimits {
    /// For work that no caller waits for: a day's reconciliation, the sweep, tools.
    pub const PATIENT: Self = Self {
        connect: Duration::from_secs(1),
        attempt: Duration::from_secs(3),
        call: Duration::from_secs(8),
        first_pause: Duration::from_secs(1),
    };
    /// For calls on which a caller or the rest of a batch waits.
    pub const PROMPT: Self = Self {
        connect: Duration::from_millis(700),
        attempt: Duration::from_millis(1_000),
        call: Duration::from_millis(1_500),
        first_pause: Duration::from_millis(50),
    };
    /// For callbacks: WeChat Pay waits for the answer, and counts 5 s as no answer.
    pub const CALLBACK: Self = Self {
        connect: Duration::from_millis(450),
        attempt: Duration::from_millis(450),
        call: Duration::from_millis(1_000),
        first_pause: Duration::from_millis(50),
    };

    /// How long a call may take, with all its attempts.
    pub fn call(self) -> Duration {
        self.call
    }

    fn time_limits(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.call)
            .build()
    }

    fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(ATTEMPTS_MAX)
            .with_initial_backoff(self.first_pause)
    }
}

/// How to reach AWS, from Lambda's environment.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    region: String,
    credentials: Credentials,
    endpoint: Option<String>,
}

impl AwsSettings {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and,
    /// for local engines, `AWS_ENDPOINT_URL`.
    pub fn read(reader: &mut SettingsReader<'_>) -> Option<Self> {
        let region = reader.required("AWS_REGION", "an AWS region such as eu-central-1");
        let access_key = reader.required("AWS_ACCESS_KEY_ID", "an access key id, set by Lambda");
        let secret_key = reader.required(
            "AWS_SECRET_ACCESS_KEY",
            "a secret access key, set by Lambda",
        );
        let session_token = reader.optional("AWS_SESSION_TOKEN");
        let endpoint = reader.parsed_or(
            "AWS_ENDPOINT_URL",
            "https://..., or http:// to a private address",
            None,
            |url| is_endpoint(url).then(|| Some(url.to_owned())),
        );
        Some(Self {
            region: region?,
            credentials: Credentials::new(
                access_key?,
                secret_key?,
                session_token,
                None,
                "environment",
            ),
            endpoint: endpoint?,
        })
    }

    /// Settings that were found elsewhere than in the environment, as programs for people find them
    /// in a profile. `None` if `endpoint` is neither `https://` nor a private address.
    pub fn found(
        region: impl Into<String>,
        credentials: Credentials,
        endpoint: Option<String>,
    ) -> Option<Self> {
        let is_usable = endpoint.as_deref().is_none_or(is_endpoint);
        is_usable.then(|| Self {
            region: region.into(),
            credentials,
            endpoint,
        })
    }

    /// Whether all of AWS is an engine on this machine, so that nothing of what is done here is
    /// real.
    pub fn is_on_this_machine(&self) -> bool {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        let rest = endpoint
            .strip_prefix("http://")
            .or_else(|| endpoint.strip_prefix("https://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        authority.is_some_and(is_on_this_machine)
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// What calls are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The address that stands for all of AWS, if there is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Settings for an engine on this machine, which takes any credentials.
    pub fn local(endpoint: impl Into<String>) -> Self {
        Self {
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("local", "local", None, None, "local engine"),
            endpoint: Some(endpoint.into()),
        }
    }
}

/// Makes the clients of one sandbox. Clones, and all clients made from them, share connections.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    retry_partition: RetryPartition,
    clock: Clock,
}

impl Aws {
    /// Clients that go out over HTTPS, or over plain HTTP if the endpoint of a local engine says
    /// so.
    pub fn new(settings: &AwsSettings, clock: &Clock) -> Self {
        let plain = settings
            .endpoint
            .as_deref()
            .is_some_and(|url| url.starts_with("http://"));
        let http_client = if plain {
            aws_smithy_http_client::Builder::new().build_http()
        } else {
            https_client()
        };
        Self::with_http_client(settings, clock, http_client)
    }

    /// Clients that go out through `http_client`, such as a test's.
    pub fn with_http_client(
        settings: &AwsSettings,
        clock: &Clock,
        http_client: SharedHttpClient,
    ) -> Self {
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(settings.credentials.clone()))
            // The credentials never change while the sandbox lives: a cache would only cost a lock
            // for each call.
            .identity_cache(IdentityCache::no_cache())
            .http_client(http_client)
            .sleep_impl(clock.clone())
            .time_source(clock.clone())
            .timeout_config(TimeoutConfig::disabled())
            .retry_config(CallLimits::PATIENT.retries())
            // Answers are small and read whole within the limit of the attempt; watching their
            // speed costs CPU.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.endpoint.clone());
        Self {
            config: config.build(),
            retry_partition: own_retry_partition(),
            clock: clock.clone(),
        }
        .within(CallLimits::PATIENT)
    }

    /// The same with other limits; the default is [`CallLimits::PATIENT`]. On a clock that stands
    /// still no limit ends.
    #[must_use]
    pub fn within(&self, limits: CallLimits) -> Self {
        let mut config = self.config.clone().into_builder();
        config.set_retry_config(Some(limits.retries()));
        if self.clock.passes_by_itself() {
            config.set_timeout_config(Some(limits.time_limits()));
        }
        Self {
            config: config.build(),
            ..self.clone()
        }
    }

    fn recorded(&self) -> RecordedCalls {
        RecordedCalls(self.clock.clone())
    }

    /// A DynamoDB client.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.config);
        aws_sdk_dynamodb::Client::from_conf(
            config
                .retry_partition(self.retry_partition.clone())
                .interceptor(CountedAttempts::DynamoDb)
                .interceptor(self.recorded())
                .build(),
        )
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::config::Builder::from(&self.config);
        aws_sdk_sqs::Client::from_conf(
            config
                .retry_partition(self.retry_partition.clone())
                .interceptor(self.recorded())
                .build(),
        )
    }

    pub fn sns(&self) -> aws_sdk_sns::Client {
        let config = aws_sdk_sns::config::Builder::from(&self.config);
        aws_sdk_sns::Client::from_conf(
            config
                .retry_partition(self.retry_partition.clone())
                .interceptor(self.recorded())
                .build(),
        )
    }

    /// An S3 client. A local engine has its buckets in the path, since no name on this machine
    /// leads to a bucket.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.config)
            .retry_partition(self.retry_partition.clone())
            .force_path_style(self.config.endpoint_url().is_some())
            .interceptor(self.recorded());
        config = config.retry_config(CallLimits::PATIENT.retries());
        if self.clock.passes_by_itself() {
            config = config.timeout_config(s3_time_limits());
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub fn kms(&self) -> aws_sdk_kms::Client {
        let config = aws_sdk_kms::config::Builder::from(&self.config);
        aws_sdk_kms::Client::from_conf(
            config
                .retry_partition(self.retry_partition.clone())
                .interceptor(CountedAttempts::Kms)
                .interceptor(self.recorded())
                .build(),
        )
    }
}

fn s3_time_limits() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(S3_CONNECT_LIMIT)
        .operation_attempt_timeout(S3_ATTEMPT_LIMIT)
        .operation_timeout(S3_CALL_LIMIT)
        .build()
}

/// The SDK stops repeating when too many calls of one partition have failed lately. By default a
/// partition is shared in the whole process, so that one test's faults would take away another's
/// retries.
fn own_retry_partition() -> RetryPartition {
    static MADE: AtomicU64 = AtomicU64::new(0);
    RetryPartition::new(format!("sandbox-{}", MADE.fetch_add(1, Ordering::Relaxed)))
}

/// HTTPS is required beyond private addresses: requests carry confidential table data.
pub(crate) fn is_endpoint(url: &str) -> bool {
    match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => !rest.is_empty(),
        (None, Some(rest)) => is_private_host(rest.split(['/', '?']).next().unwrap_or_default()),
        (None, None) => false,
    }
}

fn is_private_host(authority: &str) -> bool {
    if authority == "[::1]" || authority.starts_with("[::1]:") {
        return true;
    }
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    match host.parse::<Ipv4Addr>() {
        Ok(address) => address.is_loopback() || address.is_private(),
        // The name under which a container of SAM CLI finds the machine it runs on.
        Err(_) => host == "localhost" || host == "host.docker.internal",
    }
}

/// The machine itself, also by the names under which a container of SAM CLI finds the one it runs
/// on.
fn is_on_this_machine(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let is_loopback = host
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback());
    is_loopback || ["localhost", "[::1]", "172.17.0.1", "host.docker.internal"].contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_environment_that_lambda_makes_is_enough() {
        let vars = BTreeMap::from([
            ("AWS_REGION", "ap-southeast-1"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "token"),
        ]);
        let mut reader = SettingsReader::new(&vars);
        let settings = AwsSettings::read(&mut reader);
        let settings = reader.finish(|| settings).expect("complete");
        assert_eq!(settings.region, "ap-southeast-1");
        assert_eq!(settings.credentials.session_token(), Some("token"));
        assert_eq!(settings.endpoint, None);
        assert!(
            !format!("{settings:?}").contains("secret\""),
            "the secret key is redacted"
        );
    }

    #[test]
    fn plain_http_is_taken_only_to_private_addresses() {
        for (url, fine) in [
            ("https://dynamodb.eu-central-1.amazonaws.com", true),
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566/", true),
            ("http://localhost:4566", true),
            ("http://172.17.0.1:4566", true),
            ("http://host.docker.internal:4566", true),
            ("http://dynamodb.eu-central-1.amazonaws.com", false),
            ("http://8.8.8.8:80", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1@example.com", false),
            ("ftp://127.0.0.1", false),
            ("https://", false),
        ] {
            assert_eq!(is_endpoint(url), fine, "{url}");
        }
    }
}
