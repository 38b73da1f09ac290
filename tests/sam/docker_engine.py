"""A Docker engine for `sam local`: the one that answers already, or one that is started here and stopped afterwards.

The started one keeps to itself: its own socket, its data under target/, no rule in the host's firewall (a container
reaches the host by the bridge, and the host a container by Docker's own proxy, without any).

The proof goes on without one only where there is nothing to start, where the caller may not, or where the kernel
forbids containers (as some sandboxes do). Any other way in which Docker breaks is a failure.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import docker
from failure import Failed, tail

REPOSITORY = "public.ecr.aws/lambda/provided"
TAG = "al2023-x86_64"

# The first address of Docker's default bridge, by which a container reaches the host.
BRIDGE = "172.17.0.1"

# A machine that was busy with a build has taken 8 s.
START_LIMIT_S = 60

# What programs print when a system call is forbidden (EPERM, EACCES), missing (ENOSYS) or cut out (EOPNOTSUPP).
KERNEL_REFUSALS = ("operation not permitted", "permission denied", "function not implemented", "not supported")


@dataclass
class Engine:
    """A Docker engine that answers and has the base image."""

    version: str
    origin: str
    image_origin: str
    host_address: str
    environment: dict


@contextlib.contextmanager
def found_or_started(work):
    """Yields an engine, or None after saying why there is none."""
    with contextlib.ExitStack() as stack:
        try:
            yield open_engine(work, stack)
            return
        except Unavailable as reason:
            print(f"no Docker engine: {reason}", flush=True)
        yield None


class Unavailable(Exception):
    """Why there is no engine here; the proof then goes on without one."""


def broken(what):
    """The exception for an engine that does not work: not to be had under a kernel that forbids it, else a fault."""
    if any(words in what.lower() for words in KERNEL_REFUSALS):
        return Unavailable(f"the kernel forbids it: {what}")
    return Failed(f"Docker does not work here (`--engine emulator` does without): {what}")


def open_engine(work, stack):
    """Finds or starts the engine and sees to its base image; what must be undone is put on `stack`."""
    if platform.machine() != "x86_64":
        raise Unavailable(f"the proof builds for x86_64, this is {platform.machine()}")
    environment = dict(os.environ)
    client, origin = connect(None), "already running"
    if client is None:
        socket = stack.enter_context(started(work))
        environment["DOCKER_HOST"] = f"unix://{socket}"
        client, origin = connect(environment["DOCKER_HOST"]), "started for this proof"
        if client is None:
            raise Failed("dockerd was started, but does not answer")
    stack.callback(client.close)

    gateways = [config.get("Gateway") for config in client.networks.get("bridge").attrs["IPAM"]["Config"] or []]
    host_address = next((gateway for gateway in gateways if gateway), BRIDGE)
    image_origin = base_image(client, work)
    try_container(client)
    return Engine(client.version()["Version"], origin, image_origin, host_address, environment)


def connect(address):
    """A client whose engine answers, or None."""
    try:
        client = docker.DockerClient(base_url=address, timeout=120) if address else docker.from_env(timeout=120)
        client.ping()
        return client
    except docker.errors.DockerException:
        return None


@contextlib.contextmanager
def started(work):
    """Runs dockerd; yields its socket."""
    daemon = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/sbin")
    if daemon is None:
        raise Unavailable("dockerd is not installed (Debian: apt-get install docker.io)")
    if os.geteuid() != 0:
        raise Unavailable("none is running, and only root can start one")

    log = work / "dockerd.log"
    # A socket's path may have 107 bytes, so it can't lie deep under a checkout.
    run = Path(tempfile.mkdtemp(prefix="sam-proof-"))
    socket = run / "docker.sock"
    command = [
        daemon,
        f"--host=unix://{socket}",
        f"--data-root={work / 'docker'}",
        f"--exec-root={run / 'exec'}",
        f"--pidfile={run / 'pid'}",
        f"--bip={BRIDGE}/16",
        "--iptables=false",
        "--ip6tables=false",
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not connect(f"unix://{socket}"):
            if process.poll() is not None:
                raise broken(f"dockerd ended with status {process.returncode}: {tail(log, 1)}")
            if time.monotonic() > deadline:
                raise Failed(f"dockerd did not answer within {START_LIMIT_S} s:\n{tail(log, 3)}")
            time.sleep(0.2)
        yield socket
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(run, ignore_errors=True)


def base_image(client, work):
    """Sees that the image of the Lambda runtime is there; returns where it is from."""
    image = f"{REPOSITORY}:{TAG}"
    try:
        client.images.get(image)
        return "at hand"
    except docker.errors.ImageNotFound:
        pass
    try:
        client.images.pull(REPOSITORY, tag=TAG)
        return "pulled"
    except (docker.errors.APIError, docker.errors.ImageNotFound) as refused:
        print(f"{image} cannot be pulled ({first_line(refused)}); making a Debian root file system instead", flush=True)

    # A static or glibc bootstrap needs nothing of Amazon Linux but a C library that is new enough.
    if os.geteuid() != 0:
        raise Unavailable("its base image can't be pulled, and only root can make one")
    if not shutil.which("debootstrap"):
        raise broken("its base image can't be pulled, and debootstrap is not installed to make one")
    with tempfile.TemporaryDirectory(prefix="rootfs-", dir=work) as folder:
        archive = work / "rootfs.tar"
        log = work / "debootstrap.log"
        try:
            with log.open("w") as output:
                made = ["debootstrap", "--variant=minbase", "bookworm", f"{folder}/root"]
                subprocess.run(made, stdout=output, stderr=subprocess.STDOUT, check=True)
                packed = ["tar", "-C", f"{folder}/root", "-cf", str(archive), "."]
                subprocess.run(packed, stdout=output, stderr=subprocess.STDOUT, check=True)
            client.api.import_image_from_file(str(archive), repository=REPOSITORY, tag=TAG)
        except subprocess.CalledProcessError as error:
            raise broken(f"{error.cmd[0]} failed:\n{tail(log, 3)}") from error
        except docker.errors.APIError as error:
            raise broken(f"the base image could not be imported: {first_line(error)}") from error
        finally:
            archive.unlink(missing_ok=True)
    return "made by debootstrap"


def try_container(client):
    """Runs one container: an engine may answer where the kernel then lets it start none."""
    try:
        client.containers.run(f"{REPOSITORY}:{TAG}", entrypoint=["/bin/sh", "-c", "exit 0"], remove=True)
    except (docker.errors.APIError, docker.errors.ContainerError) as error:
        raise broken(f"a container that does nothing cannot be run: {first_line(error)}") from error


def first_line(error):
    """The first line of an engine's error, which may hold a whole log."""
    return (str(error).splitlines() or [""])[0]
