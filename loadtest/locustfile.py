"""Users of the server, for locust: ``python -m loadtest`` runs it, and so does locust's own web page.

    LOCUST_SKIP_MONKEY_PATCH=1 locust -f loadtest/locustfile.py \\
        --host grpc://127.0.0.1:8001 --http http://127.0.0.1:8000

Each user of an open load sends one image every five seconds: 50 users are 10 images a second.

Users are greenlets, but the SDK runs in real threads: with the standard library patched for gevent, threads become
greenlets, every client's event loop runs in the one real thread, where asyncio allows a single loop, and gRPC's own
gevent support was seen to answer in steps of half a second. Hence the environment variable: locust patches otherwise.
"""

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import gevent
from gevent import monkey
from gevent.pool import Group
from gevent.threadpool import ThreadPool
from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from segserve import Client, RetryPolicy

from loadtest.calls import measure
from loadtest.photographs import endless, load_mixture
from loadtest.samples import Burst, Outcome, Sample, to_line
from loadtest.shapes import USER_PERIOD_S, Shape

if monkey.is_module_patched("threading"):
    raise SystemExit("set LOCUST_SKIP_MONKEY_PATCH=1: the SDK needs real threads")

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_MAX_IN_FLIGHT = 1000


class RequestFailedError(Exception):
    """What locust's statistics show for a request without an answer."""


class Load:
    """What all users of the process share: connections, photographs, and the file of records."""

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        if options is None or not environment.host:
            raise SystemExit("name the server: --host grpc://127.0.0.1:8001")
        self.shape = Shape(options.load)
        self.burst_images: int = options.burst_images
        self.burst_pause_s: float = options.burst_pause
        self.photographs: Iterator[bytes] = endless(load_mixture())
        self.users = itertools.count()
        self._environment = environment
        self._records: TextIO | None = None
        if options.records:
            self._records = Path(options.records).open("w", encoding="utf-8")  # noqa: SIM115  (closed in close)
        urls = [environment.host] + ([options.http] if options.http else [])
        # Rejections must be seen, so nothing is sent twice.
        once = RetryPolicy(max_attempts=1)
        self.clients = [Client(url, model=options.model, timeout_s=options.timeout, retry=once) for url in urls]
        self.protocols = [url.split(":")[0] for url in urls]
        self._threads = ThreadPool(_MAX_IN_FLIGHT)

    def send(self, index: int) -> Sample:
        """Send the next photograph over the protocol of that index (modulo their number); report it to locust."""
        index %= len(self.clients)
        sample: Sample = self._threads.apply(
            measure, (self.clients[index].segment, next(self.photographs)), {"protocol": self.protocols[index]}
        )
        self._environment.events.request.fire(  # type: ignore[no-untyped-call]
            request_type=sample.protocol,
            name="segment",
            response_time=sample.latency_ms,
            response_length=0,
            exception=None if sample.outcome is Outcome.OK else RequestFailedError(sample.error),
            start_time=sample.started_s,
        )
        self.record(sample)
        return sample

    def record(self, record: Sample | Burst) -> None:
        """Keep a record, if a file was asked for."""
        if self._records is not None:
            self._records.write(to_line(record))
            self._records.flush()

    def close(self) -> None:
        """Close connections and the file."""
        for client in self.clients:
            client.close()
        if self._records is not None:
            self._records.close()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: LocustArgumentParser) -> None:
    """Our own options, which the web page shows as well."""
    parser.add_argument("--load", choices=[shape.value for shape in Shape], default=Shape.STEADY.value)
    parser.add_argument("--http", default="", help="also send over HTTP, every other user, to this URL")
    parser.add_argument("--model", default="fundus_hemorrhage", help="the ensemble")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds a request may take")
    parser.add_argument("--burst-images", type=int, default=10, help="images of one burst")
    parser.add_argument("--burst-pause", type=float, default=1.0, help="seconds between bursts")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the run (headless)")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second (headless)")
    parser.add_argument("--records", default="", help="write a line of JSON per request to this file")


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def start(environment: Environment, **_: object) -> None:
    """Open the connections."""
    Photographer.load = Load(environment)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def stop(environment: Environment, **_: object) -> None:
    """Close them."""
    Photographer.load.close()


class Photographer(User):
    """Sends photographs: one every ``USER_PERIOD_S`` seconds, or burst after burst."""

    load: Load

    def on_start(self) -> None:
        """Spread the users over the period; the golden ratio does so evenly however many there will be."""
        self.index = next(self.load.users)
        self.under_way = Group()
        self.due_s = time.monotonic()
        if self.load.shape is not Shape.BURST:
            self.due_s += (self.index * _GOLDEN_RATIO % 1) * USER_PERIOD_S
            gevent.sleep(max(0.0, self.due_s - time.monotonic()))

    def wait_time(self) -> float:
        """Seconds until this user's next turn, which comes at a fixed time however long the last answer takes."""
        if self.load.shape is Shape.BURST:
            return self.load.burst_pause_s
        self.due_s = max(self.due_s + USER_PERIOD_S, time.monotonic())
        return self.due_s - time.monotonic()

    @task
    def take_turn(self) -> None:
        """One image, or one burst. An open load does not wait for answers: a slow server gets no fewer images."""
        if self.load.shape is Shape.BURST:
            self.send_burst()
        else:
            self.under_way.spawn(self.load.send, self.index)

    def on_stop(self) -> None:
        """Wait for the answers that are still to come."""
        self.under_way.join()

    def send_burst(self) -> None:
        """Several images at once; the burst ends with the last answer."""
        started_s, began = time.time(), time.perf_counter()
        sends = [gevent.spawn(self.load.send, index) for index in range(self.load.burst_images)]
        gevent.joinall(sends)
        failed = sum(send.value is None or send.value.outcome is not Outcome.OK for send in sends)
        self.load.record(Burst(started_s, time.perf_counter() - began, len(sends), failed))
