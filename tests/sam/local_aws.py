"""The local AWS engine, with the tables, queues and keys of the template."""

import contextlib
import os
import shutil
import subprocess
import time
import urllib.request

import boto3
from containers import free_port
from failure import Failed, tail
from reading import kebab

START_LIMIT_S = 60


@contextlib.contextmanager
def started(root, work, host):
    """Runs the engine that the tests installed, empty, on `host`, which the functions can reach; yields its address."""
    engines = [path for path in (root / "target" / "local-engine").glob("venv-*/bin/python") if path.is_file()]
    if not engines:
        raise Failed("the local AWS engine is not installed; the test command or `cargo local` does that")
    state = work / "aws"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    port = free_port()
    endpoint = f"http://{host}:{port}"
    environment = os.environ | {
        "BIND_HOST": host,
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": endpoint,
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": str(state),
        "TMPDIR": str(state),
    }
    log = work / "local-aws.log"
    with log.open("w") as output:
        process = subprocess.Popen([sorted(engines)[-1], "-m", "ministack"], env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not healthy(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the local AWS engine does not answer:\n{tail(log)}")
            time.sleep(0.1)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def healthy(endpoint):
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def made(endpoint, resources):
    """Makes the template's tables, queues, keys and buckets, and returns what `!Ref` of each one stands for."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    services = ("dynamodb", "sqs", "kms", "s3")
    dynamodb, sqs, kms, s3 = (session.client(service, endpoint_url=endpoint) for service in services)
    references = {}
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::DynamoDB::Table":
                # CloudFormation's names for these are the API's own.
                taken = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
                shape = {name: properties[name] for name in taken if name in properties}
                dynamodb.create_table(TableName=logical_id, **shape)
                references[logical_id] = logical_id
            case "AWS::SQS::Queue":
                # The engine names a queue's host as it was called, so a container can reach it too.
                references[logical_id] = sqs.create_queue(QueueName=logical_id)["QueueUrl"]
            case "AWS::KMS::Key":
                shape = {name: properties[name] for name in ("KeySpec", "KeyUsage") if name in properties}
                references[logical_id] = kms.create_key(**shape)["KeyMetadata"]["KeyId"]
            case "AWS::S3::Bucket":
                references[logical_id] = kebab(logical_id)
                s3.create_bucket(Bucket=references[logical_id])
            case _:
                pass
    return references
