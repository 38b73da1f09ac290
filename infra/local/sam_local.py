"""Points `sam local` and `cargo lambda watch` at the stack that `cargo local` keeps running.

    target/ci/sam/bin/python infra/local/sam_local.py [--engine URL] [--api-port N] [--state DIR] [--write-to DIR]

It asks the local AWS engine which variables each function of the stack was deployed with, and writes

    .aws-sam/local.json    what `sam build` built with these variables, for `sam local` (samconfig.toml names it)
    .aws-sam/local.env     the same variables for `cargo lambda watch`
    .aws-sam/client.json   settings of `cargo client` for the API that `sam local start-api` serves

Then it stays: a container reaches this machine at an address of Docker's bridge, while engine and simulator listen on
127.0.0.1 only. Until Ctrl-C their ports are open at the bridge's address, too, and at no other.
"""

import argparse
import asyncio
import ipaddress
import json
import os
import platform
import re
import sys
import urllib.parse
from pathlib import Path

import boto3
import docker
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
STACK = "wechatpay"

# What Lambda calls this machine's processor, and the number of it in the head of a program.
PROCESSORS = {"x86_64": ("x86_64", 0x3E), "aarch64": ("arm64", 0xB7)}

# The first address of Docker's default bridge, where the engine cannot be asked.
BRIDGE = "172.17.0.1"


class Failed(Exception):
    """What the reader can act on; printed without a traceback."""


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", default="http://127.0.0.1:4566", help="the AWS engine of `cargo local`")
    options.add_argument("--api-port", type=int, default=3000, help="where `sam local start-api` will listen")
    options.add_argument("--state", type=Path, default=ROOT / ".local", help="the state directory of `cargo local`")
    options.add_argument("--write-to", type=Path, default=ROOT / ".aws-sam", help="the folder of the files")
    chosen = options.parse_args()

    variables = deployed(chosen.engine)
    bridge = bridge_address()
    ports = write(BUILT, variables, chosen, bridge)
    print(f"wrote local.json, local.env and client.json to {chosen.write_to}")
    asyncio.run(relay(bridge, ports))


def deployed(engine):
    """The variables that each function of the stack was deployed with, by the function's name in the stack."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    client = session.client("lambda", endpoint_url=engine, config=Config(retries={"total_max_attempts": 1}))
    try:
        functions = client.list_functions()["Functions"]
    except (BotoCoreError, ClientError) as error:
        raise Failed(f"no local AWS engine answers at {engine}; start `cargo local` and leave it running ({error})") from error
    found = {
        function["FunctionName"].removeprefix(f"{STACK}-"): function["Environment"]["Variables"]
        | {"AWS_ENDPOINT_URL": engine}
        for function in functions
    }
    if not found:
        raise Failed(f"the engine at {engine} has no functions; `cargo local` deploys them")
    return found


def write(built, variables, chosen, bridge):
    """Writes the three files; returns the ports of this machine that the functions call."""
    notify_url = f"http://127.0.0.1:{chosen.api_port}/v1/callbacks/wechatpay"
    try:
        document = yaml_parse(built.read_text())
    except OSError as error:
        raise Failed(f"{built} cannot be read ({error}); run `sam build --parameter-overrides Architecture=x86_64` first") from error
    chosen.write_to.mkdir(exist_ok=True)
    of_containers = {}
    for name, each in variables.items():
        of_containers[name] = {key: seen_from_container(value, bridge) for key, value in each.items()}
        if "NOTIFY_URL" in each:
            of_containers[name]["NOTIFY_URL"] = notify_url  # the simulator calls it, from outside of any container
    template = with_variables(document, of_containers, built.parent)
    (chosen.write_to / "local.json").write_text(json.dumps(template, indent=1))
    (chosen.write_to / "local.env").write_text(env_file(variables))
    try:
        settings = json.loads((chosen.state / "client.json").read_text())
    except OSError as error:
        raise Failed(f"{error}; `cargo local` writes it") from error
    # A secret is in it.
    with open(chosen.write_to / "client.json", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(settings | {"api_url": f"http://127.0.0.1:{chosen.api_port}"}, file, indent=1)
    called = [each[name] for each in variables.values() for name in CALLED if name in each]
    return sorted({urllib.parse.urlsplit(url).port for url in called})


# The variables with the addresses that functions call.
CALLED = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH", "WECHATPAY_BASE_URL")


def with_variables(document, variables, folder):
    """The template that `sam build` wrote, its functions with these variables in place of its expressions. Optional functions that are not
    deployed are left out; nothing else changes."""
    architecture, number = PROCESSORS[platform.machine()]
    shared = document["Globals"]["Function"]
    del shared["Environment"]
    shared["Architectures"] = [architecture]
    for logical_id, resource in list(document["Resources"].items()):
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", logical_id).lower()
        if name not in variables and "Condition" in resource:
            del document["Resources"][logical_id]  # an optional part that the stack was made without
            continue
        if name not in variables:
            raise Failed(f"the stack has no function {name}; `cargo local` runs another version: start it again")
        properties = resource["Properties"]
        properties["Environment"] = {"Variables": variables[name]}
        properties["CodeUri"] = str(folder / properties["CodeUri"])
        with open(folder / properties["CodeUri"] / "bootstrap", "rb") as program:
            if int.from_bytes(program.read(20)[18:], "little") != number:
                raise Failed(f"{logical_id} was built for another processor; run `sam build --parameter-overrides Architecture={architecture}`")
    return document


def seen_from_container(value, bridge):
    """An address of this machine as a container reaches it."""
    return re.sub(r"(?<=//)(127\.0\.0\.1|localhost)(?=[:/]|$)", bridge, value)


def env_file(variables):
    """One file for all functions: a variable of several has one value, as one stack has one table of orders."""
    together = {}
    for name, each in sorted(variables.items()):
        for key, value in each.items():
            if together.setdefault(key, value) != value:
                raise Failed(f"{name} has another {key} than a function before it, so one file cannot serve both")
    # AWS's SDK asks for credentials; the engine takes any.
    together |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    return "".join(f"{key}={json.dumps(value)}\n" for key, value in sorted(together.items()))


def bridge_address():
    """By which a container reaches this machine."""
    try:
        client = docker.from_env()
        configs = client.networks.get("bridge").attrs["IPAM"]["Config"] or []
        client.close()
    except docker.errors.DockerException:
        return BRIDGE
    return next((config["Gateway"] for config in configs if config.get("Gateway")), BRIDGE)


async def relay(bridge, ports):
    """Opens each port at the bridge's address and hands what comes on to the same port of 127.0.0.1."""
    servers = []
    for port in ports:
        hand_on = lambda reader, writer, port=port: handed_on(reader, writer, port)
        try:
            servers.append(await asyncio.start_server(hand_on, bridge, port))
        except OSError as error:
            print(f"containers cannot reach this machine ({bridge}:{port}: {error}): start Docker for `sam local`; `cargo lambda watch` needs none")
            return
    print(f"containers reach the ports {ports} of this machine at {bridge} until Ctrl-C", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def handed_on(reader, writer, port):
    try:
        there, back = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(pumped(reader, back), pumped(there, writer))
    finally:
        back.close()
        writer.close()


async def pumped(reader, writer):
    """One direction, to its end; the other may go on."""
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        pass
