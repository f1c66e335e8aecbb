"""Run by a test in a process of its own: a gRPC client is used, the process forks, and both sides use it again."""

import os
import sys
from pathlib import Path

from segserve import Client


def main() -> int:
    """Print the lesion counts that parent, child and parent again were told."""
    url, image = sys.argv[1], Path(sys.argv[2]).read_bytes()
    with Client(url, model="fundus_hemorrhage", timeout_s=120) as client:
        print("parent", client.segment(image).report.classes["hemorrhage"].lesion_count, flush=True)
        child = os.fork()
        if child == 0:
            print("child", client.segment(image).report.classes["hemorrhage"].lesion_count, flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("parent", client.segment(image).report.classes["hemorrhage"].lesion_count, flush=True)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
