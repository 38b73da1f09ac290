//! The merchant's own certificates: which of them a request names, by the key that signs it.
//!
//! WeChat Pay holds up to three at once, so the next key's certificate is registered before it
//! signs, and the one before stays until nothing signs with its key any more. Versions before this
//! one know one number for all keys (`signer.serial_no`), so that one is kept, too: it is changed
//! with the key that it belongs to, and stands in for keys that have none of their own.
//!
//! An earlier version changes that one number alone. Then what stands beside it is out of date: the
//! number counts for all keys again, as that version meant it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use runtime::signer::SignWith;
use wechatpay::UnixSeconds;

use super::{fields::text, fields::time};
use crate::attributes::{Item, number};

/// In the map `signer`: the certificates by the names of their keys.
const CERTIFICATES: &str = "certificates";
/// In the map `signer`: what else it held when they were written.
const WRITTEN_BESIDE: &str = "certificates_written_beside";
/// The sealed key's name. No key of KMS has it.
const SEALED: &str = "sealed";
/// Of every key that has no certificate of its own.
const OTHERS: &str = "*";
/// The parts of a certificate, in an entry and in the map `signer` itself.
const PARTS: [&str; 3] = ["serial_no", "not_before", "not_after"];
/// What an earlier version changes when it changes the signer.
const CHANGED_BY_EARLIER: [&str; 2] = ["serial_no", "sealed_at"];

/// A certificate of the merchant's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnCertificate {
    /// Its number, which requests name as `serial_no`.
    pub serial_no: String,
    /// From when to when it is valid, if that is known.
    pub validity: Option<Validity>,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// When it begins.
    pub from: UnixSeconds,
    /// When it ends.
    pub until: UnixSeconds,
}

/// The merchant's certificates, by the keys that sign.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnCertificates {
    by_key: BTreeMap<String, OwnCertificate>,
    of_earlier_versions: Option<OwnCertificate>,
}

impl OwnCertificate {
    /// An earlier version writes when a certificate ends beside its one number only.
    fn with_end_of(mut self, shared: Option<&Self>) -> Self {
        let same = shared.filter(|shared| shared.serial_no.eq_ignore_ascii_case(&self.serial_no));
        self.validity = self
            .validity
            .or_else(|| same.and_then(|same| same.validity));
        self
    }
}

impl OwnCertificates {
    /// The certificate of a key that signs: its own, or the one for all that have none.
    pub fn of(&self, signs: &SignWith) -> Option<&OwnCertificate> {
        self.own(signs)
            .or_else(|| self.by_key.get(OTHERS))
            .or(self.of_earlier_versions.as_ref())
    }

    /// The certificate that is registered for this key and no other.
    pub fn own(&self, signs: &SignWith) -> Option<&OwnCertificate> {
        self.by_key.get(name_of(signs))
    }

    /// What versions before this one name, whoever signs.
    pub fn of_earlier_versions(&self) -> Option<&OwnCertificate> {
        self.of_earlier_versions.as_ref()
    }

    /// All that are registered for a key: `sealed` or the id of a key in KMS, and the certificate.
    pub fn by_key(&self) -> impl Iterator<Item = (&str, &OwnCertificate)> {
        let own = self.by_key.iter().filter(|(name, _)| *name != OTHERS);
        own.map(|(name, certificate)| (name.as_str(), certificate))
    }

    /// Reads the map `signer`.
    pub(super) fn read(signer: &Item) -> Self {
        let shared = certificate(signer);
        let by_key = current(signer).into_iter().flatten();
        let by_key = by_key.filter_map(|(name, value)| {
            let certificate = certificate(value.as_m().ok()?)?;
            Some((name.clone(), certificate.with_end_of(shared.as_ref())))
        });
        Self {
            by_key: by_key.collect(),
            of_earlier_versions: shared,
        }
    }
}

/// The name of a key that signs. A key in KMS has the same in each Region that it is replicated
/// into, whether the settings have its id or its ARN.
pub(super) fn name_of(signs: &SignWith) -> &str {
    match signs {
        SignWith::Sealed => SEALED,
        SignWith::Kms { key_id } => {
            let resource = key_id
                .rsplit_once(':')
                .map_or(key_id.as_str(), |(_, it)| it);
            resource.strip_prefix("key/").unwrap_or(resource)
        }
    }
}

/// The map `signer` while it is changed. It is written as a whole.
pub(super) struct StoredSigner {
    signer: Item,
    by_key: Item,
}

impl StoredSigner {
    /// As it is stored. Where no version wrote certificates by key, or an earlier one has changed
    /// the signer since, the one number stands for all: for the sealed key, too, since that one
    /// changed with it.
    pub(super) fn of(signer: Item) -> Self {
        let by_key = match current(&signer) {
            Some(by_key) => by_key.clone(),
            None => {
                let names = [(SEALED, signer.contains_key("sealed")), (OTHERS, true)];
                let shared = parts(&signer).map(AttributeValue::M);
                let all = names.into_iter().filter(|(_, is_there)| *is_there);
                all.filter_map(|(name, _)| Some((name.to_owned(), shared.clone()?)))
                    .collect()
            }
        };
        Self { signer, by_key }
    }

    /// The map to be stored.
    pub(super) fn into_value(mut self) -> AttributeValue {
        let by_key = AttributeValue::M(self.by_key);
        self.signer.insert(CERTIFICATES.to_owned(), by_key);
        let beside = AttributeValue::M(changed_by_earlier(&self.signer));
        self.signer.insert(WRITTEN_BESIDE.to_owned(), beside);
        AttributeValue::M(self.signer)
    }

    /// Whether a private key lies sealed.
    pub(super) fn has_sealed_key(&self) -> bool {
        self.signer.contains_key("sealed")
    }

    /// Puts a private key in, sealed.
    pub(super) fn put_sealed(&mut self, sealed: Vec<u8>, at: AttributeValue) {
        let sealed = AttributeValue::B(sealed.into());
        self.signer.insert("sealed".to_owned(), sealed);
        self.signer.insert("sealed_at".to_owned(), at);
    }

    /// Takes the sealed key out, with its certificate.
    pub(super) fn remove_sealed(&mut self) {
        self.signer.remove("sealed");
        self.signer.remove("sealed_at");
        self.by_key.remove(SEALED);
    }

    /// The number that versions before this one name.
    pub(super) fn of_earlier_versions(&self) -> Option<String> {
        text(&self.signer, "serial_no")
    }

    /// The number of a key's own certificate.
    pub(super) fn own(&self, name: &str) -> Option<String> {
        text(self.by_key.get(name)?.as_m().ok()?, "serial_no")
    }

    /// The number that the sealed key's signatures name.
    pub(super) fn of_sealed(&self) -> Option<String> {
        self.own(SEALED)
            .or_else(|| self.own(OTHERS))
            .or_else(|| self.of_earlier_versions())
    }

    /// The names of the keys that have this certificate.
    pub(super) fn named(&self, serial_no: &str) -> Vec<String> {
        let has_it = |name: &&String| self.has(name, serial_no);
        self.by_key.keys().filter(has_it).cloned().collect()
    }

    /// Whether a key has a certificate of its own.
    pub(super) fn some_are_own(&self) -> bool {
        self.by_key.keys().any(|name| name != OTHERS)
    }

    /// Whose certificates those are, for a message.
    pub(super) fn own_ones(&self) -> String {
        let own = self.by_key.keys().filter(|name| *name != OTHERS);
        let own: BTreeMap<&String, String> = own
            .map(|name| (name, self.own(name).unwrap_or_default()))
            .collect();
        let own = own
            .iter()
            .map(|(name, serial_no)| format!("{name}: {serial_no}"));
        own.collect::<Vec<_>>().join(", ")
    }

    fn has(&self, name: &str, serial_no: &str) -> bool {
        self.own(name)
            .is_some_and(|own| own.eq_ignore_ascii_case(serial_no))
    }

    /// The certificate of a key, in place of the one that it had. What versions before this one
    /// name changes with it if that was this key's, or nothing.
    pub(super) fn certify(&mut self, signs: &SignWith, certificate: &OwnCertificate) {
        self.put(name_of(signs), certificate);
    }

    /// The certificate of whatever key signs, where none has its own.
    pub(super) fn certify_all(&mut self, certificate: &OwnCertificate) {
        self.put(OTHERS, certificate);
        self.name_for_earlier_versions(OTHERS);
    }

    /// The same certificate once more, for the keys that have it.
    pub(super) fn certify_again(&mut self, names: &[String], certificate: &OwnCertificate) {
        for name in names {
            self.put(name, certificate);
        }
    }

    /// The sealed key's certificate. Versions before this one take the sealed key and their number
    /// for a pair: where that was the sealed key's, it changes with it, and keys that have none of
    /// their own keep what they had.
    pub(super) fn certify_sealed(&mut self, certificate: &OwnCertificate) {
        let is_kept = self.own(OTHERS).is_some() || self.has(SEALED, &certificate.serial_no);
        if let Some(shared) = parts(&self.signer).filter(|_| !is_kept && self.moves_with(SEALED)) {
            let shared = AttributeValue::M(shared);
            self.by_key.insert(OTHERS.to_owned(), shared);
        }
        self.put(SEALED, certificate);
    }

    /// Whether what versions before this one name is this key's and no other's, or nothing.
    fn moves_with(&self, name: &str) -> bool {
        let Some(kept) = self.of_earlier_versions() else {
            return true;
        };
        let is_other = |of: &String| of != name && of != OTHERS;
        self.has(name, &kept) && !self.named(&kept).iter().any(is_other)
    }

    fn put(&mut self, name: &str, certificate: &OwnCertificate) {
        let moves = self.moves_with(name);
        // When it ends stays known if it is one that is there.
        let mut entry = self
            .stored(name, &certificate.serial_no)
            .unwrap_or_default();
        let serial_no = AttributeValue::S(certificate.serial_no.clone());
        entry.insert("serial_no".to_owned(), serial_no);
        if let Some(Validity { from, until }) = certificate.validity {
            entry.insert("not_before".to_owned(), number(from.0));
            entry.insert("not_after".to_owned(), number(until.0));
        }
        self.by_key
            .insert(name.to_owned(), AttributeValue::M(entry));
        let is_theirs = self.of_earlier_versions();
        if moves || is_theirs.is_some_and(|kept| self.has(name, &kept)) {
            self.name_for_earlier_versions(name);
        }
    }

    /// A certificate as it is stored, of this key or of another.
    fn stored(&self, name: &str, serial_no: &str) -> Option<Item> {
        let others = self.named(serial_no);
        let own = others.iter().find(|other| *other == name);
        match own.or(others.first()) {
            Some(name) => self.by_key.get(name)?.as_m().ok().cloned(),
            None => parts(&self.signer).filter(|_| {
                self.of_earlier_versions()
                    .is_some_and(|kept| kept.eq_ignore_ascii_case(serial_no))
            }),
        }
    }

    /// Versions before this one name this key's certificate.
    fn name_for_earlier_versions(&mut self, name: &str) {
        let entry = self.by_key.get(name).and_then(|entry| entry.as_m().ok());
        let Some(of_key) = entry.and_then(parts) else {
            return;
        };
        for part in PARTS {
            self.signer.remove(part);
        }
        self.signer.extend(of_key);
    }

    /// Takes a certificate out, with the private key that lies sealed under it. Versions before
    /// this one name the certificate of the key that signs from then on.
    ///
    /// The caller has looked that it is not that key's.
    pub(super) fn remove(&mut self, serial_no: &str, signs: &SignWith) {
        for name in self.named(serial_no) {
            if name == SEALED {
                self.remove_sealed();
            }
            self.by_key.remove(&name);
        }
        self.name_for_earlier_versions(name_of(signs));
    }

    /// Where nothing has the certificate any more that versions before this one name, they name
    /// another one that is there. If there is none, that one stays the certificate of whatever key
    /// signs: else the next one that is registered would take its place for a key that has none.
    pub(super) fn mend_of_earlier_versions(&mut self) {
        if self.by_key.is_empty() {
            let shared = parts(&self.signer).map(AttributeValue::M);
            let shared = shared.map(|shared| (OTHERS.to_owned(), shared));
            self.by_key.extend(shared);
            return;
        }
        let kept = self.of_earlier_versions();
        let is_of_none = kept.is_some_and(|kept| self.named(&kept).is_empty());
        let first = self.by_key.keys().min().cloned();
        if let Some(name) = first.filter(|_| is_of_none) {
            self.name_for_earlier_versions(&name);
        }
    }
}

/// The certificates by key, unless an earlier version has changed the signer since.
fn current(signer: &Item) -> Option<&Item> {
    let by_key = signer.get(CERTIFICATES)?.as_m().ok()?;
    let beside = signer.get(WRITTEN_BESIDE)?.as_m().ok()?;
    (*beside == changed_by_earlier(signer)).then_some(by_key)
}

fn changed_by_earlier(signer: &Item) -> Item {
    let values = CHANGED_BY_EARLIER
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), signer.get(name)?.clone())));
    values.collect()
}

/// The certificate in an entry, or in the map `signer` itself, as it is stored.
fn parts(fields: &Item) -> Option<Item> {
    text(fields, "serial_no")?;
    let parts = PARTS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone())));
    Some(parts.collect())
}

fn certificate(fields: &Item) -> Option<OwnCertificate> {
    let from = time(fields, "not_before");
    let until = time(fields, "not_after");
    Some(OwnCertificate {
        serial_no: text(fields, "serial_no")?,
        validity: from
            .zip(until)
            .map(|(from, until)| Validity { from, until }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_kms_has_one_name_by_id_by_arn_and_in_every_region() {
        let named = |key_id: &str| {
            name_of(&SignWith::Kms {
                key_id: key_id.to_owned(),
            })
            .to_owned()
        };
        for key_id in [
            "mrk-1",
            "arn:aws:kms:us-east-1:111122223333:key/mrk-1",
            "arn:aws:kms:ap-east-1:111122223333:key/mrk-1",
        ] {
            assert_eq!(named(key_id), "mrk-1");
        }
        assert_eq!(named("alias/tea"), "alias/tea");
        let alias = "arn:aws-cn:kms:cn-north-1:111122223333:alias/tea";
        assert_eq!(named(alias), "alias/tea");
        assert_ne!(named("mrk-1"), name_of(&SignWith::Sealed));
    }
}
