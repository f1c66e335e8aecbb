"""Test a program that uses segserve without a server.

A ``FakeServer`` makes clients whose requests never leave the process. Failures come by script, as the errors that a
real server's answers become; the client retries them as it always does.

Examples
--------
>>> from segserve import OverloadedError
>>> from segserve.testing import FakeServer, example_image
>>> server = FakeServer().script(OverloadedError("Exceeds maximum queue size"))
>>> with server.client() as client:
...     count = client.segment(example_image()).report.classes["hemorrhage"].lesion_count
...     print(count, client.counters.retries)
1 1
"""

from segserve.testing._example import example_image, example_recording, example_result
from segserve.testing._fake_server import FAKE_URL, FakeServer, SeenRequest, Step
from segserve.testing._synthetic import FakeModel, encode_mask

__all__ = [
    "FAKE_URL",
    "FakeModel",
    "FakeServer",
    "SeenRequest",
    "Step",
    "encode_mask",
    "example_image",
    "example_recording",
    "example_result",
]
