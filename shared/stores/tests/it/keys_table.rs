//! The `keys` table: what is read when, what is cached, and which secrets can be unsealed where.

mod channels;
mod clients;
mod log_sinks;
mod merchant;
mod permissions;
mod webhooks;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use stores::keys_table::{
    KeysTable, VerificationEntry, VerificationKind,
    write::{NewApiV3Key, NewMerchant},
};
use testbed::KmsBench;
use testbed::{DynamoEngine, FaultyTransport, Match, Service, Tables};

const MCHID: &str = "1900000001";
const SIGNER_SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0000000000000024101100397200000006";
const PUBLIC_KEY: &str = include_str!("../../../wechatpay/vectors/keys/platform-public.pem");
const CERTIFICATE: &str = include_str!("../../../wechatpay/vectors/keys/platform-certificate.pem");
const APIV3_KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

/// A table with no item yet. KMS and DynamoDB each have a wire and share a manual clock.
struct Bench {
    kms: KmsBench,
    wire: FaultyTransport,
    tables: Tables,
    secrets_key: String,
    engine: DynamoEngine,
}

impl Bench {
    async fn new() -> Self {
        let kms = KmsBench::start();
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("test-").await;
        let wire = FaultyTransport::new(kms.clock.clone());
        let secrets_key = kms.symmetric_key();
        Self {
            kms,
            wire,
            tables,
            secrets_key,
            engine,
        }
    }

    /// The table as a sandbox has it that has just started.
    fn sandbox(&self) -> KeysTable {
        KeysTable::new(
            self.engine.client_over(&self.wire, &self.kms.clock),
            &self.tables.keys,
            MCHID,
            self.kms.kms.clone(),
            &self.secrets_key,
            self.kms.clock.clone(),
        )
    }

    fn reads(&self) -> usize {
        self.wire
            .count(&Match::operation(Service::DynamoDb, "GetItem"))
    }

    async fn put_merchant(&self) {
        self.sandbox()
            .put_merchant(&merchant(&[public_key()]))
            .await
            .expect("written");
        self.wire.forget();
        self.kms.wire.forget();
    }

    /// Sets one attribute of an item past the adapter.
    async fn set(&self, pk: &str, attribute: &str, value: AttributeValue) {
        let client = self.engine.client(&self.kms.clock);
        let update = client
            .update_item()
            .table_name(&self.tables.keys)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":v", value);
        update.send().await.expect("written");
    }

    async fn remove(&self, pk: &str, attribute: &str) {
        let client = self.engine.client(&self.kms.clock);
        let update = client
            .update_item()
            .table_name(&self.tables.keys)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .update_expression("REMOVE #a")
            .expression_attribute_names("#a", attribute);
        update.send().await.expect("written");
    }

    async fn attribute(&self, pk: &str, attribute: &str) -> AttributeValue {
        let mut item = self.item(pk).await;
        item.remove(attribute).expect("the attribute")
    }

    async fn item(&self, pk: &str) -> HashMap<String, AttributeValue> {
        let client = self.engine.client(&self.kms.clock);
        let get = client
            .get_item()
            .table_name(&self.tables.keys)
            .key("pk", AttributeValue::S(pk.to_owned()));
        get.send().await.expect("read").item.expect("an item")
    }
}

fn public_key() -> VerificationEntry {
    VerificationEntry {
        id: PUBLIC_KEY_ID.to_owned(),
        kind: VerificationKind::PublicKey,
        pem: PUBLIC_KEY.to_owned(),
    }
}

fn certificate() -> VerificationEntry {
    let serial = wechatpay::VerificationKeys::new()
        .add_certificate(CERTIFICATE)
        .expect("a certificate");
    VerificationEntry {
        id: serial,
        kind: VerificationKind::Certificate,
        pem: CERTIFICATE.to_owned(),
    }
}

fn merchant(verification: &[VerificationEntry]) -> NewMerchant<'_> {
    NewMerchant {
        verification,
        response_serial: &verification[0].id,
        apiv3: &[NewApiV3Key {
            version: 1,
            bytes: &APIV3_KEY,
        }],
        signer_serial: SIGNER_SERIAL,
        signer_kms_key_id: None,
        signer_pkcs8: None,
    }
}
