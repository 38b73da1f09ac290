use super::*;

#[test]
fn sealing_gives_the_ciphertext_of_the_known_vector() {
    let sealed = seal(
        "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb",
        "uluk4a9R25RW",
        "associatedData",
        b"message",
    )
    .unwrap();
    assert_eq!(sealed["ciphertext"], "ulwSiIajGClcvcOYvOQ7+l+0PAbzzwI=");
    assert!(seal("too short", "uluk4a9R25RW", "", b"message").is_none());
    assert!(
        seal(
            "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb",
            "11 is short",
            "",
            b"message"
        )
        .is_none()
    );
}

#[test]
fn a_rotated_key_signs_and_its_predecessor_can_still_be_named() {
    let mut ids = Ids::new(1);
    let mut keys = Keyring::new(Keys::Published, &mut ids, 1_785_556_801_000).unwrap();
    let old = keys.newest(SigningMode::PublicKey).unwrap().serial.clone();
    let new = keys
        .rotate(SigningMode::PublicKey, &mut ids, 1_785_556_801_000)
        .unwrap();
    assert_ne!(old, new);
    assert_eq!(keys.newest(SigningMode::PublicKey).unwrap().serial, new);
    assert_eq!(keys.find(&old.to_lowercase()).unwrap().serial, old);
    assert_ne!(
        keys.find(&old).unwrap().public_pem(),
        keys.find(&new).unwrap().public_pem()
    );

    let restored = Keyring::restore(keys.store(), Keys::Published).unwrap();
    assert_eq!(restored.newest(SigningMode::PublicKey).unwrap().serial, new);
    assert_eq!(
        restored.newest(SigningMode::Certificate).unwrap().serial,
        keys.newest(SigningMode::Certificate).unwrap().serial
    );
}

#[test]
fn an_announced_certificate_is_listed_and_signs_from_the_next_rotation_on() {
    let now_ms = 1_785_556_801_000;
    let mut ids = Ids::new(1);
    let mut keys = Keyring::new(Keys::Published, &mut ids, now_ms).unwrap();
    let listed = |keys: &Keyring| -> Vec<String> {
        let listed = keys.valid_certificates(now_ms + 1);
        listed.map(|(serial, _)| serial.to_owned()).collect()
    };
    let signs = |keys: &Keyring| {
        keys.newest(SigningMode::Certificate)
            .unwrap()
            .serial
            .clone()
    };
    let old = signs(&keys);
    let next = keys.announce(&mut ids, now_ms).unwrap().serial.clone();
    assert_eq!(keys.announce(&mut ids, now_ms).unwrap().serial, next);
    assert_eq!(listed(&keys), [next.clone(), old.clone()]);
    assert_eq!(keys.find(&next).unwrap().mode(), SigningMode::Certificate);
    assert_eq!(signs(&keys), old);
    keys.rotate(SigningMode::PublicKey, &mut ids, now_ms)
        .unwrap();
    assert_eq!(signs(&keys), old);
    let forced = keys.rotate(SigningMode::Certificate, &mut ids, now_ms);
    assert_eq!((forced.unwrap(), signs(&keys)), (next.clone(), next));
    assert_eq!(keys.store().len(), 4);
}

#[test]
fn a_field_encrypted_to_the_merchant_is_opened_by_its_private_key_only() {
    let merchant = MerchantKey::from_private_pem(PUBLISHED[0]).unwrap();
    let keys = Keyring::new(Keys::Published, &mut Ids::new(1), 1_785_556_801_000).unwrap();
    let sealed = merchant.encrypt("张三".as_bytes()).unwrap();
    let same_key = keys.newest(SigningMode::PublicKey).unwrap();
    let other_key = keys.newest(SigningMode::Certificate).unwrap();
    assert_eq!(same_key.open(&sealed).unwrap(), "张三".as_bytes());
    assert_eq!(other_key.open(&sealed), None);
    assert_eq!(same_key.open("not base64!"), None);
}
