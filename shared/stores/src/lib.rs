//! What is kept at AWS: tables in DynamoDB, sealed fields, evidence in S3, messages in SQS.
//!
//! A store translates and carries; it decides nothing about orders or money. Stores are built once
//! for each sandbox and make no call before they are needed.

mod attributes;
pub mod evidence;
pub mod fields;
pub mod guards;
pub mod keys_table;
pub mod notices;
pub mod notifications;
pub mod order_table;
pub mod queues;
pub mod reconciliation;
pub mod settings;
pub mod topic;
pub mod undelivered;
