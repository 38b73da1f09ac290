//! Enumerations that WeChat Pay may extend at any time (manual page 4012081709): an unknown value
//! is kept.

/// Declares an enumeration of the given wire texts, with an `Unknown(String)` arm for all others.
macro_rules! open_enum {
    ($(#[$of_enum:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$of_enum])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "std::borrow::Cow<'_, str>", into = "String")]
        pub enum $name {
            $($(#[$of_variant])* #[doc = concat!("\n\n`", $text, "`")] $variant,)+
            /// A value this version does not know, as it came.
            Unknown(String),
        }

        impl $name {
            /// The text on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<std::borrow::Cow<'_, str>> for $name {
            fn from(text: std::borrow::Cow<'_, str>) -> Self {
                match text.as_ref() {
                    $($text => Self::$variant,)+
                    _ => Self::Unknown(text.into_owned()),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

pub(crate) use open_enum;
