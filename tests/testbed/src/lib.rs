//! What tests across crates and benchmarks run on: one merchant, the names and the environment that
//! the functions are deployed with, WeChat Pay by the simulator, AWS in this process, and a wire to
//! AWS that counts and breaks.
//!
//! What runs in a test is the real SDK and our real code; only what is far away is replaced.
//! Nothing that is deployed depends on this crate. Tables and queues are those of `template.yaml`
//! ([`template`]). Manual clock and seeded randomness are on the feature `testing` of `runtime`:
//! [`runtime::clock::Clock::manual`], [`runtime::random::Random::seeded`].
//!
//! Without the feature `engines` only [`environment`], the merchant and its keys are here, over
//! none of our other crates: benchmarks take these.

pub mod environment;
mod merchant;
mod rsa_key;

pub use environment::Tables;
pub use merchant::{APIV3_KEY, APPIDS, MCHID, MERCHANT_SERIAL, kms_key, sealed_key};
pub use rsa_key::{RsaKey, pem};

#[cfg(feature = "engines")]
mod aws_request;
#[cfg(feature = "engines")]
mod dynamo;
#[cfg(feature = "engines")]
mod engines;
#[cfg(feature = "engines")]
mod kms;
#[cfg(feature = "engines")]
mod kms_bench;
#[cfg(feature = "engines")]
mod reply;
#[cfg(feature = "engines")]
mod rules;
#[cfg(feature = "engines")]
mod s3;
#[cfg(feature = "engines")]
mod s3_http;
#[cfg(feature = "engines")]
mod service;
#[cfg(feature = "engines")]
mod set_up;
#[cfg(feature = "engines")]
mod sqs;
#[cfg(feature = "engines")]
pub mod template;
#[cfg(feature = "engines")]
mod wire;

#[cfg(feature = "engines")]
pub use aws_request::AwsRequest;
#[cfg(feature = "engines")]
pub use dynamo::{AttributeValue, DynamoEngine, DynamoInProcess, create_tables};
#[cfg(feature = "engines")]
pub use engines::AwsEngines;
#[cfg(feature = "engines")]
pub use kms::KmsEngine;
#[cfg(feature = "engines")]
pub use kms_bench::{KmsBench, NOW, chain};
#[cfg(feature = "engines")]
pub use reply::Reply;
#[cfg(feature = "engines")]
pub use s3::{S3Engine, S3Object};
#[cfg(feature = "engines")]
pub use s3_http::{S3Reply, S3Request};
#[cfg(feature = "engines")]
pub use service::Service;
#[cfg(feature = "engines")]
pub use set_up::{simulator_config, write_merchant};
#[cfg(feature = "engines")]
pub use sqs::{SqsEngine, SqsMessage};
#[cfg(feature = "engines")]
pub use wire::{Call, Charge, Fault, FaultyTransport, Match};
