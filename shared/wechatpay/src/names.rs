//! Stable names for errors. Alarms and dashboards are built on them, so they may be added to and
//! never changed.

/// Writes an error's `name()` and the list of its names from one table, so the list is
/// never short of a variant. The variants after `of` wrap an error that has a name of its own.
macro_rules! names {
    ($error:ident { $($variant:ident = $name:literal,)+ } $(of $($wrapper:ident)|+)?) => {
        impl $error {
            /// A stable name for metrics and logs.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                    $($(Self::$wrapper(error) => error.name(),)+)?
                }
            }

            /// All names but those of wrapped errors.
            pub const NAMES: &[&str] = &[$($name,)+];
        }
    };
}

pub(crate) use names;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use crate::bill::BillError;
    use crate::certificates::CertificateError;
    use crate::{CallbackError, OpenError, OpenFieldError, VerifyError};

    fn all_names() -> Vec<&'static str> {
        [
            VerifyError::NAMES,
            OpenError::NAMES,
            CallbackError::NAMES,
            OpenFieldError::NAMES,
            CertificateError::NAMES,
        ]
        .concat()
    }

    #[test]
    fn no_two_refusals_have_the_same_name() {
        let names = [&all_names(), BillError::NAMES].concat();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn every_refusal_has_a_case_in_the_vectors() {
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
        let expected: BTreeSet<String> = fs::read_dir(vectors)
            .expect("vectors/ is beside src/")
            .filter_map(|entry| fs::read(entry.expect("readable").path().join("case.json")).ok())
            .map(|case| {
                let case: serde_json::Value = serde_json::from_slice(&case).expect("JSON");
                case["expect"].as_str().expect("a text").to_owned()
            })
            .collect();
        let without: Vec<_> = all_names()
            .into_iter()
            .filter(|name| !expected.contains(*name))
            .collect();
        assert!(without.is_empty(), "no case expects {without:?}");
    }
}
