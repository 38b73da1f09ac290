//! Fetching platform certificates (manual page 4012551764). What to do with the answer:
//! [`crate::certificates`].

use serde::{Deserialize, Serialize};

use super::call::{Call, UnreadableAnswer, read_json};
use super::interface::Interface;
use crate::loose;
use crate::outgoing::Outgoing;
use crate::resource::Sealed;

/// Asks for the platform certificates that are valid now. A merchant in public-key mode is answered
/// 404 `RESOURCE_NOT_EXISTS`: there are none, and none are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificates;

/// A platform certificate as it is delivered: encrypted under the APIv3 key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedCertificate {
    /// What `Wechatpay-Serial` says when it signs: 40 hexadecimal digits.
    pub serial_no: String,
    /// RFC 3339. Absent if it is not a text: the manual's table has it as a number, and then the
    /// certificate's own value counts.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub effective_time: Option<String>,
    /// RFC 3339; may differ from the certificate's own end. Absent as
    /// [`EncryptedCertificate::effective_time`] may be.
    #[serde(
        default,
        deserialize_with = "loose::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub expire_time: Option<String>,
    /// Opens to a PEM.
    #[serde(deserialize_with = "loose::object")]
    pub encrypt_certificate: Sealed,
}

impl Call for Certificates {
    type Answer = Vec<EncryptedCertificate>;

    fn interface(&self) -> Interface {
        Interface::Certificates
    }

    fn outgoing(&self) -> Outgoing {
        Outgoing::get("/v3/certificates".to_owned())
    }

    fn answer(status: u16, body: &[u8]) -> Result<Vec<EncryptedCertificate>, UnreadableAnswer> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(deserialize_with = "loose::objects")]
            data: Vec<EncryptedCertificate>,
        }
        read_json(status, body).map(|Body { data }| data)
    }
}
