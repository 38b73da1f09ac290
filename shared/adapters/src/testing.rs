//! Strangers for tests: DynamoDB and S3 in this process, and a wire to AWS that counts and breaks.
//!
//! Behind the feature `testing`, which nothing that is deployed turns on. What runs in a test is
//! the real SDK and our real adapters; only what is far away is replaced. Manual clock and seeded
//! randomness are on the same feature: [`crate::clock::Clock::manual`],
//! [`crate::random::Random::seeded`].

mod dynamo;
mod rules;
mod s3;
mod wire;

pub use dynamo::{AttributeValue, DynamoEngine, Tables};
pub use rules::refusal;
pub use s3::{S3Engine, S3Object, S3Reply, S3Request, s3_request};
pub use wire::{Call, Fault, FaultyTransport, Match, Service};
