//! Attributes as they go out.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};

/// The value of an attribute.
#[derive(Debug)]
pub struct Value(any_value::Value);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(any_value::Value::StringValue(text))
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self(any_value::Value::BoolValue(is_so))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(any_value::Value::IntValue(number))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::from(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// One text in a list.
pub(crate) fn only(text: String) -> Value {
    let Value(text) = Value::from(text);
    Value(any_value::Value::ArrayValue(ArrayValue {
        values: vec![AnyValue { value: Some(text) }],
    }))
}

pub(crate) fn attribute(key: &'static str, value: impl Into<Value>) -> KeyValue {
    let Value(value) = value.into();
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
