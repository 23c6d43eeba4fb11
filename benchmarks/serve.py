"""Load on `fidtools serve`: clients on this machine that ask one question after the other.

    python benchmarks/serve.py QUESTIONS.jsonl --seconds 60 -- --bm25 -p passages.jsonl

What stands after `--` are the options of the server, which is started on a free port. Prints requests per second, the
latencies p50, p95 and p99, errors, and the server's memory after a tenth of the time and at the end.
"""

from __future__ import annotations

import argparse
import http.client
import re
import subprocess
import sys
import threading
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import orjson

WARM_UP_SHARE = 0.1


class Client(threading.Thread):
    """One client with one connection."""

    def __init__(self, port: int, path: str, bodies: list[bytes], end: float) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.path, self.bodies, self.end = path, bodies, end
        self.latencies: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        for body in cycle(self.bodies):
            started = time.perf_counter()
            if started > self.end:
                return
            try:
                self.connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                response = self.connection.getresponse()
                answer = response.read()
                if response.status != 200 or not orjson.loads(answer)["result"]:
                    self.errors.append(f"{response.status} {answer[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                self.connection.close()
            self.latencies.append(time.perf_counter() - started)


def start(options: list[str]) -> tuple[subprocess.Popen[str], int]:
    """The server and its port."""
    command = [sys.executable, "-m", "fidtools", "serve", *options, "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"^serving .*:(\d+) ", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(found[1])
    raise SystemExit("the server did not start")


def resident_mb(process: subprocess.Popen[str]) -> float:
    """Memory that the process holds now, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--path", choices=["/retrieve", "/read"], default="/retrieve")
    parser.add_argument("--topk", type=int, default=10)
    parser.add_argument("options", nargs="+", help="options of the server, after --")
    given = parser.parse_args()
    questions = [orjson.loads(line)["question"] for line in given.questions.read_bytes().splitlines()]
    scores = {"return_scores": True} if given.path == "/retrieve" else {}
    bodies = [orjson.dumps({"queries": [question], "topk": given.topk} | scores) for question in questions]
    server, port = start(given.options)
    try:
        begin = time.perf_counter()
        shifted = [list(islice(cycle(bodies), at, at + len(bodies))) for at in range(given.clients)]
        clients = [Client(port, given.path, mine, begin + given.seconds) for mine in shifted]
        for client in clients:
            client.start()
        time.sleep(WARM_UP_SHARE * given.seconds)
        early = resident_mb(server)
        for client in clients:
            client.join()
        took, late = time.perf_counter() - begin, resident_mb(server)
    finally:
        server.terminate()
        code = server.wait(30)
    report(clients, took)
    print(f"memory {early:,.0f} MB after {WARM_UP_SHARE:.0%} of the time, {late:,.0f} MB at the end; exit code {code}")


def report(clients: list[Client], took: float) -> None:
    latencies = np.array([latency for client in clients for latency in client.latencies])
    errors = [error for client in clients for error in client.errors]
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99]) * 1000
    print(f"{len(clients)} clients, {took:.0f} s: {len(latencies):,} requests, {len(latencies) / took:,.0f} per second")
    print(f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, {len(errors)} errors", *errors[:3])


if __name__ == "__main__":
    main()
