//! The AWS services that the bundle calls.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// Tables.
    DynamoDb,
    /// Queues.
    Sqs,
    /// Keys.
    Kms,
    /// Files.
    S3,
}
