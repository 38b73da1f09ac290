"""What the programs of both engines do around the engine: unpack and hash the bill, list what differs, tell what it took.

The clocks start when the engine is imported, as ours is linked when its clocks start.
"""
import hashlib
import json
import sys
import time
import zlib

MCHID = "1900000001"
BOOKS = ["shard", "kind", "id", "order_no", "amount_fen", "appid", "product", "transaction_id", "refund_id", "state"]
PIECE = 256 * 1024


def unpacked(bill, into):
    """Unpacks the bill into a file object. Gives the SHA-1 of the text, and its columns."""
    sha1, unpacker, head = hashlib.sha1(), zlib.decompressobj(16 + zlib.MAX_WBITS), None
    with open(bill, "rb") as file:
        while piece := file.read(PIECE):
            text = unpacker.decompress(piece)
            head = head or text.splitlines()[0]
            sha1.update(text)
            into.write(text)
    if not unpacker.eof:
        sys.exit("the bill is cut")
    return sha1.hexdigest(), head.decode("utf-8-sig").split(",")


def run(job):
    """Runs `job(bill, books)`, which gives the SHA-1, and of each difference the side it was found on and its number."""
    bill, books, found = sys.argv[1:4]
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    sha1, differences = job(bill, books)
    with open(found, "w", encoding="ascii") as file:
        file.writelines(f"{side} {number}\n" for side, number in sorted(differences))
    whole = {"cpu_ns": time.process_time_ns() - cpu, "wall_ns": time.perf_counter_ns() - wall}
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"whole": whole, "peak_bytes": peak * 1024, "sha1": sha1}))
