"""Opens the same payment notice as often as it is told on standard input, with wechatpayv3, and says how long it took.

One line in: a count. One line out: wall and CPU time of this thread, in nanoseconds.
"""
import json
import sys
import time

from wechatpayv3 import WeChatPay, WeChatPayType

with open(sys.argv[1], encoding="utf-8") as file:
    given = json.load(file)

wxpay = WeChatPay(
    wechatpay_type=WeChatPayType.NATIVE,
    mchid=given["mchid"],
    private_key=given["private_key_pem"],
    cert_serial_no=given["serial_no"],
    appid=given["appid"],
    apiv3_key=given["apiv3_key"],
    public_key=given["public_key_pem"],
    public_key_id=given["public_key_id"],
)
headers, body = given["headers"], given["body"].encode()

if wxpay.callback(headers, body)["resource"]["out_trade_no"] != given["order_no"]:
    sys.exit("the notice did not open")
if wxpay.callback(headers, body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.FAILURE", 1)) is not None:
    sys.exit("a changed notice opened")

for line in sys.stdin:
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for _ in range(int(line)):
        wxpay.callback(headers, body)
    print(time.perf_counter_ns() - wall, time.thread_time_ns() - cpu, flush=True)
