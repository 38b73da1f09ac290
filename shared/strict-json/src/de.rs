//! Serde's side: a value that gives itself to a type, and to no other than it says it is.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer,
    MapAccess, SeqAccess, VariantAccess, Visitor, value::StringDeserializer,
};

use crate::{
    null::Null,
    value::Value,
    wrong::{Step, Wrong, twice},
};

pub(crate) const OBJECT: &str = "must be an object, with its members by name";
const ARRAY: &str = "must be an array";
const TEXT: &str = "must be a text";
const WHOLE: &str = "must be a whole number, written without a fraction or an exponent";
const TRUE_OR_FALSE: &str = "must be true or false";
const NOT_NULL: &str = "must not be null: leave it out if it has no value";

/// A value being converted to a type.
pub(crate) struct Reader {
    pub(crate) value: Value,
    pub(crate) null: Null,
}

impl Value {
    /// Reads a type from it.
    ///
    /// # Errors
    /// [`Wrong`] names the first thing that is not as the type has it.
    pub fn into_type<T: DeserializeOwned>(self, null: Null) -> Result<T, Wrong> {
        T::deserialize(Reader { value: self, null })
    }
}

impl Reader {
    /// It is not what the type needs.
    fn not(&self, rule: &str) -> Wrong {
        match (&self.value, self.null) {
            (Value::Null, Null::Refused) => Wrong::new(NOT_NULL),
            (Value::Null, Null::Absent)
            | (
                Value::Bool(_)
                | Value::Unsigned(_)
                | Value::Negative(_)
                | Value::OtherNumber
                | Value::Text(_)
                | Value::Array(_)
                | Value::Object(_),
                Null::Refused | Null::Absent,
            ) => Wrong::new(rule),
        }
    }

    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Unsigned(value) => visitor.visit_u64(value),
            Value::Negative(value) => visitor.visit_i64(value),
            Value::Null
            | Value::Bool(_)
            | Value::OtherNumber
            | Value::Text(_)
            | Value::Array(_)
            | Value::Object(_) => Err(self.not(WHOLE)),
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Text(text) = self.value {
            visitor.visit_string(text)
        } else {
            Err(self.not(TEXT))
        }
    }

    fn array<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Array(items) = self.value {
            let mut items = Items {
                items: items.into_iter(),
                at: 0,
                null: self.null,
            };
            let read = visitor.visit_seq(&mut items)?;
            if items.items.len() == 0 {
                Ok(read)
            } else {
                Err(Wrong::new("has too many items"))
            }
        } else {
            Err(self.not(ARRAY))
        }
    }

    fn object<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Object(members) = self.value {
            visitor.visit_map(Members {
                members: members.into_iter(),
                next: None,
                seen: Vec::new(),
                null: self.null,
            })
        } else {
            Err(self.not(OBJECT))
        }
    }
}

/// Whole numbers are of every size: which one the type has decides whether the value fits.
macro_rules! whole_numbers {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.whole(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Wrong;

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Unsigned(_) | Value::Negative(_) | Value::OtherNumber => self.whole(visitor),
            Value::Text(_) => self.text(visitor),
            Value::Array(_) => self.array(visitor),
            Value::Object(_) => self.object(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Bool(value) = self.value {
            visitor.visit_bool(value)
        } else {
            Err(self.not(TRUE_OR_FALSE))
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match (&self.value, self.null) {
            (Value::Null, Null::Refused) => Err(Wrong::new(NOT_NULL)),
            (Value::Null, Null::Absent) => visitor.visit_none(),
            (
                Value::Bool(_)
                | Value::Unsigned(_)
                | Value::Negative(_)
                | Value::OtherNumber
                | Value::Text(_)
                | Value::Array(_)
                | Value::Object(_),
                Null::Refused | Null::Absent,
            ) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value == Value::Null {
            visitor.visit_unit()
        } else {
            Err(Wrong::new("must be null"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.array(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.array(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.array(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.object(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.object(visitor)
    }

    /// A variant is a text, or an object with one member: its name, and what it holds.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let null = self.null;
        match self.value {
            Value::Text(name) => visitor.visit_enum(Variant {
                name,
                holds: None,
                null,
            }),
            Value::Object(mut members) => match (members.pop(), members.is_empty()) {
                (Some((name, holds)), true) => visitor.visit_enum(Variant {
                    name,
                    holds: Some(holds),
                    null,
                }),
                (Some(_) | None, _) => Err(Wrong::new("must have one member")),
            },
            Value::Null
            | Value::Bool(_)
            | Value::Unsigned(_)
            | Value::Negative(_)
            | Value::OtherNumber
            | Value::Array(_) => Err(self.not(TEXT)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }
}

/// The items of an array, each with its place.
struct Items {
    items: std::vec::IntoIter<Value>,
    at: usize,
    null: Null,
}

impl<'de> SeqAccess<'de> for &mut Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at = at.saturating_add(1);
        let null = self.null;
        seed.deserialize(Reader { value, null })
            .map(Some)
            .map_err(|wrong| wrong.inside(Step::Item(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The members of an object, each with its place. A name that comes twice is refused, also where
/// the type would not notice.
struct Members {
    members: std::vec::IntoIter<(String, Value)>,
    next: Option<Value>,
    seen: Vec<String>,
    null: Null,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((name, value)) = self.members.next() else {
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(twice(&name));
        }
        self.next = Some(value);
        self.seen.push(name.clone());
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let value = self
            .next
            .take()
            .ok_or_else(|| Wrong::custom("a value was asked for without its name"))?;
        let null = self.null;
        seed.deserialize(Reader { value, null })
            .map_err(|wrong| match self.seen.last() {
                Some(name) => wrong.in_member(name),
                None => wrong,
            })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

/// A member's name, which may be a number if the map has numeric keys.
struct Name(String);

macro_rules! numbers_by_name {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let read = serde_json::from_str::<Value>(&self.0).ok();
            match read {
                Some(value @ (Value::Unsigned(_) | Value::Negative(_))) => {
                    let null = Null::Refused;
                    Reader { value, null }.whole(visitor)
                }
                Some(_) | None => Err(Wrong::new("must have a whole number for its name").in_member(&self.0)),
            }
        })+
    };
}

impl<'de> Deserializer<'de> for Name {
    type Error = Wrong;

    numbers_by_name! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(Variant {
            name: self.0,
            holds: None,
            null: Null::Refused,
        })
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// A variant by its name, with what it holds.
struct Variant {
    name: String,
    holds: Option<Value>,
    null: Null,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Held;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Held), Wrong> {
        let name: StringDeserializer<Wrong> = self.name.clone().into_deserializer();
        let held = Held {
            name: self.name,
            value: self.holds,
            null: self.null,
        };
        Ok((seed.deserialize(name)?, held))
    }
}

/// What a variant holds.
struct Held {
    name: String,
    value: Option<Value>,
    null: Null,
}

impl Held {
    fn reader(self) -> Result<(Reader, String), Wrong> {
        let null = self.null;
        match self.value {
            Some(value) => Ok((Reader { value, null }, self.name)),
            None => Err(Wrong::new(
                "must be an object with that name and what belongs to it",
            )),
        }
    }
}

impl<'de> VariantAccess<'de> for Held {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        if self.value.is_none() {
            Ok(())
        } else {
            Err(Wrong::new(TEXT))
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Wrong> {
        let (reader, name) = self.reader()?;
        seed.deserialize(reader)
            .map_err(|wrong| wrong.in_member(&name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        let (reader, name) = self.reader()?;
        reader
            .array(visitor)
            .map_err(|wrong| wrong.in_member(&name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let (reader, name) = self.reader()?;
        reader
            .object(visitor)
            .map_err(|wrong| wrong.in_member(&name))
    }
}
