//! What a client needs to talk to the simulator: one JSON file that SDKs of any language can be
//! pointed at.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What any client needs. Written as JSON to [`Config::details_file`](crate::Config::details_file),
/// and answered by `GET /admin/details`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClientDetails {
    /// Takes the place of `https://api.mch.weixin.qq.com`; without a slash at the end.
    pub base_url: String,
    /// Merchant number.
    pub mchid: String,
    /// The default appid.
    pub appid: String,
    /// All appids bound to the merchant.
    pub appids: Vec<String>,
    /// Serial of the merchant certificate: `serial_no` in `Authorization`.
    pub merchant_serial: String,
    /// PKCS#8 PEM with which requests are signed. Absent if the merchant was given without it, or
    /// nothing was written.
    pub merchant_private_key_file: Option<PathBuf>,
    /// X.509 PEM of the merchant certificate, which SDKs read as `apiclient_cert.pem`. Absent as
    /// the private key is.
    pub merchant_certificate_file: Option<PathBuf>,
    /// Opens callbacks and platform certificates; 32 characters.
    pub apiv3_key: String,
    /// `PUB_KEY_ID_...`, for `Wechatpay-Serial`.
    pub wechatpay_public_key_id: String,
    /// SPKI PEM: verifies what names that id.
    pub wechatpay_public_key: String,
    /// Serial of the platform certificate, for `Wechatpay-Serial` in certificate mode.
    pub platform_certificate_serial: String,
    /// X.509 PEM, signed by its own key.
    pub platform_certificate: String,
    /// Root of the admin calls.
    pub admin_url: String,
    /// The page on which a person pays.
    pub phone_url: String,
}

impl ClientDetails {
    /// The same for a client that reaches the simulator by this address.
    pub(crate) fn at(self, base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            admin_url: format!("{base_url}/admin"),
            phone_url: format!("{base_url}/phone"),
            ..self
        }
    }
}

/// Writes `text` so that only this user can read it; a half-written file never takes the place of a
/// whole one.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(&unfinished)?, text.as_bytes())?;
    fs::rename(&unfinished, path)
}
