//! What a subscription filter of CloudWatch Logs delivers: `{"awslogs": {"data": ...}}`, Base64 of
//! gzip of JSON. It is unpacked up to a bound, since a small packet may become a large one.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Lambda hands over 6 MB at most.
const PACKED_MAX: usize = 6 * 1024 * 1024;
/// How long a delivery may be unpacked, in bytes: an asynchronous event has 1 MB, and JSON lines
/// rarely shrink to less than a twentieth. What is read of it takes several times as much of the
/// function's memory.
pub const PLAIN_MAX: u64 = 16 * 1024 * 1024;

/// A delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// CloudWatch Logs tries whether it can deliver.
    Control,
    /// Lines of one log stream.
    Lines(LogBatch),
}

/// Lines of one log stream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogBatch {
    #[serde(default)]
    owner: String,
    pub log_group: String,
    #[serde(default)]
    log_stream: String,
    #[serde(default)]
    subscription_filters: Vec<String>,
    pub log_events: Vec<LogEvent>,
}

/// One line, as it was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogEvent {
    /// CloudWatch's number of it: the same whenever it is delivered.
    pub id: String,
    /// Unix milliseconds.
    pub timestamp: i64,
    pub message: String,
}

/// Why a delivery cannot be read. It will not get better.
#[derive(Debug, thiserror::Error)]
pub enum BadDelivery {
    #[error("an event without awslogs.data, which a subscription filter writes")]
    NoData,
    #[error("awslogs.data is longer than Lambda hands over")]
    PackedTooLong,
    #[error("awslogs.data is no Base64")]
    Base64(#[source] base64::DecodeError),
    #[error("awslogs.data is no gzip, or was cut")]
    Gzip(#[source] std::io::Error),
    #[error("awslogs.data has more than {PLAIN_MAX} bytes when it is unpacked")]
    PlainTooLong,
    #[error("awslogs.data has no log lines")]
    Json(#[source] serde_json::Error),
    #[error("awslogs.data is neither a DATA_MESSAGE nor a CONTROL_MESSAGE")]
    UnknownKind,
}

/// Reads a delivery.
///
/// # Errors
/// [`BadDelivery`].
pub fn read(event: &Value) -> Result<Delivery, BadDelivery> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        message_type: String,
    }
    let data = event.pointer("/awslogs/data").and_then(Value::as_str);
    let data = data.ok_or(BadDelivery::NoData)?;
    if data.len() > PACKED_MAX {
        return Err(BadDelivery::PackedTooLong);
    }
    let packed = STANDARD.decode(data).map_err(BadDelivery::Base64)?;
    let plain = unpacked(&packed, PLAIN_MAX)?;
    let kind: Kind = serde_json::from_slice(&plain).map_err(BadDelivery::Json)?;
    match kind.message_type.as_str() {
        "CONTROL_MESSAGE" => Ok(Delivery::Control),
        "DATA_MESSAGE" => Ok(Delivery::Lines(
            serde_json::from_slice(&plain).map_err(BadDelivery::Json)?,
        )),
        _ => Err(BadDelivery::UnknownKind),
    }
}

fn unpacked(packed: &[u8], plain_max: u64) -> Result<Vec<u8>, BadDelivery> {
    let mut plain = Vec::new();
    // One byte more than is taken tells that there is more.
    let mut within = GzDecoder::new(packed).take(plain_max.saturating_add(1));
    within.read_to_end(&mut plain).map_err(BadDelivery::Gzip)?;
    if u64::try_from(plain.len()).unwrap_or(u64::MAX) > plain_max {
        return Err(BadDelivery::PlainTooLong);
    }
    Ok(plain)
}

/// The event that would deliver these lines of a batch alone, so that the function can be called
/// with it again.
///
/// # Errors
/// It cannot be packed, which no value brings about.
pub fn pack(batch: &LogBatch, events: &[&LogEvent]) -> std::io::Result<String> {
    let part = LogBatch {
        log_events: events.iter().map(|event| (*event).clone()).collect(),
        ..batch.clone()
    };
    let mut plain = serde_json::to_value(&part)?;
    if let Some(members) = plain.as_object_mut() {
        members.insert("messageType".to_owned(), json!("DATA_MESSAGE"));
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(plain.to_string().as_bytes())?;
    let data = STANDARD.encode(packed.finish()?);
    Ok(json!({"awslogs": {"data": data}}).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(plain).unwrap();
        packed.finish().unwrap()
    }

    fn event(data: &[u8]) -> Value {
        json!({"awslogs": {"data": STANDARD.encode(data)}})
    }

    fn lines() -> Value {
        json!({
            "messageType": "DATA_MESSAGE",
            "owner": "111122223333",
            "logGroup": "/aws/lambda/shop-create-order",
            "logStream": "2026/12/01/[1]abc",
            "subscriptionFilters": ["shop-errors"],
            "logEvents": [
                {"id": "1", "timestamp": 1_785_556_800_123_i64, "message": "{\"level\":\"ERROR\"}"},
                {"id": "2", "timestamp": 1_785_556_800_124_i64, "message": "two"},
            ],
        })
    }

    #[test]
    fn lines_are_read_and_a_part_of_them_packed_again_is_read_alike() {
        let read_lines = read(&event(&packed(lines().to_string().as_bytes()))).unwrap();
        let Delivery::Lines(batch) = read_lines else {
            panic!("lines")
        };
        assert_eq!(batch.log_group, "/aws/lambda/shop-create-order");
        let again = pack(&batch, &[&batch.log_events[1]]).unwrap();
        let Delivery::Lines(part) = read(&serde_json::from_str(&again).unwrap()).unwrap() else {
            panic!("lines")
        };
        let expected = LogBatch {
            log_events: vec![batch.log_events[1].clone()],
            ..batch
        };
        assert_eq!(part, expected);
    }

    #[test]
    fn a_control_message_is_none_of_lines() {
        let control = json!({
            "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "",
            "logStream": "", "subscriptionFilters": [],
            "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE"}],
        });
        let read = read(&event(&packed(control.to_string().as_bytes()))).unwrap();
        assert_eq!(read, Delivery::Control);
    }

    #[test]
    fn what_is_none_is_refused_by_name() {
        let whole = packed(lines().to_string().as_bytes());
        let cut = &whole[..whole.len() - 9];
        let unknown = packed(br#"{"messageType":"OTHER"}"#);
        for (given, expected) in [
            (json!({}), "without awslogs.data"),
            (json!({"awslogs": {"data": 1}}), "without awslogs.data"),
            (json!({"Records": []}), "without awslogs.data"),
            (json!({"awslogs": {"data": "?"}}), "no Base64"),
            (json!({"awslogs": {"data": ""}}), "no gzip"),
            (event(b"plain"), "no gzip"),
            (event(cut), "no gzip, or was cut"),
            (event(&packed(b"text")), "no log lines"),
            (
                event(&packed(br#"{"messageType":"DATA_MESSAGE"}"#)),
                "no log lines",
            ),
            (event(&unknown), "neither"),
        ] {
            let refused = read(&given).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        let long = json!({"awslogs": {"data": "A".repeat(PACKED_MAX + 1)}});
        assert!(matches!(read(&long), Err(BadDelivery::PackedTooLong)));
    }

    #[test]
    fn a_small_packet_that_becomes_a_large_one_is_not_unpacked_to_its_end() {
        let bomb = packed(&vec![b' '; 4_000_000]);
        assert!(bomb.len() < 10_000);
        assert!(matches!(
            unpacked(&bomb, 1_000_000),
            Err(BadDelivery::PlainTooLong)
        ));
        assert_eq!(unpacked(&bomb, 4_000_000).unwrap().len(), 4_000_000);
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_program(data in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(read(&event(&data)));
            drop(read(&event(&packed(&data))));
        }
    }
}
