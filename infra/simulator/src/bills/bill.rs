//! A bill that was made, as its text and as the file that is downloaded.

use std::{
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// A bill that was made. Its text, and what was worked out of it, are there once, however often it
/// is asked for.
#[derive(Clone, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct Bill(Arc<BillData>);

struct BillData {
    text: Bytes,
    hash: OnceLock<String>,
    gzip: OnceLock<Bytes>,
}

impl From<String> for Bill {
    fn from(text: String) -> Self {
        Self(Arc::new(BillData {
            text: text.into(),
            hash: OnceLock::new(),
            gzip: OnceLock::new(),
        }))
    }
}

impl From<Bill> for String {
    fn from(bill: Bill) -> Self {
        Self::from_utf8_lossy(&bill.0.text).into_owned()
    }
}

impl Bill {
    pub(crate) fn text(&self) -> Bytes {
        self.0.text.clone()
    }

    /// Whether it is the same making of the bill.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// `hash_value`: SHA-1 of the text, whether the file is zipped or not.
    pub(crate) fn hash(&self) -> &str {
        self.0.hash.get_or_init(|| hash(&self.0.text))
    }

    pub(crate) fn gzip(&self) -> io::Result<Bytes> {
        if let Some(zipped) = self.0.gzip.get() {
            return Ok(zipped.clone());
        }
        let zipped = zip(&self.0.text)?;
        Ok(self.0.gzip.get_or_init(|| zipped).clone())
    }
}

/// SHA-1 in hex.
pub(crate) fn hash(text: &[u8]) -> String {
    let digest = Sha1::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn zip(text: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish().map(Bytes::from)
}
