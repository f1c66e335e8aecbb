"""``make demo``: the example photographs through a real Triton on this machine, overlays and reports into out/."""

import argparse
import sys
from pathlib import Path

from segserve.cli import main as segserve

from segserve_server.embedded import EmbeddedServer, EmbeddedServerError

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Start a server on free ports, do what a user would do on the command line, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="where results go (default: out/)")
    out = parser.parse_args().out
    photographs = sorted(str(path) for path in (ROOT / "examples").glob("*.jpg"))
    print("starting a Triton on this machine ...", flush=True)
    try:
        with EmbeddedServer(ROOT / "model_repository", variant="cpu") as server:
            return segserve(["segment", *photographs, "--out", str(out), "--url", server.grpc_url])
    except EmbeddedServerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
