"""Signs and verifies webhooks with the PyPI package standardwebhooks, the specification's own library.

Reads one job as JSON from standard input, writes the answer as JSON to standard output:
  {"do": "now"}          -> {"now_s": ...}, this machine's clock: the library verifies against no other
  {"do": "sign", ...}    -> {"signature": "v1,..."}
  {"do": "verify", ...}  -> {"verdict": "valid"} or {"verdict": "<why not>"}
"""

import datetime
import json
import sys
import time

from standardwebhooks import Webhook, WebhookVerificationError


def main():
    job = json.load(sys.stdin)
    if job["do"] == "now":
        answer = {"now_s": int(time.time())}
    elif job["do"] == "sign":
        at = datetime.datetime.fromtimestamp(job["timestamp_s"], datetime.timezone.utc)
        answer = {"signature": Webhook(job["secret"]).sign(job["id"], at, job["body"])}
    else:
        try:
            Webhook(job["secret"]).verify(job["body"], job["headers"])
            answer = {"verdict": "valid"}
        except WebhookVerificationError as error:
            answer = {"verdict": str(error)}
    json.dump(answer, sys.stdout)


main()
