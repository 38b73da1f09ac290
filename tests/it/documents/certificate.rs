//! A certificate such as the merchant platform gives.

pub(crate) const MERCHANT_KEY: &str =
    include_str!("../../../shared/wechatpay/vectors/keys/stranger.pem");

/// A certificate with this number, such as the merchant platform gives: of a private key, or of
/// what a request asks for. [`MERCHANT_KEY`] signs it in either case.
pub(crate) fn merchant_certificate(of: &str, mchid: &str, serial_no: &str) -> String {
    const MAKE: &str = "
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
key = serialization.load_pem_private_key(sys.argv[1].encode(), None)
of = sys.argv[4].encode()
public = x509.load_pem_x509_csr(of) if b' REQUEST' in of else serialization.load_pem_private_key(of, None)
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, sys.argv[2])])
begin = datetime.datetime(2026, 1, 1)
made = x509.CertificateBuilder(name, name, public.public_key(), int(sys.argv[3], 16), begin, begin.replace(year=2031))
print(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
";
    let python = local::engine::install().expect("the engine").python;
    let made = std::process::Command::new(python)
        .args(["-c", MAKE, MERCHANT_KEY, mchid, serial_no, of])
        .output()
        .expect("Python");
    let printed = String::from_utf8(made.stderr).expect("text");
    assert!(made.status.success(), "{printed}");
    String::from_utf8(made.stdout).expect("text")
}
