//! Checks a request's JSON against the fields of WeChat Pay's API: required ones, types, lengths,
//! unknown keys, and the two general rules (no `null`, no character of four bytes).

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// What a value must be.
pub(crate) enum ValueKind {
    /// A string of 1 to `0` characters.
    Text(usize),
    /// A string of 1 to `0` bytes of UTF-8.
    Bytes(usize),
    /// An integer within both bounds.
    Integer(i64, i64),
    Boolean,
    /// A number of the merchant's own: a string of 1 to `1` characters, each an ASCII letter or
    /// digit, or one of `0`.
    Id(&'static str, usize),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An array with at least one element, each one of these strings.
    SomeOf(&'static [&'static str]),
    Object(&'static [Field]),
    /// An object whose members no public page names: they are taken as they come.
    AnyObject,
    /// An array with at least one element.
    List(&'static [Field]),
}

/// One key of an object.
pub(crate) struct Field {
    name: &'static str,
    kind: ValueKind,
    required: bool,
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, kind: ValueKind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// A key that may be left out.
pub(crate) const fn optional(name: &'static str, kind: ValueKind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// Parses `body` as one JSON object and holds it to `fields`.
pub(crate) fn read(body: &[u8], fields: &[Field]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| Refusal::param("body", "", None, "无法解析为JSON (the body is not JSON)"))?;
    characters("", &value)?;
    object("", &value, fields)?;
    Ok(value)
}

/// The string under `pointer`, or the empty string.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The string under `pointer`, if it is there.
pub(crate) fn optional_text(value: &Value, pointer: &str) -> Option<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// The integer under `pointer`, or 0.
pub(crate) fn integer(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// Whether `text` has only ASCII letters, digits and the characters of `others`, and a length
/// within both bounds.
pub(crate) fn is_number(text: &str, others: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn characters(pointer: &str, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Null => Err(Refusal::field(
            pointer,
            Some(value),
            "不允许为null (null is not allowed, leave the key out)",
        )),
        Value::String(text) if text.chars().any(|c| c.len_utf8() == 4) => Err(Refusal::field(
            pointer,
            Some(value),
            "含有不支持的4字节字符 (characters of four bytes, such as emoji, are not supported)",
        )),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| characters(&format!("{pointer}/{at}"), item)),
        Value::Object(map) => map
            .iter()
            .try_for_each(|(key, item)| characters(&format!("{pointer}/{key}"), item)),
    }
}

fn object(pointer: &str, value: &Value, fields: &[Field]) -> Result<(), Refusal> {
    let map = value
        .as_object()
        .ok_or_else(|| Refusal::field(pointer, Some(value), "应为对象 (must be an object)"))?;
    unknown_keys(pointer, map, fields)?;
    for field in fields {
        let pointer = format!("{pointer}/{}", field.name);
        match map.get(field.name) {
            Some(value) => one(&pointer, value, &field.kind)?,
            None if field.required => {
                return Err(Refusal::field(
                    &pointer,
                    None,
                    "缺少必填参数 (required, but missing)",
                ));
            }
            None => {}
        }
    }
    Ok(())
}

fn unknown_keys(pointer: &str, map: &Map<String, Value>, fields: &[Field]) -> Result<(), Refusal> {
    match map
        .iter()
        .find(|(key, _)| fields.iter().all(|field| field.name != *key))
    {
        Some((key, value)) => Err(Refusal::field(
            &format!("{pointer}/{key}"),
            Some(value),
            "未定义的参数 (unknown key)",
        )
        .with_internal(270_924_358)),
        None => Ok(()),
    }
}

fn one(pointer: &str, value: &Value, kind: &ValueKind) -> Result<(), Refusal> {
    let wrong = |issue: String| Err(Refusal::field(pointer, Some(value), &issue));
    match kind {
        ValueKind::Text(most) => match value.as_str().map(|text| text.chars().count()) {
            Some(length) if (1..=*most).contains(&length) => Ok(()),
            Some(length) => wrong(format!(
                "长度应为1至{most} (has {length} characters, allowed are 1 to {most})"
            )),
            None => wrong("应为字符串 (must be a string)".to_owned()),
        },
        ValueKind::Bytes(most) => match value.as_str().map(str::len) {
            Some(length) if (1..=*most).contains(&length) => Ok(()),
            Some(length) => wrong(format!(
                "长度应为1至{most}字节 (has {length} bytes, allowed are 1 to {most})"
            )),
            None => wrong("应为字符串 (must be a string)".to_owned()),
        },
        ValueKind::Integer(least, most) => match value.as_i64() {
            Some(number) if (*least..=*most).contains(&number) => Ok(()),
            Some(_) => wrong(format!(
                "应在{least}至{most}之间 (must be {least} to {most})"
            )),
            None => wrong("应为整数 (must be an integer)".to_owned()),
        },
        ValueKind::Boolean if value.is_boolean() => Ok(()),
        ValueKind::Boolean => wrong("应为布尔值 (must be true or false)".to_owned()),
        ValueKind::Id(others, most) => match value.as_str() {
            Some(text) if is_number(text, others, 1, *most) => Ok(()),
            Some(_) => wrong(format!(
                "应为1至{most}位数字、大小写字母或{others} (1 to {most} digits, letters, or {others})"
            )),
            None => wrong("应为字符串 (must be a string)".to_owned()),
        },
        ValueKind::OneOf(names) if is_one_of(value, names) => Ok(()),
        ValueKind::OneOf(names) => {
            wrong(format!("枚举值错误 (must be one of {})", names.join(", ")))
        }
        ValueKind::SomeOf(names) => match value.as_array().map(Vec::as_slice) {
            Some([]) => wrong("不能为空数组 (must have an element)".to_owned()),
            Some(items) => items.iter().enumerate().try_for_each(|(at, item)| {
                one(&format!("{pointer}/{at}"), item, &ValueKind::OneOf(names))
            }),
            None => wrong("应为数组 (must be an array)".to_owned()),
        },
        ValueKind::AnyObject if value.is_object() => Ok(()),
        ValueKind::AnyObject => wrong("应为对象 (must be an object)".to_owned()),
        ValueKind::Object(fields) => object(pointer, value, fields),
        ValueKind::List(fields) => match value.as_array() {
            Some(items) if !items.is_empty() => items
                .iter()
                .enumerate()
                .try_for_each(|(at, item)| object(&format!("{pointer}/{at}"), item, fields)),
            Some(_) => wrong("不能为空数组 (must have an element)".to_owned()),
            None => wrong("应为数组 (must be an array)".to_owned()),
        },
    }
}

fn is_one_of(value: &Value, names: &[&str]) -> bool {
    value.as_str().is_some_and(|text| names.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        required("name", ValueKind::Text(4)),
        optional("count", ValueKind::Integer(1, 9)),
        optional(
            "list",
            ValueKind::List(&[required("on", ValueKind::Boolean)]),
        ),
        optional("kind", ValueKind::OneOf(&["a", "b"])),
        optional("short", ValueKind::Bytes(3)),
        optional("id", ValueKind::Id("_-", 3)),
        optional("some", ValueKind::SomeOf(&["a", "b"])),
        optional("any", ValueKind::AnyObject),
    ];

    #[test]
    fn each_broken_rule_names_its_field() {
        for (body, field) in [
            (r#"[]"#, ""),
            (r#"{}"#, "/name"),
            (r#"{"name":""}"#, "/name"),
            (r#"{"name":"12345"}"#, "/name"),
            (r#"{"name":"你好你好","count":0}"#, "/count"),
            (r#"{"name":"a","count":"1"}"#, "/count"),
            (r#"{"name":"a","count":1.0}"#, "/count"),
            (r#"{"name":"a","list":[]}"#, "/list"),
            (r#"{"name":"a","list":[{"on":1}]}"#, "/list/0/on"),
            (r#"{"name":"a","kind":"c"}"#, "/kind"),
            (r#"{"name":"a","short":"你a"}"#, "/short"),
            (r#"{"name":"a","id":"a*"}"#, "/id"),
            (r#"{"name":"a","id":""}"#, "/id"),
            (r#"{"name":"a","id":"abcd"}"#, "/id"),
            (r#"{"name":"a","id":1}"#, "/id"),
            (r#"{"name":"a","some":[]}"#, "/some"),
            (r#"{"name":"a","some":"a"}"#, "/some"),
            (r#"{"name":"a","some":["a","c"]}"#, "/some/1"),
            (r#"{"name":"a","any":[]}"#, "/any"),
            (r#"{"name":"a","any":{"deep":null}}"#, "/any/deep"),
            (r#"{"name":"a","other":1}"#, "/other"),
            (r#"{"name":"a","count":null}"#, "/count"),
            (r#"{"name":"😀"}"#, "/name"),
        ] {
            let refusal = read(body.as_bytes(), FIELDS).unwrap_err();
            let answer: Value = serde_json::from_slice(&refusal.body(None, false)).unwrap();
            assert_eq!(
                (refusal.status, refusal.code.as_ref()),
                (400, "PARAM_ERROR"),
                "{body}"
            );
            assert_eq!(answer["detail"]["field"], field, "{body}");
        }
        for body in [
            r#"{"name":"a","list":[{"on":true}],"kind":"b"}"#,
            r#"{"name":"a","id":"a_-","some":["b","a"],"any":{"of":{"any":[1,"kind"]}}}"#,
        ] {
            assert!(read(body.as_bytes(), FIELDS).is_ok(), "{body}");
        }
    }
}
