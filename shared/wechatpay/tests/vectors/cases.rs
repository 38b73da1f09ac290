//! Reads the folders of `vectors/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One folder.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) head: Head,
    folder: PathBuf,
}

/// `case.json`.
#[derive(Deserialize)]
pub(crate) struct Head {
    pub(crate) expect: String,
    #[serde(default)]
    pub(crate) says: Option<String>,
    #[serde(flatten)]
    pub(crate) input: Input,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Input {
    Request(RequestInput),
    Payment(PaymentInput),
    Signature(SignatureInput),
    Message(MessageInput),
    Callback(CallbackInput),
    Resource(ResourceInput),
    Field(FieldInput),
    Certificates(CertificatesInput),
}

#[derive(Deserialize)]
pub(crate) struct RequestInput {
    pub(crate) key: String,
    pub(crate) serial_no: String,
    pub(crate) mchid: String,
    pub(crate) method: String,
    pub(crate) path_and_query: String,
    pub(crate) timestamp: i64,
    pub(crate) nonce: String,
    pub(crate) signature: String,
}

#[derive(Deserialize)]
pub(crate) struct PaymentInput {
    pub(crate) key: String,
    pub(crate) product: String,
    pub(crate) appid: String,
    pub(crate) mchid: String,
    pub(crate) prepay_id: String,
    pub(crate) timestamp: i64,
    pub(crate) nonce: String,
    pub(crate) signature: String,
}

#[derive(Deserialize)]
pub(crate) struct SignatureInput {
    pub(crate) key: String,
    pub(crate) signature: String,
}

#[derive(Deserialize)]
pub(crate) struct MessageInput {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) now: i64,
    pub(crate) keys: Vec<KeyFile>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum KeyFile {
    PublicKey { id: String, public_key: String },
    Certificate { certificate: String },
}

#[derive(Deserialize)]
pub(crate) struct CallbackInput {
    #[serde(flatten)]
    pub(crate) message: MessageInput,
    pub(crate) apiv3_keys: Vec<String>,
    #[serde(default)]
    pub(crate) event_type: String,
    #[serde(default)]
    pub(crate) original_type: String,
    #[serde(default)]
    pub(crate) plaintext_kind: String,
}

#[derive(Deserialize)]
pub(crate) struct ResourceInput {
    pub(crate) resource: Resource,
    pub(crate) apiv3_keys: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Resource {
    pub(crate) algorithm: String,
    pub(crate) ciphertext: String,
    pub(crate) associated_data: Option<String>,
    pub(crate) nonce: String,
}

#[derive(Deserialize)]
pub(crate) struct FieldInput {
    pub(crate) key: String,
    pub(crate) field: String,
}

#[derive(Deserialize)]
pub(crate) struct CertificatesInput {
    #[serde(flatten)]
    pub(crate) message: MessageInput,
    pub(crate) apiv3_keys: Vec<String>,
    #[serde(default)]
    pub(crate) serials: Vec<String>,
    #[serde(default)]
    pub(crate) newest: String,
}

impl Case {
    /// A file of the folder, or nothing where there is none.
    pub(crate) fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.file(name)
            .unwrap_or_else(|| panic!("{} has no file {name}", self.name))
    }
}

/// All folders, by name.
pub(crate) fn all() -> Vec<Case> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root())
        .expect("vectors/ is beside tests/")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_dir() && !path.ends_with("keys"))
        .collect();
    folders.sort();
    folders.into_iter().map(read).collect()
}

/// A file of `vectors/keys/`.
pub(crate) fn key_file(name: &str) -> String {
    fs::read_to_string(root().join("keys").join(name))
        .unwrap_or_else(|_| panic!("no key file {name}"))
}

fn read(folder: PathBuf) -> Case {
    let name = folder
        .file_name()
        .expect("a folder has a name")
        .to_string_lossy()
        .into_owned();
    let text =
        fs::read(folder.join("case.json")).unwrap_or_else(|_| panic!("{name} has no case.json"));
    let head =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}/case.json: {error}"));
    Case { name, head, folder }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}
