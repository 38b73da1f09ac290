//! The adapters over the real SDK: DynamoDB in this process, KMS and SQS by the pinned local
//! engine, faults on the wire, receivers of webhooks on this machine.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod aws_rules;
mod bench;
mod bill_file;
mod calls;
mod days;
mod evidence;
mod fields;
mod keys_table;
mod kms;
mod notices;
mod queues;
mod reconciliation;
mod refunds;
mod signers;
mod undelivered;
mod webhook_http;
