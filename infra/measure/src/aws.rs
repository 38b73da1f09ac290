//! Canned services behind the functions: DynamoDB, KMS, SQS and WeChat Pay, at one address over
//! plain HTTP.
//!
//! They answer at once and in the right form, so that only the function and its SDK are measured.
//! DynamoDB keeps orders, without checking conditions: every order of a benchmark is new. KMS opens
//! the deployment's few secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use testbed::RsaKey;
use testbed::environment::{SECRETS_KEY_ID, SIGNING_KEY_ID};

use crate::deployment::{self, KEYS_TABLE, ORDERS_TABLE};
use crate::failure::{Failure, MeasureResult};
use crate::http::{Request, Response, Server};
use crate::wechat::Wechat;

/// All services of one benchmark.
#[derive(Debug)]
pub(crate) struct Services {
    server: Server,
    state: Arc<ServicesState>,
}

#[derive(Clone, Debug)]
pub(crate) struct ServedCall {
    /// Service and operation, such as `TrentService.Decrypt`; for WeChat Pay the path.
    pub(crate) operation: String,
    /// When it was here as a whole.
    pub(crate) asked: Instant,
    /// How long it took to answer.
    pub(crate) took: Duration,
}

impl ServedCall {
    pub(crate) fn is_kms(&self) -> bool {
        self.operation.starts_with("TrentService.")
    }
}

#[derive(Debug)]
struct ServicesState {
    wechat: Arc<Wechat>,
    keys: BTreeMap<String, Value>,
    secrets: BTreeMap<String, String>,
    /// A signature of the right length. The merchant's signatures are not verified here.
    signature: String,
    orders: Mutex<BTreeMap<String, Map<String, Value>>>,
    calls: Mutex<Vec<ServedCall>>,
}

impl Services {
    pub(crate) fn start(wechat: Arc<Wechat>) -> MeasureResult<Self> {
        let merchant = RsaKey::generate();
        let state = Arc::new(ServicesState {
            keys: deployment::key_items(&wechat),
            secrets: deployment::secrets(&merchant),
            signature: BASE64.encode(merchant.sign(b"anything")),
            wechat,
            orders: Mutex::default(),
            calls: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        let server = Server::start(move |request| Some(serving.serve(&request)))?;
        Ok(Self { server, state })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Vec<ServedCall> {
        std::mem::take(&mut *locked(&self.state.calls))
    }

    /// Removes the orders, so that a long run needs no more memory than a short one.
    pub(crate) fn forget_orders(&self) {
        locked(&self.state.orders).clear();
    }
}

impl ServicesState {
    fn serve(&self, request: &Request) -> Response {
        let operation = request
            .header("x-amz-target")
            .unwrap_or(&request.path)
            .to_owned();
        let answer = self.answer(&operation, &request.body);
        let (asked, took) = (request.read_at, request.read_at.elapsed());
        locked(&self.calls).push(ServedCall {
            operation,
            asked,
            took,
        });
        answer.unwrap_or_else(|failure| {
            Response::json(
                400,
                json!({"__type": "NotCanned", "message": failure.to_string()}),
            )
        })
    }

    fn answer(&self, operation: &str, body: &[u8]) -> MeasureResult<Response> {
        if operation.starts_with("/v3/pay/transactions/") {
            return self.wechat.prepay();
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let answer = match operation {
            "DynamoDB_20120810.GetItem" => self.get_item(&asked),
            "DynamoDB_20120810.PutItem" => self.put_item(&asked),
            "DynamoDB_20120810.UpdateItem" => self.update_item(&asked)?,
            "DynamoDB_20120810.TransactWriteItems" => json!({}),
            "DynamoDB_20120810.Query" => json!({"Items": [], "Count": 0, "ScannedCount": 0}),
            "TrentService.Decrypt" => self.decrypt(&asked)?,
            "TrentService.GenerateDataKey" => deployment::data_key(),
            "TrentService.Sign" => {
                json!({"KeyId": SIGNING_KEY_ID, "Signature": self.signature, "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"})
            }
            // The digest is there for those SDKs that check it by default.
            "AmazonSQS.SendMessage" => json!({
                "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274",
                "MD5OfMessageBody": format!("{:x}", md5::compute(text(&asked, "/MessageBody"))),
            }),
            other => return Err(Failure::new(format!("{other} is not canned"))),
        };
        Ok(Response::json(200, answer).with("content-type", "application/x-amz-json-1.0"))
    }

    fn get_item(&self, asked: &Value) -> Value {
        let pk = text(asked, "/Key/pk/S");
        let found = match text(asked, "/TableName") {
            KEYS_TABLE => self.keys.get(pk).cloned(),
            _ => locked(&self.orders).get(pk).cloned().map(Value::Object),
        };
        found.map_or_else(|| json!({}), |item| json!({"Item": item}))
    }

    fn put_item(&self, asked: &Value) -> Value {
        if let (ORDERS_TABLE, Some(item)) = (
            text(asked, "/TableName"),
            asked.get("Item").and_then(Value::as_object),
        ) {
            locked(&self.orders).insert(text(asked, "/Item/pk/S").to_owned(), item.clone());
        }
        json!({})
    }

    fn update_item(&self, asked: &Value) -> MeasureResult<Value> {
        let mut orders = locked(&self.orders);
        let item = orders
            .get_mut(text(asked, "/Key/pk/S"))
            .ok_or_else(|| Failure::new("an update of no order"))?;
        for (name, value) in assignments(asked) {
            item.insert(name, value);
        }
        for name in removed(asked) {
            item.remove(name);
        }
        Ok(json!({"Attributes": item}))
    }

    fn decrypt(&self, asked: &Value) -> MeasureResult<Value> {
        let plain = self.secrets.get(text(asked, "/CiphertextBlob"));
        let plain = plain.ok_or_else(|| Failure::new("no such secret"))?;
        Ok(
            json!({"KeyId": SECRETS_KEY_ID, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
        )
    }
}

/// What `SET name = :value, ...` assigns. Functions such as `list_append` are left out: nothing
/// here reads a journal.
fn assignments(asked: &Value) -> Vec<(String, Value)> {
    let expression = text(asked, "/UpdateExpression");
    let set = expression.strip_prefix("SET ").unwrap_or_default();
    let assigned = set.split(" REMOVE ").next().unwrap_or_default().split(", ");
    let pairs = assigned.filter_map(|part| part.split_once(" = "));
    let resolved = pairs.filter_map(|(name, value)| {
        let name = asked
            .pointer(&format!("/ExpressionAttributeNames/{name}"))
            .and_then(Value::as_str)
            .unwrap_or(name);
        let value = asked.pointer(&format!("/ExpressionAttributeValues/{value}"))?;
        Some((name.to_owned(), value.clone()))
    });
    resolved.collect()
}

/// What `... REMOVE name, name` removes.
fn removed(asked: &Value) -> impl Iterator<Item = &str> {
    let (_, names) = text(asked, "/UpdateExpression")
        .split_once(" REMOVE ")
        .unwrap_or_default();
    names.split(", ").filter(|name| !name.is_empty())
}

/// A text inside a JSON value; empty when it is not there.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_assigns_values_under_their_real_names() {
        let asked = json!({
            "UpdateExpression": "SET #state = :to, early_events = list_append(early_events, :event), version = :next REMOVE prepay, sealed_body",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":to": {"S": "paid"}, ":next": {"N": "2"}, ":event": {"L": []}},
        });
        let expected = [
            ("state".to_owned(), json!({"S": "paid"})),
            ("version".to_owned(), json!({"N": "2"})),
        ];
        assert_eq!(assignments(&asked), expected);
        assert!(removed(&asked).eq(["prepay", "sealed_body"]));
    }

    #[test]
    fn an_order_that_was_put_and_updated_is_read_back() {
        let services = Services::start(Arc::new(Wechat::new().expect("keys"))).expect("a server");
        let ask = |operation: &str, asked: Value| {
            let answer = services
                .state
                .answer(operation, asked.to_string().as_bytes())
                .expect("canned");
            serde_json::from_slice::<Value>(&answer.body).expect("JSON")
        };
        ask(
            "DynamoDB_20120810.PutItem",
            json!({"TableName": "orders", "Item": {"pk": {"S": "o"}, "state": {"S": "reserved"}}}),
        );
        let key = json!({"pk": {"S": "o"}, "sk": {"S": "order"}});
        let update = json!({"Key": key, "UpdateExpression": "SET state = :s", "ExpressionAttributeValues": {":s": {"S": "paid"}}});
        assert_eq!(
            ask("DynamoDB_20120810.UpdateItem", update)["Attributes"]["state"]["S"],
            "paid"
        );
        let read = ask(
            "DynamoDB_20120810.GetItem",
            json!({"TableName": "orders", "Key": key}),
        );
        assert_eq!(read["Item"]["state"]["S"], "paid");
    }
}
