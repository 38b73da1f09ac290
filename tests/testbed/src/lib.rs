//! What tests across crates run on: DynamoDB and S3 in this process, KMS and SQS by the local
//! engine, and a wire to AWS that counts and breaks.
//!
//! What runs in a test is the real SDK and our real code; only what is far away is replaced.
//! Nothing that is deployed depends on this crate. Manual clock and seeded randomness are on the
//! feature `testing` of `runtime`: [`runtime::clock::Clock::manual`],
//! [`runtime::random::Random::seeded`].

mod dynamo;
mod kms;
mod rules;
mod s3;
mod s3_http;
mod service;
mod wire;

pub use dynamo::{AttributeValue, DynamoEngine, Tables};
pub use kms::{KmsBench, NOW, chain, engine_endpoint, pem, rsa_key};
pub use rules::refusal;
pub use s3::{S3Engine, S3Object};
pub use s3_http::{S3Reply, S3Request, s3_request};
pub use service::Service;
pub use wire::{Call, Fault, FaultyTransport, Match};
