//! A certificate request (PKCS#10, RFC 2986) for a private key that another holds: KMS signs it.
//! The builder of `x509-cert` wants the signer in this process and adds an empty list of
//! extensions, which RFC 5280 does not allow; so the few fields are put together here.

use std::error::Error;

use x509_cert::attr::{AttributeTypeAndValue, Attributes};
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, EncodePem, Tag};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// What merchant certificates have as their organisation.
const MERCHANT_SYSTEM: &str = "微信商户系统";

/// The longest organisational unit (RFC 5280, appendix A: `ub-organizational-unit-name`).
const NAME_CHARACTERS_MAX: usize = 64;

/// A request that is still to be signed.
pub(crate) struct CertificateRequest {
    info: CertReqInfo,
    to_be_signed: Vec<u8>,
}

impl CertificateRequest {
    /// For the merchant `mchid`, who is called `merchant_name` in WeChat Pay's merchant platform,
    /// over a public key (SPKI DER). The subject is that of the certificates which WeChat Pay's
    /// own tool asks for with these two.
    pub(crate) fn new(
        mchid: &str,
        merchant_name: &str,
        public_key: &[u8],
    ) -> Result<Self, Box<dyn Error>> {
        if mchid.is_empty() || !mchid.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("a merchant number is digits, not `{mchid}`").into());
        }
        let name_length = merchant_name.chars().count();
        let is_name = merchant_name.trim() == merchant_name
            && !merchant_name.chars().any(char::is_control)
            && (1..=NAME_CHARACTERS_MAX).contains(&name_length);
        if !is_name {
            return Err(format!(
                "--merchant-name is the merchant's name as the merchant platform shows it: 1 to {NAME_CHARACTERS_MAX} \
                 characters, without blanks at its ends"
            )
            .into());
        }
        let subject = subject([
            (COMMON_NAME, Tag::Utf8String, mchid),
            (ORGANIZATION, Tag::Utf8String, MERCHANT_SYSTEM),
            (ORGANIZATIONAL_UNIT, Tag::Utf8String, merchant_name),
            (COUNTRY, Tag::PrintableString, "CN"),
            (LOCALITY, Tag::Utf8String, "ShenZhen"),
        ])?;
        let info = CertReqInfo {
            version: Version::V1,
            subject,
            public_key: SubjectPublicKeyInfoOwned::from_der(public_key)?,
            attributes: Attributes::default(),
        };
        let to_be_signed = info.to_der()?;
        Ok(Self { info, to_be_signed })
    }

    /// What is signed with RSASSA-PKCS1-v1_5 and SHA-256.
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The whole request as PEM.
    pub(crate) fn signed(self, signature: &[u8]) -> Result<String, Box<dyn Error>> {
        let request = CertReq {
            info: self.info,
            algorithm: AlgorithmIdentifierOwned {
                oid: SHA256_WITH_RSA,
                parameters: Some(Any::null()),
            },
            signature: BitString::from_bytes(signature)?,
        };
        Ok(request.to_pem(LineEnding::LF)?)
    }
}

/// A name of one value in each part, in this order.
fn subject<const N: usize>(
    parts: [(ObjectIdentifier, Tag, &str); N],
) -> Result<Name, Box<dyn Error>> {
    let mut sequence = RdnSequence::default();
    for (oid, tag, text) in parts {
        let value = Any::new(tag, text.as_bytes())?;
        let part = RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid, value }])?;
        sequence.push(part);
    }
    Ok(Name::from_der(&sequence.to_der()?)?)
}
