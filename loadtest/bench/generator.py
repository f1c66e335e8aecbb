"""Load from threads, for benchmarks: closed (each client waits for its answer) and open (images at their time).

Run as a program, so that its CPU time is not the server's and Python's lock is its own.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loadtest.bench.senders import open_sender
from loadtest.calls import Send, measure
from loadtest.photographs import SizeClass, load_photographs
from loadtest.processes import cpu_seconds
from loadtest.samples import Sample, to_line

_MAX_IN_FLIGHT = 400


def run_closed(
    send: Send, photographs: Sequence[bytes], *, concurrency: int, seconds: float, protocol: str
) -> Iterator[Sample]:
    """``concurrency`` clients that send one image after another for ``seconds``."""
    end = time.perf_counter() + seconds

    def client(index: int) -> list[Sample]:
        samples: list[Sample] = []
        while time.perf_counter() < end:
            photograph = photographs[(index + len(samples)) % len(photographs)]
            samples.append(measure(send, photograph, protocol=protocol))
        return samples

    with ThreadPoolExecutor(concurrency) as clients:
        for samples in clients.map(client, range(concurrency)):
            yield from samples


def run_open(
    send: Send, photographs: Sequence[bytes], *, rate_per_s: float, seconds: float, protocol: str
) -> Iterator[Sample]:
    """Images at even intervals for ``seconds``, however long answers take; at most some hundreds in flight."""
    count = max(1, int(rate_per_s * seconds))
    began = time.perf_counter()
    turns = iter(range(count))
    lock = threading.Lock()

    def client(_: int) -> list[Sample]:
        samples: list[Sample] = []
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return samples
            time.sleep(max(0.0, began + turn / rate_per_s - time.perf_counter()))
            samples.append(measure(send, photographs[turn % len(photographs)], protocol=protocol))

    with ThreadPoolExecutor(min(count, _MAX_IN_FLIGHT)) as clients:
        for samples in clients.map(client, range(min(count, _MAX_IN_FLIGHT))):
            yield from samples


def main() -> None:
    """Send; write a line of JSON per request; print the CPU seconds that server and client used meanwhile as JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.generator")
    parser.add_argument("sender", help="sdk, body, form or client-side")
    parser.add_argument("url")
    parser.add_argument("records", type=Path)
    parser.add_argument("server_pid", type=int)
    parser.add_argument("--size", type=SizeClass, default=SizeClass.FULL)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, help="of a closed load")
    parser.add_argument("--rate", type=float, help="images per second of an open load")
    options = parser.parse_args()
    photographs = load_photographs(options.size)
    protocol = options.url.split(":")[0]
    with open_sender(options.sender, options.url) as send:
        for index in range(2):
            sample = measure(send, photographs[index % len(photographs)], protocol=protocol)
            if sample.error:
                sys.exit(sample.error)
        shape = {"seconds": options.seconds, "protocol": protocol}
        if options.rate is not None:
            samples = run_open(send, photographs, rate_per_s=options.rate, **shape)
        else:
            samples = run_closed(send, photographs, concurrency=options.concurrency or 1, **shape)
        server, client = cpu_seconds(options.server_pid), time.process_time()
        done = list(samples)
        used = {"server": cpu_seconds(options.server_pid) - server, "client": time.process_time() - client}
    options.records.write_text("".join(to_line(sample) for sample in done), "utf-8")
    print(json.dumps(used))  # noqa: T201


if __name__ == "__main__":
    main()
