//! A failed AWS call, by what may be concluded.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A failed AWS call. It contains no request and no answer: both may hold personal data, and so may
/// the `Debug` text of the SDK's own errors (a refused conditional write carries the whole old
/// item).
#[derive(Debug)]
pub struct AwsError {
    operation: &'static str,
    kind: FailureKind,
    code: Option<String>,
    message: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failed calls, by what the caller may conclude.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// The request could not be built. Nothing happened; a repeat fails as well.
    NotSent,
    /// No answer in time. It may or may not have been carried out.
    TimedOut,
    /// The connection failed or broke. It may or may not have been carried out.
    Unreachable,
    /// An answer came that could not be read. It may or may not have been carried out.
    Unreadable,
    /// Too many calls. Nothing happened; a later repeat may succeed.
    Throttled,
    /// The service failed (5xx). It may or may not have been carried out.
    ServiceFault,
    /// The service said no. Nothing happened; a repeat fails as well.
    Refused,
}

impl AwsError {
    /// Sums up the failure of `operation`, a name such as `"PutItem"`.
    pub fn new<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let message = error.message().map(str::to_owned);
        let kind = kind_of(&error, code.as_deref());
        let source = match error {
            // Only the code and message of the service's own error are used; the object may hold an
            // item.
            SdkError::ServiceError(_) => None,
            other @ (SdkError::ConstructionFailure(_)
            | SdkError::TimeoutError(_)
            | SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_)
            | _) => other.into_source().ok(),
        };
        Self {
            operation,
            kind,
            code,
            message,
            source,
        }
    }

    /// What may be concluded.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The service's error code, if it answered with one.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            FailureKind::NotSent | FailureKind::Refused => false,
            FailureKind::TimedOut
            | FailureKind::Unreachable
            | FailureKind::Unreadable
            | FailureKind::Throttled
            | FailureKind::ServiceFault => true,
        }
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FailureKind::NotSent => "could not be built",
            FailureKind::TimedOut => "timed out",
            FailureKind::Unreachable => "did not reach the service or lost its answer",
            FailureKind::Unreadable => "got an answer that could not be read",
            FailureKind::Throttled => "was throttled",
            FailureKind::ServiceFault => "failed inside the service",
            FailureKind::Refused => "was refused",
        };
        write!(f, "{} {what}", self.operation)?;
        if let Some(code) = &self.code {
            write!(f, ": {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " ({message})")?;
        }
        Ok(())
    }
}

impl Error for AwsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>, code: Option<&str>) -> FailureKind {
    match error {
        SdkError::ConstructionFailure(_) => FailureKind::NotSent,
        SdkError::TimeoutError(_) => FailureKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => FailureKind::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_user() => FailureKind::NotSent,
        SdkError::ServiceError(_) if code.is_some_and(is_throttling) => FailureKind::Throttled,
        // S3, when an upload came too slowly: a 400 that passes.
        SdkError::ServiceError(_) if code == Some("RequestTimeout") => FailureKind::TimedOut,
        SdkError::ServiceError(service) if service.raw().status().as_u16() >= 500 => {
            FailureKind::ServiceFault
        }
        SdkError::ServiceError(_) => FailureKind::Refused,
        SdkError::ResponseError(_) => FailureKind::Unreadable,
        SdkError::DispatchFailure(_) | _ => FailureKind::Unreachable,
    }
}

/// The codes with which DynamoDB, SQS and KMS ask for fewer calls.
pub(super) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "SlowDown"
            // By KMS, of S3 and SQS, which have it encrypt for them.
            | "KmsThrottled"
            | "KMS.ThrottlingException"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_refusal_is_distinguished_from_a_permanent_one() {
        use aws_sdk_s3::operation::put_object::PutObjectError;
        for (status, code, kind) in [
            (400_u16, "RequestTimeout", FailureKind::TimedOut),
            (503, "SlowDown", FailureKind::Throttled),
            (400, "KMS.ThrottlingException", FailureKind::Throttled),
            (400, "ThrottlingException", FailureKind::Throttled),
            (500, "InternalError", FailureKind::ServiceFault),
            (400, "InvalidPart", FailureKind::Refused),
            (403, "AccessDenied", FailureKind::Refused),
        ] {
            let status = status.try_into().expect("a status");
            let raw = HttpResponse::new(status, aws_smithy_types::body::SdkBody::empty());
            let meta = aws_smithy_types::error::ErrorMetadata::builder().code(code);
            let error = PutObjectError::generic(meta.build());
            assert_eq!(
                AwsError::new("PutObject", SdkError::service_error(error, raw)).kind(),
                kind,
                "{code}"
            );
        }
    }
}
