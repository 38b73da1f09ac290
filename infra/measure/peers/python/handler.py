"""receive-callback in Python, as a merchant would write it with wechatpayv3 and boto3: verify and open the callback,
give it to the queue as it came, answer 204. It reads its keys once a minute and unseals the APIv3 key once, as the
function in this repository does.
"""
import base64
import json
import logging
import os
import secrets
import time

import boto3
from botocore.config import Config
from wechatpayv3 import WeChatPay, WeChatPayType

KEYS_FRESH_S = 60
WINDOW_S = 300

logger = logging.getLogger()
logger.setLevel(logging.INFO)
config = Config(connect_timeout=1, read_timeout=3, retries={"max_attempts": 3, "mode": "standard"})
dynamodb = boto3.client("dynamodb", config=config)
kms = boto3.client("kms", config=config)
sqs = boto3.client("sqs", config=config)
queue_url = os.environ["PAYMENT_RESULTS_QUEUE_URL"]
mchid = os.environ["WECHATPAY_MCHID"]

kept = {"item": None, "wxpay": None, "fresh_until": 0.0}


def wechat_pay(now):
    """The SDK's object with the keys of the table. Its constructor wants a private key, which a callback never needs."""
    if now < kept["fresh_until"]:
        return kept["wxpay"]
    item = dynamodb.get_item(
        TableName=os.environ["KEYS_TABLE"], Key={"pk": {"S": f"merchant#{mchid}"}}, ConsistentRead=True
    )["Item"]
    if item != kept["item"]:
        newest = item["apiv3"]["L"][0]["M"]
        context = {"purpose": "apiv3-key", "mchid": mchid, "version": newest["version"]["N"]}
        apiv3_key = kms.decrypt(
            KeyId=os.environ["SECRETS_KEY_ID"], CiphertextBlob=newest["sealed"]["B"], EncryptionContext=context
        )["Plaintext"]
        verification = item["verification"]["L"][0]["M"]
        kept["wxpay"] = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=mchid,
            private_key=None,
            cert_serial_no=item["signer"]["M"]["serial_no"]["S"],
            appid=os.environ["WECHATPAY_APPIDS"],
            apiv3_key=apiv3_key.decode(),
            public_key=verification["pem"]["S"],
            public_key_id=verification["id"]["S"],
        )
        kept["item"] = item
    kept["fresh_until"] = now + KEYS_FRESH_S
    return kept["wxpay"]


def refuse(status, cause):
    logger.warning(json.dumps({"message": "callback refused", "cause": cause}))
    body = json.dumps({"code": "FAIL", "message": cause})
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": body}


def handler(event, _context):
    headers, body, now = event["headers"], event.get("body", ""), time.time()
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    # The SDK checks no timestamp, so a replay would pass.
    if abs(now - int(headers["wechatpay-timestamp"])) > WINDOW_S:
        return refuse(401, "stale")
    notice = wechat_pay(now).callback(headers, body)
    if notice is None or "out_trade_no" not in notice["resource"]:
        return refuse(401, "wrong_signature")
    signed = {
        "timestamp": headers["wechatpay-timestamp"],
        "nonce": headers["wechatpay-nonce"],
        "serial": headers["wechatpay-serial"],
        "signature": headers["wechatpay-signature"],
        "signature_type": headers["wechatpay-signature-type"],
    }
    trace_id = secrets.token_hex(16)
    traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=json.dumps({"v": "callback.v1", "headers": signed, "body": body}, ensure_ascii=False),
        MessageAttributes={"traceparent": {"DataType": "String", "StringValue": traceparent}},
    )
    logger.info(json.dumps({"message": "callback queued", "notice_id": notice["id"], "trace_id": trace_id}))
    return {"statusCode": 204}
