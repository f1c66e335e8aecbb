"""What can be imported, and what importing costs."""

import json
import subprocess
import sys
from importlib import resources

import pytest
import segserve
from segserve import errors, testing
from segserve._extras import require

_HEAVY = ("grpc", "tritonclient", "aiohttp", "google.protobuf", "PIL", "opentelemetry")


@pytest.mark.parametrize("module", [segserve, errors, testing], ids=lambda module: module.__name__)
def test_all_is_sorted_and_what_is_importable(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    # Constants, classes, functions: the order that ruff keeps.
    assert list(names) == sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(hasattr(module, name) for name in names)


def test_nothing_public_is_left_out_of_all() -> None:
    modules = {"cli", "contract", "errors", "testing"}
    public = {name for name in dir(segserve) if not name.startswith("_")}
    assert public - modules == set(segserve.__all__)


def test_every_error_of_the_tree_is_public() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree == set(errors.__all__) <= set(segserve.__all__)
    assert all(name in (errors.__doc__ or "") for name in tree)


@pytest.mark.parametrize("name", segserve.__all__)
def test_everything_public_is_documented(name: str) -> None:
    assert getattr(segserve, name).__doc__


def test_importing_loads_no_grpc_http_or_imaging_library() -> None:
    script = "import json, sys, segserve; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    assert not set(_HEAVY) & set(loaded)


def test_importing_the_contract_reads_its_schemas_only_when_asked() -> None:
    assert (resources.files("segserve") / "py.typed").is_file()
    assert segserve.contract.report_schema() is not segserve.contract.report_schema()


def test_a_missing_extra_is_named_with_the_feature_it_is_for() -> None:
    with pytest.raises(segserve.MissingExtraError, match=r"tracing needs nothing_here.*segserve\[telemetry\]"):
        require("nothing_here.at_all", extra="telemetry", feature="tracing")
