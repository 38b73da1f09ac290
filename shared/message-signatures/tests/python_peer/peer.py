"""Signs and verifies requests with the PyPI package http-message-signatures.

Reads one job as JSON from standard input, writes the answer as JSON to standard output:
  {"do": "sign", ...}    -> {"headers": {...}}, the request's headers with those that signing added
  {"do": "verify", ...}  -> {"verdict": "valid", "covered": [...], "nonce": ...} or {"verdict": "<why not>"}
"""

import datetime
import json
import sys
from dataclasses import dataclass

from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)
from http_message_signatures.structures import CaseInsensitiveDict

ALGORITHMS = {
    "hmac-sha256": algorithms.HMAC_SHA256,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
    "ed25519": algorithms.ED25519,
}


@dataclass
class Message:
    method: str
    url: str
    headers: CaseInsensitiveDict


def main():
    job = json.load(sys.stdin)
    message = Message(job["method"], job["url"], CaseInsensitiveDict(job["headers"]))
    body = job["body"].encode()
    algorithm = ALGORITHMS[job["algorithm"]]
    keys = {job["keyid"]: job["key"].encode()}
    resolver = MappingKeyResolver(public_keys=keys, private_keys=keys)
    if job["do"] == "sign":
        HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver).sign(
            message,
            key_id=job["keyid"],
            created=datetime.datetime.fromtimestamp(job["created"], datetime.timezone.utc),
            nonce=job["nonce"],
            include_alg=job["include_alg"],
            covered_component_ids=job["covered"],
            body=body or None,
        )
        answer = {"headers": dict(message.headers.items())}
    else:
        verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=resolver)
        try:
            [result] = verifier.verify(message, max_age=None, body=body)
            answer = {"verdict": "valid", "covered": list(result.covered_components), "nonce": result.nonce}
        except InvalidSignature as error:
            answer = {"verdict": repr(error)}
    json.dump(answer, sys.stdout)


main()
