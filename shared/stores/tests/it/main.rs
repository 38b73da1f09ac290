//! The stores over the real SDK: DynamoDB and S3 in this process, KMS and SQS by the pinned local
//! engine, faults on the wire.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod days;
mod embedded;
mod evidence;
mod fields;
mod keys_table;
mod notices;
mod queues;
mod reconciliation;
mod refunds;
mod undelivered;
