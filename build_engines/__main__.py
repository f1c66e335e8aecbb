"""``python -m build_engines``."""

import sys

_REFUSED = 2


def _main() -> int:
    try:
        from build_engines.cli import main
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("build_engines", "segserve_server"):
            raise
        sys.stderr.write(f"build_engines: {error.name} is not installed: pip install -e '.[build]'\n")
        return _REFUSED
    return main()


sys.exit(_main())
