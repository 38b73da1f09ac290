use super::*;

// Made for these tests with `openssl`, in use nowhere.
const KEY: &str = include_str!("../../tests/merchant_files/apiclient_key.pem");
const CERT: &str = include_str!("../../tests/merchant_files/apiclient_cert.pem");
const PKCS1: &str = include_str!("../../tests/merchant_files/pkcs1.pem");
const EC: &str = include_str!("../../tests/merchant_files/ec.pem");
const REQUEST: &str = include_str!("../../tests/merchant_files/request.pem");
const PUBLIC: &str = include_str!("../../vectors/keys/platform-public.pem");
const STRANGER: &str = include_str!("../../vectors/keys/stranger.pem");

fn shapes(pem: &str) -> [String; 6] {
    [
        pem.to_owned(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', "  \n"),
        format!("\u{feff}\r\n{pem}\r\n \r\n\t"),
        pem.trim().replace('\n', "\\n"),
        format!("Bag Attributes\n    localKeyID: 01\n{pem}"),
    ]
}

#[test]
fn a_merchant_s_key_is_read_in_both_forms_and_every_shape() {
    let whole = lenient_pem::one(KEY, PRIVATE_KEY).expect("a key");
    for text in [shapes(KEY), shapes(PKCS1)].iter().flatten() {
        let read = MerchantKey::read(text.as_bytes()).expect(text);
        assert_eq!(read.pkcs8_der(), whole.as_slice());
        assert!(!format!("{read:?}").contains("pkcs8"));
    }
}

#[test]
fn a_certificate_says_its_number_its_key_and_its_merchant() {
    let key = MerchantKey::read(KEY.as_bytes()).expect("a key");
    for text in shapes(CERT) {
        let read = MerchantCertificate::read(text.as_bytes()).expect(&text);
        assert_eq!(read.serial_no(), "5F0000000000000000000000000000000000A10D");
        assert_eq!(read.belongs_to(key.public_key()), Ok(()));
        assert_eq!(read.is_of("1900000109"), Ok(()));
        let other = read.is_of("1900000108").expect_err("another's").to_string();
        assert!(
            other.contains("is of 1900000109, not of merchant 1900000108"),
            "{other}"
        );
    }
    let certificate = MerchantCertificate::read(CERT.as_bytes()).expect("a certificate");
    let stranger = MerchantKey::read(STRANGER.as_bytes()).expect("a key");
    let message = certificate
        .belongs_to(stranger.public_key())
        .expect_err("two pairs");
    assert!(
        message.to_string().contains("does not belong to this key"),
        "{message}"
    );
}

#[test]
fn a_signature_is_taken_from_its_own_key_only() {
    let key = MerchantKey::read(KEY.as_bytes()).expect("a key");
    let pair = RsaKeyPair::from_pkcs8(key.pkcs8_der()).expect("a pair");
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(
        &aws_lc_rs::signature::RSA_PKCS1_SHA256,
        &random,
        b"text",
        &mut signature,
    )
    .expect("signed");
    assert!(key.public_key().verifies(b"text", &signature));
    assert!(!key.public_key().verifies(b"test", &signature));
    let stranger = MerchantKey::read(STRANGER.as_bytes()).expect("a key");
    assert!(!stranger.public_key().verifies(b"text", &signature));
}

fn der(pem: &str, label: &'static str) -> Vec<u8> {
    lenient_pem::one(pem, label).expect("PEM").to_vec()
}

#[test]
fn what_a_file_is_instead_of_the_key_is_named_with_what_to_do() {
    let damaged = {
        let mut bytes = der(KEY, PRIVATE_KEY);
        let last = bytes.len() - 40;
        bytes[last] ^= 1;
        MerchantKey::from_pkcs8(Zeroizing::new(bytes)).expect_err("damaged")
    };
    assert_eq!(damaged, MerchantFileError::DamagedKey);
    let p12 = include_bytes!("../../tests/merchant_files/apiclient_cert.p12");
    let files: [(&[u8], &str); 19] = [
        (b"", "the file is empty"),
        (
            b"apiclient_key.pem",
            "this is no PEM text: give the whole file",
        ),
        (b"\xff\xfe-\0-\0", "this is no text: save it as UTF-8"),
        (
            include_bytes!("../../tests/merchant_files/encrypted.pem"),
            "this is an encrypted private key, not a private key (PKCS#8): take its password off with `openssl pkcs8",
        ),
        (
            include_bytes!("../../tests/merchant_files/rsa-3072.pem"),
            "this RSA key has 3072 bits, and WeChat Pay takes 2048 only: make a key with `openssl genpkey",
        ),
        (
            include_bytes!("../../tests/merchant_files/rsa-1024.pem"),
            "this RSA key has 1024 bits",
        ),
        (
            EC.as_bytes(),
            "this is an elliptic-curve key, and WeChat Pay takes RSA of 2048 bits only: give",
        ),
        (
            include_bytes!("../../tests/merchant_files/ec-sec1.pem"),
            "this is an elliptic-curve key, and WeChat Pay",
        ),
        (
            include_bytes!("../../tests/merchant_files/sm2.pem"),
            "this is an elliptic-curve key, and WeChat Pay",
        ),
        (
            PUBLIC.as_bytes(),
            "this is a public key, not the merchant's private key: that is in apiclient_key.pem",
        ),
        (
            CERT.as_bytes(),
            "this is a certificate, not the merchant's private key",
        ),
        (
            REQUEST.as_bytes(),
            "this is a request for a certificate, not the merchant's private key",
        ),
        (
            &der(KEY, PRIVATE_KEY),
            "this is a private key as DER, and PEM is needed: `openssl pkey -inform DER",
        ),
        (&der(PKCS1, RSA_PRIVATE_KEY), "this is a private key as DER"),
        (&der(EC, PRIVATE_KEY), "this is a private key as DER"),
        (
            &der(CERT, CERTIFICATE),
            "this is a certificate as DER, and PEM is needed: `openssl x509 -inform DER",
        ),
        (
            &der(PUBLIC, lenient_pem::PUBLIC_KEY),
            "this is a public key as DER",
        ),
        (
            p12,
            "this is a key store (PKCS#12) as DER, and PEM is needed: take apiclient_key.pem and",
        ),
        (&[0x30, 0x03, 0x02, 0x01, 0x07], "this is something as DER"),
    ];
    for (file, says) in files {
        let message = MerchantKey::read(file).expect_err(says).to_string();
        assert!(message.starts_with(says), "{says}: {message}");
    }
    let both = format!("{KEY}{CERT}");
    let message = MerchantKey::read(both.as_bytes())
        .expect_err("two")
        .to_string();
    assert!(
        message.starts_with("the text holds more than one"),
        "{message}"
    );
}

#[test]
fn what_a_file_is_instead_of_the_certificate_is_named_with_what_to_do() {
    let files: [(&[u8], &str); 4] = [
        (
            KEY.as_bytes(),
            "this is a private key, not the merchant's certificate: that is in apiclient_cert.pem",
        ),
        (
            REQUEST.as_bytes(),
            "this is a request for a certificate, not the merchant's certificate",
        ),
        (&der(CERT, CERTIFICATE), "this is a certificate as DER"),
        (
            b"-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n",
            "the text between its BEGIN",
        ),
    ];
    for (file, says) in files {
        let message = MerchantCertificate::read(file).expect_err(says).to_string();
        assert!(message.starts_with(says), "{says}: {message}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    for length in 0..12_usize {
        for first in [0x30, 0x00, 0xff] {
            let mut bytes = vec![0xff; length];
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            for size in [0x80, 0x81, 0x84, 0xff] {
                if let Some(byte) = bytes.get_mut(1) {
                    *byte = size;
                }
                assert!(MerchantKey::read(&bytes).is_err());
                assert!(MerchantCertificate::read(&bytes).is_err());
            }
        }
    }
}
