#!/usr/bin/env python3
"""Writes the cases of this folder: one folder each, see README.md.

Needs the PyPI package `cryptography`. It is a third implementation beside the two that are tested, so a case that it
wrote is not the tested code's own opinion. Values of the manual and of the SDKs are WeChat Pay's own, copied and not
computed.

Run it after adding a case; the existing ones come out the same, byte for byte. Keys, certificates and encrypted
fields hold random numbers and are therefore made only where they are missing.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import shutil

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).parent
KEYS = HERE / "keys"

MANUAL_TIME = 1554208460
MANUAL_NONCE = "593BEC0C930BF1AFEB40B4A08C8FB242"
MANUAL_SERIAL = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB"
MANUAL_MCHID = "1900007291"

NOW = 1785556801  # 2026-08-01T12:00:01+08:00
NONCE = "SelfMadeNonce0123456789ABCDEFGHI"
PUBLIC_KEY_ID = "PUB_KEY_ID_0000000000000024101100397200000006"
APIV3_KEY = "0123456789abcdefghijklmnopqrstuv"
OLDER_APIV3_KEY = "vutsrqponmlkjihgfedcba9876543210"
GCM_NONCE = "fdasflkja484"

written = []


def b64(data):
    return base64.b64encode(data).decode()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# Keys


def private_key(name):
    return serialization.load_pem_private_key((KEYS / f"{name}.pem").read_bytes(), None)


def make_key(name):
    path = KEYS / f"{name}.pem"
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    public = private_key(name).public_key()
    (KEYS / f"{name}-public.pem").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def make_certificate(name, serial, start):
    path = KEYS / f"{name}-certificate.pem"
    if path.exists():
        return
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"A stand-in for Tenpay.com, {name}")])
    key = private_key(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def sign(name, text):
    return b64(private_key(name).sign(text, padding.PKCS1v15(), hashes.SHA256()))


# Cases


def case(name, about, kind, expect="ok", files=None, **rest):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    head = {"about": about, "kind": kind, "expect": expect}
    (folder / "case.json").write_text(json.dumps(head | rest, ensure_ascii=False, indent=2) + "\n")
    for file, data in (files or {}).items():
        (folder / file).write_bytes(data)
    written.append(name)


def request(name, about, method, path, body, signature=None, at=MANUAL_TIME, nonce=MANUAL_NONCE):
    text = f"{method}\n{path}\n{at}\n{nonce}\n".encode() + body + b"\n"
    computed = sign("manual-merchant", text)
    assert signature in (None, computed), name
    header = (
        f'WECHATPAY2-SHA256-RSA2048 mchid="{MANUAL_MCHID}",nonce_str="{nonce}",signature="{computed}",'
        f'timestamp="{at}",serial_no="{MANUAL_SERIAL}"'
    )
    case(
        name,
        about,
        "request",
        files={"text": text, "body": body, "authorization": header.encode()},
        key="manual-merchant",
        serial_no=MANUAL_SERIAL,
        mchid=MANUAL_MCHID,
        method=method,
        path_and_query=path,
        timestamp=at,
        nonce=nonce,
        signature=computed,
    )


def signature(name, about, key, text, signature):
    text = text.encode()
    assert signature == sign(key, text), name
    case(name, about, "signature", files={"text": text}, key=key, signature=signature)


def payment(name, about, product, package, signature):
    prepay_id = "wx201410272009395522657a690389285100"
    appid = "wx2421b1c4370ec43b"
    text = f"{appid}\n{MANUAL_TIME}\n{MANUAL_NONCE}\n{package}\n".encode()
    assert signature == sign("manual-merchant", text), name
    case(
        name,
        about,
        "payment",
        files={"text": text},
        key="manual-merchant",
        product=product,
        appid=appid,
        mchid=MANUAL_MCHID,
        prepay_id=prepay_id,
        timestamp=MANUAL_TIME,
        nonce=MANUAL_NONCE,
        signature=signature,
    )


def signed(body, by="platform", serial=PUBLIC_KEY_ID, at=NOW, nonce=NONCE):
    text = f"{at}\n{nonce}\n".encode() + body + b"\n"
    headers = {
        "wechatpay-timestamp": str(at),
        "wechatpay-nonce": nonce,
        "wechatpay-serial": serial,
        "wechatpay-signature": sign(by, text),
    }
    return headers, text


PUBLIC_KEY = {"id": PUBLIC_KEY_ID, "public_key": "platform-public.pem"}
OLD_CERTIFICATE = {"certificate": "platform-certificate.pem"}
ALL_KEYS = [PUBLIC_KEY, OLD_CERTIFICATE]


def message(name, about, expect="ok", body=b'{"code_url":"weixin://wxpay/bizpayurl?pr=1"}', change=None, says=None,
            now=NOW, keys=ALL_KEYS, received=None, **how):
    """A response: signed over `body`, its headers changed by `change`, its body received as `received`."""
    headers, text = signed(body, **how)
    for header, value in (change or {}).items():
        if value is None:
            del headers[header]
        else:
            headers[header] = value
    received = body if received is None else received
    case(name, about, "message", expect, files={"text": text, "body": received}, headers=headers, now=now, keys=keys,
         **({"says": says} if says else {}))


def seal(plaintext, original_type="transaction", aad="transaction", key=APIV3_KEY, nonce=GCM_NONCE):
    sealed = AESGCM(key.encode()).encrypt(nonce.encode(), plaintext, (aad or "").encode())
    resource = {"original_type": original_type, "algorithm": "AEAD_AES_256_GCM", "ciphertext": b64(sealed)}
    if aad is not None:
        resource["associated_data"] = aad
    resource["nonce"] = nonce
    return resource


def callback(name, about, plaintext, expect="ok", resource=None, plaintext_kind=None, event_type="TRANSACTION.SUCCESS",
             original_type="transaction", apiv3_keys=(APIV3_KEY,), edit=None, says=None, raw=None, **how):
    """A callback about `plaintext`; `edit` changes its resource before the whole is signed, `raw` replaces the body."""
    resource = resource or seal(plaintext, original_type)
    if edit:
        edit(resource)
    body = raw if raw is not None else compact({
        "id": "EV-TEST-0002",
        "create_time": "2026-08-01T12:00:01+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "summary": "通知",
        "resource": resource,
    })
    headers, text = signed(body, **how)
    rest = {"says": says} if says else {}
    files = {"text": text, "body": body}
    if expect == "ok":
        rest |= {"event_type": event_type, "original_type": original_type, "plaintext_kind": plaintext_kind}
        files["plaintext"] = plaintext
    case(name, about, "callback", expect, files=files, headers=headers, now=NOW, keys=ALL_KEYS,
         apiv3_keys=list(apiv3_keys), **rest)


def resource(name, about, sealed, plaintext=None, apiv3_keys=(APIV3_KEY,), expect="ok"):
    files = {} if plaintext is None else {"plaintext": plaintext}
    case(name, about, "resource", expect, files=files, resource=sealed, apiv3_keys=list(apiv3_keys))


def field(name, about, make, plaintext=None, expect="ok", key="manual-merchant"):
    old = HERE / name / "case.json"
    text = json.loads(old.read_text())["field"] if old.exists() else make()
    files = {} if plaintext is None else {"plaintext": plaintext.encode()}
    case(name, about, "field", expect, files=files, key=key, field=text)


def encrypt(name, plaintext, digest, charset="utf-8"):
    oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
    return b64(private_key(name).public_key().encrypt(plaintext.encode(charset), oaep))


def delivered(file, serial, start, end, key=APIV3_KEY):
    pem = (KEYS / file).read_bytes()
    sealed = seal(pem, aad="certificate", key=key)
    del sealed["original_type"]
    return {"serial_no": serial, "effective_time": start, "expire_time": end, "encrypt_certificate": sealed}


def certificates(name, about, data, expect="ok", keys=(), raw=None, serials=None, apiv3_key=APIV3_KEY, **how):
    """A download of `data`, the newest last, signed by a delivered key as a rule; `raw` replaces the body."""
    body = compact({"data": data}) if raw is None else raw
    headers, text = signed(body, **how)
    serials = serials or [it["serial_no"] for it in data]
    rest = {"serials": serials, "newest": serials[-1]} if expect == "ok" else {}
    case(name, about, "certificates", expect, files={"text": text, "body": body}, headers=headers, now=NOW,
         keys=list(keys), apiv3_keys=[apiv3_key], **rest)


OLD_SERIAL = 0x5157F09EFDC096DE15EBE81A47057A72A4D0E1B2
NEW_SERIAL = 0xE3A1F09EFDC096DE15EBE81A47057A72A4D0E1  # first bit set: DER puts a zero byte before it
make_key("platform")
make_key("platform-next")
make_key("stranger")
make_key("manual-merchant")
make_certificate("platform", OLD_SERIAL, datetime.datetime(2022, 1, 1))
make_certificate("platform-next", NEW_SERIAL, datetime.datetime(2026, 7, 1))
OLD = f"{OLD_SERIAL:X}"
NEW = f"{NEW_SERIAL:X}"

# Requests and payments

OFFICIAL = json.loads((HERE / "manual.json").read_text())
SDK = json.loads((HERE / "sdk.json").read_text())
PREPAY_BODY = OFFICIAL["prepay_body"].encode()
assert hashlib.sha256(PREPAY_BODY).hexdigest() == "1bffd7f50c227c0e65ccb4bde7d38ffcfee86dffd297f62e549571612b76f5e6"
UPLOAD_META = compact({
    "filename": "wechatpay_logo.png",
    "sha256": "d2973a45b1d528c21ebb77792ef3fcea40fa9a4e04a17e35369102ba9c84c8b1",
})

request("request-manual-get", "manual: a GET, which has an empty body", "GET",
        "/v3/refund/domestic/refunds/123123123123", b"", OFFICIAL["signatures"]["get"])
request("request-manual-post", "manual: a prepay order with characters beyond ASCII", "POST",
        "/v3/pay/transactions/jsapi", PREPAY_BODY, OFFICIAL["signatures"]["post"])
request("request-manual-upload", "manual: of an upload only the meta part is signed", "POST",
        "/v3/marketing/favor/media/image-upload", UPLOAD_META, OFFICIAL["signatures"]["upload"])
request("request-body-ends-in-line-feed", "a body that ends in LF gets another", "POST",
        "/v3/security/echo", b'{"echo_message":"hello"}\n')
request("request-escaped-path", "path and query are signed as they are sent, escaped and unsorted", "GET",
        "/v3/pay/transactions/out-trade-no/a%2Ab%7Cc?z=1&a=%E4%B8%AD", b"")

payment("payment-manual-app", "manual: an app signs the bare prepay_id", "app",
        "wx201410272009395522657a690389285100", OFFICIAL["signatures"]["app"])
payment("payment-manual-jsapi", "manual: JSAPI signs prepay_id=...", "jsapi",
        "prepay_id=wx201410272009395522657a690389285100", OFFICIAL["signatures"]["jsapi"])
payment("payment-manual-mini-program", "manual: a mini program signs as JSAPI does", "mini_program",
        "prepay_id=wx201410272009395522657a690389285100", OFFICIAL["signatures"]["jsapi"])

signature("signature-go", "the signature of WeChat Pay's Go SDK", **{
    item: SDK["go"][item] for item in ("key", "text", "signature")
})

# Responses

official = OFFICIAL["response"]
case("message-manual-response", "manual: a Native prepay answer", "message",
     files={
         "text": f'{official["timestamp"]}\n{official["nonce"]}\n{official["body"]}\n'.encode(),
         "body": official["body"].encode(),
     },
     headers={
         "wechatpay-timestamp": str(official["timestamp"]),
         "wechatpay-nonce": official["nonce"],
         "wechatpay-serial": PUBLIC_KEY_ID,
         "wechatpay-signature": official["signature"],
     },
     now=official["timestamp"],
     keys=[{"id": PUBLIC_KEY_ID, "public_key": "manual-response-public.pem"}])
(KEYS / "manual-response-public.pem").write_text(
    "-----BEGIN PUBLIC KEY-----\n"
    + "\n".join(official["key"][i:i + 64] for i in range(0, len(official["key"]), 64))
    + "\n-----END PUBLIC KEY-----\n")

MANUAL_AS_PLATFORM = [{"id": PUBLIC_KEY_ID, "public_key": "manual-merchant-public.pem"}]
message("message-204", "a 204 has an empty body: its text ends in a lone LF", body=b"", by="manual-merchant",
        keys=MANUAL_AS_PLATFORM)
assert json.loads((HERE / "message-204/case.json").read_text())["headers"]["wechatpay-signature"] \
    == OFFICIAL["signatures"]["own_204"]
message("message-certificate-mode", "the serial names a platform certificate", serial=OLD)
message("message-serial-in-lower-case", "serials are compared without case", serial=OLD.lower())
message("message-second-key-loaded", "both certificates are loaded, the newer one signs", by="platform-next",
        serial=NEW, keys=[OLD_CERTIFICATE, {"certificate": "platform-next-certificate.pem"}])
message("message-rsa-named", "the signature type may be spelled out",
        change={"wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048"})
message("message-300-s-old", "exactly at the limit: passes", now=NOW + 300)
message("message-300-s-ahead", "exactly at the limit: passes", now=NOW - 300)
message("message-refused-stale", "one second over the limit", "stale", now=NOW + 301, says="301 s old")
message("message-refused-future", "one second over the limit", "from_the_future", now=NOW - 301,
        says="301 s in the future")
message("message-refused-timestamp", "milliseconds with a fraction are no seconds", "bad_timestamp",
        change={"wechatpay-timestamp": "1785556801.5"})
message("message-refused-signed-timestamp", "a plus sign is no digit", "bad_timestamp",
        change={"wechatpay-timestamp": "+1785556801"})
message("message-refused-endless-timestamp", "more digits than 64 bits hold", "bad_timestamp",
        change={"wechatpay-timestamp": "9" * 40})
message("message-refused-unknown-serial", "the merchant certificate's serial does not belong here", "unknown_serial",
        serial=MANUAL_SERIAL, says=MANUAL_SERIAL)
message("message-refused-no-key", "nothing is loaded", "unknown_serial", keys=[], says="loaded: none")
message("message-refused-probe", "WeChat Pay's signature probe", "probe", says="signature probe",
        change={"wechatpay-signature": "WECHATPAY/SIGNTEST/" + "A" * 325})
message("message-refused-probe-unknown-serial", "a probe is called one under an unknown serial too", "probe",
        serial=MANUAL_SERIAL, says="no loaded key",
        change={"wechatpay-signature": "WECHATPAY/SIGNTEST/" + "A" * 325})
message("message-refused-not-base64", "a signature that is no Base64", "signature_not_base64",
        change={"wechatpay-signature": "&&&&"})
message("message-refused-base64-without-padding", "Base64 is the standard one, with padding", "signature_not_base64",
        change={"wechatpay-signature": signed(b'{"code_url":"weixin://wxpay/bizpayurl?pr=1"}')[0]
                ["wechatpay-signature"].rstrip("=")})
message("message-refused-short-signature", "Base64, but not of 256 bytes", "wrong_signature",
        change={"wechatpay-signature": "AAAA"})
message("message-refused-changed-body", "one byte of the body was changed", "wrong_signature",
        received=b'{"code_url":"weixin://wxpay/bizpayurl?pr=2"}', says=PUBLIC_KEY_ID)
message("message-refused-changed-nonce", "the nonce is signed too", "wrong_signature",
        change={"wechatpay-nonce": "SelfMadeNonce0123456789ABCDEFGHJ"})
message("message-refused-changed-timestamp", "a fresh timestamp on an old message", "wrong_signature",
        change={"wechatpay-timestamp": str(NOW + 1)})
message("message-refused-stranger", "signed by somebody else's key under our serial", "wrong_signature",
        by="stranger")
message("message-refused-sm2", "the 国密 scheme is not supported", "unsupported_signature_type",
        change={"wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}, says="WECHATPAY2-SM2-WITH-SM3")
for header in ("timestamp", "nonce", "serial", "signature"):
    message(f"message-refused-no-{header}", f"Wechatpay-{header.title()} is absent", "missing_header",
            change={f"wechatpay-{header}": None}, says=f"Wechatpay-{header.title()}")
message("message-refused-empty-serial", "an empty header counts as absent", "missing_header",
        change={"wechatpay-serial": ""}, says="Wechatpay-Serial")

# Callbacks

TRANSACTION = {
    "mchid": MANUAL_MCHID,
    "appid": "wxd678efh567hg6787",
    "out_trade_no": "ORDER20260801002",
    "transaction_id": "4200000000202608010000000002",
    "trade_type": "NATIVE",
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "bank_type": "ICBC_DEBIT",
    "attach": "a/b\\\"c",
    "success_time": "2026-08-01T12:00:00+08:00",
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    "amount": {"total": 100, "payer_total": 90, "currency": "CNY", "payer_currency": "CNY"},
    "promotion_detail": [{
        "coupon_id": "109519", "name": "单品惠", "scope": "SINGLE", "type": "CASH", "amount": 10, "stock_id": "931386",
        "merchant_contribute": 10, "currency": "CNY",
        "goods_detail": [{"goods_id": "M1006", "quantity": 1, "unit_price": 100, "discount_amount": 10}],
    }],
    "scene_info": {"device_id": "013467007045764"},
    "a_field_of_next_year": {"x": [1, 2.5, None]},
}
PAID = compact(TRANSACTION)
COMBINED = compact({
    "combine_appid": "wxd678efh567hg6787", "combine_mchid": MANUAL_MCHID, "combine_out_trade_no": "C20260801001",
    "scene_info": {"device_id": "POS1:1"},
    "sub_orders": [
        {"mchid": MANUAL_MCHID, "out_trade_no": "ORDER20260801003", "trade_type": "JSAPI", "trade_state": "SUCCESS",
         "bank_type": "OTHERS", "attach": "first", "success_time": "2026-08-01T12:00:00+08:00",
         "transaction_id": "4200000000202608010000000003",
         "amount": {"total_amount": 10, "payer_amount": 10, "currency": "CNY", "payer_currency": "CNY"}},
        {"mchid": "1900007292", "out_trade_no": "ORDER20260801004", "trade_type": "JSAPI", "trade_state": "SUCCESS",
         "bank_type": "OTHERS", "attach": "second", "success_time": "2026-08-01T12:00:00+08:00",
         "transaction_id": "4200000000202608010000000004",
         "amount": {"total_amount": 20, "payer_amount": 20, "currency": "CNY", "payer_currency": "CNY"}},
    ],
    "combine_payer_info": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
})
SHARING = compact({
    "mchid": MANUAL_MCHID, "transaction_id": "4200000000202608010000000005", "order_id": "3008450740201411110007820472",
    "out_order_no": "P20150806125346",
    "receiver": {"type": "MERCHANT_ID", "account": "1900000100", "amount": 888, "description": "运费"},
    "success_time": "2026-08-01T12:00:00+08:00",
})
REFUND = compact({
    "mchid": MANUAL_MCHID, "transaction_id": "4200000000202608010000000001", "out_trade_no": "ORDER20260801001",
    "refund_id": "50000000382019052709732678859", "out_refund_no": "R1", "refund_status": "SUCCESS",
    "success_time": "2026-08-01T12:00:00+08:00", "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 100, "refund": 40, "payer_total": 90, "payer_refund": 36},
})
PARTNER = compact({"sp_appid": "wx8888888888888888", "sp_mchid": "1230000109", "sub_mchid": "1900000109",
                   "out_trade_no": "ORDER20260801006", "trade_state": "SUCCESS", "trade_state_desc": "支付成功"})
PARTNER_REFUND = compact({"sp_mchid": "1230000109", "sub_mchid": "1900000109", "out_trade_no": "ORDER20260801006",
                          "refund_status": "SUCCESS"})
ECHO = compact({"echo_message": "hello", "encrypt_echo_message": "AAAA"})

own = OFFICIAL["own_callback"]
case("callback-payment", "a payment, the reference callback of this project", "callback",
     files={
         "text": f'{NOW}\n{NONCE}\n{own["body"]}\n'.encode(),
         "body": own["body"].encode(),
         "plaintext": AESGCM(APIV3_KEY.encode()).decrypt(
             GCM_NONCE.encode(), base64.b64decode(json.loads(own["body"])["resource"]["ciphertext"]), b"transaction"),
     },
     headers={
         "wechatpay-timestamp": str(NOW), "wechatpay-nonce": NONCE, "wechatpay-serial": PUBLIC_KEY_ID,
         "wechatpay-signature": own["signature"],
     },
     now=NOW, keys=MANUAL_AS_PLATFORM, apiv3_keys=[APIV3_KEY],
     event_type="TRANSACTION.SUCCESS", original_type="transaction", plaintext_kind="transaction")
assert hashlib.sha256(own["body"].encode()).hexdigest() \
    == "b43da922280cbd70fab27c42495dd8a99089f0b9d17c496631cd4f88ffa7310b"

callback("callback-payment-with-coupons", "every documented field, and one nobody knows yet", PAID,
         plaintext_kind="transaction")
callback("callback-certificate-mode", "signed with the platform certificate's key", PAID, plaintext_kind="transaction",
         serial=OLD)
callback("callback-combined", "a combined payment comes as TRANSACTION.SUCCESS and transaction too", COMBINED,
         plaintext_kind="combined_transaction")
callback("callback-profit-sharing", "a profit sharing comes as TRANSACTION.SUCCESS: it is not a payment", SHARING,
         plaintext_kind="profit_sharing", original_type="profitsharing")
callback("callback-profit-sharing-as-transaction", "the fields tell a profit sharing from a payment", SHARING,
         plaintext_kind="profit_sharing")
callback("callback-refund", "a refund", REFUND, plaintext_kind="refund", event_type="REFUND.SUCCESS",
         original_type="refund")
callback("callback-security-echo", "the self-test's notice", ECHO, plaintext_kind="security_echo",
         event_type="SECURITY_ECHO.SUCCESS", original_type="security")
callback("callback-unknown-type", "a type this version does not know is kept", b"not even JSON",
         plaintext_kind="unknown", event_type="PAYSCORE.USER_PAID", original_type="payscore")
callback("callback-partner", "a service provider's payment is kept as it is", PARTNER, plaintext_kind="unknown")
callback("callback-partner-refund", "a service provider's refund is kept as it is", PARTNER_REFUND,
         plaintext_kind="unknown", event_type="REFUND.SUCCESS", original_type="refund")
callback("callback-second-apiv3-key", "sealed under the older of two keys", PAID, plaintext_kind="transaction",
         apiv3_keys=(APIV3_KEY, OLDER_APIV3_KEY), resource=seal(PAID, key=OLDER_APIV3_KEY))
callback("callback-empty-aad", "associated_data is empty", PAID, plaintext_kind="transaction",
         resource=seal(PAID, aad=""))
callback("callback-absent-aad", "associated_data is absent", PAID, plaintext_kind="transaction",
         resource=seal(PAID, aad=None))
callback("callback-amount-in-yuan", "an amount that is no integer of fen opens, and counts as absent",
         compact(TRANSACTION | {"amount": {"total": 1.5}}), plaintext_kind="transaction")
for length, kind in ((8, "shortest that the generator makes"), (11, "one byte short"), (13, "one byte long"),
                     (16, "longest in the manual's page of payments"), (17, "more than a block"),
                     (32, "longest in its page of refunds"), (128, "longest that the generator makes")):
    callback(f"callback-nonce-of-{length}", f"a GCM nonce of {length} bytes: {kind}", PAID, plaintext_kind="transaction",
             resource=seal(PAID, nonce=(NONCE * 4)[:length]))
callback("callback-wide-nonce", "twelve characters that are 36 bytes", PAID, plaintext_kind="transaction",
         resource=seal(PAID, nonce="十二个字符的随机串在这里"))


def cut(sealed):
    sealed["ciphertext"] = b64(base64.b64decode(sealed["ciphertext"])[:-1])


def flip(sealed):
    data = bytearray(base64.b64decode(sealed["ciphertext"]))
    data[5] ^= 1
    sealed["ciphertext"] = b64(bytes(data))


def put(**values):
    return lambda sealed: sealed.update(values)


callback("callback-refused-cut-ciphertext", "the last byte of the tag is gone", PAID, "does_not_open", edit=cut)
callback("callback-refused-shorter-than-a-tag", "fewer bytes than a tag has", PAID, "does_not_open",
         edit=put(ciphertext="AAAA"))
callback("callback-refused-empty-ciphertext", "no bytes at all", PAID, "does_not_open", edit=put(ciphertext=""))
callback("callback-refused-changed-ciphertext", "one bit of the ciphertext was changed before signing", PAID,
         "does_not_open", edit=flip)
callback("callback-refused-foreign-apiv3-key", "sealed under another merchant's key", PAID, "does_not_open",
         apiv3_keys=(OLDER_APIV3_KEY,), says="APIv3 key")
callback("callback-refused-two-foreign-apiv3-keys", "neither key fits", PAID, "does_not_open",
         apiv3_keys=(OLDER_APIV3_KEY, OLDER_APIV3_KEY[::-1][1:] + "x"), says="2 APIv3 keys")
callback("callback-refused-no-apiv3-key", "no key is loaded", PAID, "no_apiv3_key", apiv3_keys=())
callback("callback-refused-dropped-aad", "associated_data was sealed in, then left out", PAID, "does_not_open",
         edit=lambda sealed: sealed.pop("associated_data"))
callback("callback-refused-changed-aad", "associated_data was changed", PAID, "does_not_open",
         edit=put(associated_data="transactions"))
callback("callback-refused-nonce-of-11", "a GCM nonce that lost a byte", PAID, "does_not_open",
         edit=put(nonce="fdasflkja48"))
callback("callback-refused-nonce-of-16", "a GCM nonce with four bytes more than it was sealed under", PAID,
         "does_not_open", edit=put(nonce="fdasflkja484fdas"))
callback("callback-refused-empty-nonce", "no nonce at all", PAID, "nonce_length", edit=put(nonce=""))
callback("callback-refused-ciphertext-not-base64", "a ciphertext that is no Base64", PAID, "ciphertext_not_base64",
         edit=put(ciphertext="&&&&"))
callback("callback-refused-sm4", "the 国密 algorithm is not supported", PAID, "unsupported_algorithm",
         edit=put(algorithm="AEAD_SM4_GCM"))
callback("callback-refused-not-json", "signed, but no JSON", PAID, "envelope", raw=b"<xml></xml>")
callback("callback-refused-empty-body", "signed, but nothing", PAID, "envelope", raw=b"")
callback("callback-refused-no-resource", "signed JSON without a resource", PAID, "envelope",
         raw=b'{"id":"1","create_time":"x","event_type":"y"}')
callback("callback-refused-plaintext-not-json", "opens to something that is no JSON", b"hello", "plaintext")
callback("callback-refused-plaintext-without-state", "a payment without trade_state is none",
         compact({key: value for key, value in TRANSACTION.items() if key != "trade_state"}), "plaintext")
callback("callback-refused-stranger", "a callback forged with another key", PAID, "wrong_signature", by="stranger")
callback("callback-refused-unknown-serial", "a serial that is not loaded", PAID, "unknown_serial", serial=NEW)

# Resources, fields, certificates

resource("resource-java", "the AES-256 vector of WeChat Pay's Java SDK", {
    "algorithm": "AEAD_AES_256_GCM", "ciphertext": "ulwSiIajGClcvcOYvOQ7+l+0PAbzzwI=",
    "associated_data": "associatedData", "nonce": "uluk4a9R25RW",
}, b"message", apiv3_keys=("a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb",))
EMPTY_AAD = {"algorithm": "AEAD_AES_256_GCM", "ciphertext": "kdU+sVJcbgBMb5LrZsiHxABfd5X9UiQ=", "nonce": GCM_NONCE}
resource("resource-absent-aad", "absent, empty and missing associated data are the same", EMPTY_AAD, b'{"a":1}')
resource("resource-empty-aad", "absent, empty and missing associated data are the same",
         EMPTY_AAD | {"associated_data": ""}, b'{"a":1}')
resource("resource-refused-other-aad", "associated data that was not sealed in", EMPTY_AAD | {"associated_data": "x"},
         expect="does_not_open")
resource("resource-empty-plaintext", "sealed nothing: only a tag",
         {key: value for key, value in seal(b"").items() if key != "original_type"}, b"")

field("field-name", "a name encrypted to the merchant certificate", lambda: encrypt("manual-merchant", "张三", hashes.SHA1),
      "张三")
field("field-java", "the field of WeChat Pay's Java SDK", lambda: SDK["java_field"]["field"],
      SDK["java_field"]["plaintext"], key=SDK["java_field"]["key"])
field("field-longest", "214 bytes, the most that fit", lambda: encrypt("manual-merchant", "x" * 214, hashes.SHA1),
      "x" * 214)
field("field-empty", "an empty field stays empty", lambda: "", "")
field("field-refused-other-key", "encrypted to another certificate", lambda: encrypt("stranger", "张三", hashes.SHA1),
      expect="wrong_key")
field("field-refused-sha256", "OAEP with SHA-256 is not what WeChat Pay does",
      lambda: encrypt("manual-merchant", "张三", hashes.SHA256), expect="wrong_key")
field("field-refused-plain", "sent in plain", lambda: "张三", expect="not_base64")
field("field-refused-not-text", "opens to bytes that are no UTF-8",
      lambda: encrypt("manual-merchant", "张三", hashes.SHA1, charset="gbk"), expect="not_text")
field("field-refused-short", "Base64, but too short", lambda: "AAAA", expect="wrong_key")

FIRST = delivered("platform-certificate.pem", OLD, "2022-01-01T08:00:00+08:00", "2026-12-31T08:00:00+08:00")
SECOND = delivered("platform-next-certificate.pem", NEW, "2026-07-01T08:00:00+08:00", "2031-06-30T08:00:00+08:00")
certificates("certificates-first-download", "no key is known yet: one of the delivered ones signs", [FIRST], serial=OLD)
certificates("certificates-java", "the download of WeChat Pay's Java SDK; the signature is ours, by a key known before",
             [], keys=[PUBLIC_KEY], apiv3_key=SDK["java_certificates"]["apiv3_key"],
             raw=SDK["java_certificates"]["body"].encode(), serials=[SDK["java_certificates"]["serial_no"]])
certificates("certificates-rotation", "old and new side by side, the new one signs", [FIRST, SECOND],
             by="platform-next", serial=NEW)
certificates("certificates-times-as-numbers", "times that are no texts: the certificate's own count",
             [FIRST | {"effective_time": 1640995200, "expire_time": None}], serial=OLD)
certificates("certificates-refused-foreign-apiv3-key", "sealed under another merchant's key",
             [delivered("platform-certificate.pem", OLD, "2022-01-01T08:00:00+08:00", "2026-12-31T08:00:00+08:00", OLDER_APIV3_KEY)],
             "does_not_open", serial=OLD)
certificates("certificates-refused-other-serial", "the announced serial is not the certificate's own",
             [FIRST | {"serial_no": NEW}], "other_serial", serial=OLD)
certificates("certificates-refused-stranger", "signed by a key that was not delivered", [FIRST], "unknown_serial",
             by="stranger", serial=NEW)
certificates("certificates-refused-expired", "an expired certificate is not trusted",
             [FIRST | {"expire_time": "2026-08-01T12:00:01+08:00"}], "unknown_serial", serial=OLD)
certificates("certificates-refused-not-a-certificate", "opens to a public key, which is no certificate",
             [delivered("platform-public.pem", OLD, FIRST["effective_time"], FIRST["expire_time"])],
             "unusable_certificate", serial=OLD)
certificates("certificates-refused-not-json", "signed, but no JSON", [], "unreadable", raw=b"<xml></xml>")
certificates("certificates-refused-no-data", "signed JSON without certificates", [], "unreadable", raw=b"{}")
certificates("certificates-refused-time", "a time that is none", [FIRST | {"effective_time": "1640995200"}],
             "bad_time", serial=OLD)

for folder in HERE.iterdir():
    if folder.is_dir() and folder != KEYS and folder.name not in written:
        shutil.rmtree(folder)
print(len(written), "cases")
