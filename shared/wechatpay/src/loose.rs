//! Reading JSON that others write: what decides must have its shape, what decides nothing may have
//! any.
//!
//! Fields may be added at any time (manual page 4012081709), and those that no merchant's software
//! decides on have come in many shapes: absent, `null`, a number as text, a list for an object. A
//! payment must not wait for one of them. So such a member is skipped over unread, and read on its
//! own afterwards: what is not of the shape we know counts as absent.
//!
//! Only an object is accepted for an object. serde would accept an array for a struct, with its
//! values in the order of our fields, which no contract allows.
//!
//! Only for texts and byte slices in memory: what is skipped is borrowed from them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

/// A member that decides nothing. A value of an unknown shape counts as absent.
pub(crate) fn member<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// The same for a text. One without escapes, as nearly all are, is copied and not read a second
/// time.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?.get();
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    Ok(match inside {
        Some(plain) if !plain.contains('\\') => Some(plain.to_owned()),
        Some(_) => serde_json::from_str(raw).ok(),
        None => None,
    })
}

/// The same for a member that is an object.
pub(crate) fn object_member<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let read: Option<OnlyObject<T>> = member(deserializer)?;
    Ok(read.map(|OnlyObject(value)| value))
}

/// A member that decides, and is an object.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    OnlyObject::deserialize(deserializer).map(|OnlyObject(value)| value)
}

/// A member that decides, and is a list of objects.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let read = Vec::<OnlyObject<T>>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|OnlyObject(value)| value).collect())
}

/// A struct that is read from an object and from nothing else.
pub(crate) struct OnlyObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OnlyObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(NoArray(deserializer)).map(Self)
    }
}

/// A deserializer of structs that offers their visitors objects only.
struct NoArray<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for NoArray<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(ObjectOnly(visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct ObjectOnly<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for ObjectOnly<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}

/// Reads an object out of a whole body. Text that was cut in the middle of a character, as `attach`
/// has been, has a mark in its place: no value that decides can hold it.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let text = match simdutf8::basic::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(body),
    };
    serde_json::from_str(&text).map(|OnlyObject(value)| value)
}

/// Reads an object that borrows from the body, which must be text. It is proved to be for all of it
/// at once: serde_json would prove each string in it, which takes longer.
pub(crate) fn read_borrowed<'a, T: Deserialize<'a>>(
    body: &'a [u8],
) -> Result<T, serde_json::Error> {
    let read = match simdutf8::basic::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        // It accepts wrong bytes in members that are not read, and gives the position of the first
        // one in members that are.
        Err(_) => serde_json::from_slice(body),
    };
    read.map(|OnlyObject(value)| value)
}

/// A member that decides nothing and is kept as it came: its JSON, unread. Coupons, for one, have
/// had other members in each product and year.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Reads it, where its shape is known.
    ///
    /// # Errors
    /// serde's, which may quote the text: not for logs.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

/// It may hold anything, so only its length is shown.
impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.text().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        fen: i64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        number: String,
        #[serde(default, deserialize_with = "text")]
        text: Option<String>,
        #[serde(default, deserialize_with = "member")]
        number_too: Option<i64>,
        #[serde(default, deserialize_with = "object_member")]
        loose: Option<Inner>,
        #[serde(deserialize_with = "object")]
        strict: Inner,
        #[serde(default, deserialize_with = "objects")]
        list: Vec<Inner>,
    }

    fn outer(text: &str) -> Result<Outer, serde_json::Error> {
        read(text.as_bytes())
    }

    #[test]
    fn a_member_that_decides_nothing_may_have_any_shape() {
        for shape in [
            "null",
            "5",
            "-1.5",
            "1e999",
            "true",
            "[]",
            "{}",
            "[[[]]]",
            r#"["a",1]"#,
            r#""\ud800""#,
        ] {
            let body = format!(
                r#"{{"number":"n","text":{shape},"number_too":{shape},"loose":{shape},"strict":{{"fen":1}},"other":{shape}}}"#
            );
            let read = outer(&body).unwrap_or_else(|error| panic!("{shape}: {error}"));
            let read = (
                read.text,
                read.number_too.filter(|_| shape != "5"),
                read.loose,
            );
            assert_eq!(read, (None, None, None), "{shape}");
        }
    }

    #[test]
    fn what_has_its_shape_is_read() {
        let body = r#"{"number":"n","text":"a\nb","number_too":7,"loose":{"fen":2,"more":[]},"strict":{"fen":1},"list":[{"fen":3}]}"#;
        let expected = Outer {
            number: "n".to_owned(),
            text: Some("a\nb".to_owned()),
            number_too: Some(7),
            loose: Some(Inner { fen: 2 }),
            strict: Inner { fen: 1 },
            list: vec![Inner { fen: 3 }],
        };
        assert_eq!(outer(body).expect("documented"), expected);
    }

    #[test]
    fn a_text_is_read_with_its_escapes_and_without() {
        for (json, expected) in [
            (r#""""#, ""),
            (r#""茶 tea""#, "茶 tea"),
            (r#""a\"b""#, "a\"b"),
            (r#""\u8336""#, "茶"),
            (r#""\\""#, "\\"),
        ] {
            let body = format!(r#"{{"number":"n","text":{json},"strict":{{"fen":1}}}}"#);
            let read = outer(&body).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(read.text.as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn no_array_passes_for_an_object_that_decides() {
        for body in [
            r#"["n","t",{"fen":2},{"fen":1},[]]"#,
            r#"{"number":"n","strict":[1]}"#,
            r#"{"number":"n","strict":{"fen":1},"list":[[3]]}"#,
            r#"{"number":["n"],"strict":{"fen":1}}"#,
            r#"{"number":"n","strict":null}"#,
            r#"{"number":"n"}"#,
        ] {
            assert!(outer(body).is_err(), "{body}");
        }
        let body = r#"{"number":"n","loose":[2],"strict":{"fen":1}}"#;
        assert_eq!(outer(body).expect("the array decides nothing").loose, None);
    }

    #[test]
    fn a_wrong_byte_is_refused_in_what_is_borrowed_and_passed_over_elsewhere() {
        #[derive(Debug, Deserialize)]
        struct Borrowed<'a> {
            number: &'a str,
        }
        let body = |of: &[u8], other: &[u8]| -> Vec<u8> {
            let parts: [&[u8]; 5] = [b"{\"number\":\"", of, b"\",\"other\":\"", other, b"\"}"];
            parts.concat()
        };
        let right = body("茶".as_bytes(), "好".as_bytes());
        let read: Borrowed<'_> = read_borrowed(&right).expect("text");
        assert_eq!(read.number, "茶");
        let elsewhere = body(b"n", b"\xff");
        assert!(read_borrowed::<Borrowed<'_>>(&elsewhere).is_ok());
        let error = read_borrowed::<Borrowed<'_>>(&body(b"\xff", b"")).expect_err("no text");
        assert!(error.column() > 0, "{error}");
        assert!(read_borrowed::<Borrowed<'_>>(b"[\"n\"]").is_err());
    }

    #[test]
    fn a_text_that_was_cut_inside_a_character_stops_nothing() {
        let mut body = br#"{"number":"n","text":""#.to_vec();
        body.extend_from_slice(&"茶".as_bytes()[..2]);
        body.extend_from_slice(br#"","strict":{"fen":1}}"#);
        let read: Outer = read(&body).expect("what decides is whole");
        assert_eq!(read.text.as_deref(), Some("\u{fffd}"));
    }
}
