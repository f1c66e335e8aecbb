"""Service-level objectives, read from a TOML file into dataclasses that refuse what they do not know."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from loadtest.errors import LoadTestError

DEFAULT_FILE = Path(__file__).with_name("slo.toml")

T = TypeVar("T", "SteadyObjectives", "BurstObjectives", "OverloadObjectives")


@dataclass(frozen=True, slots=True)
class SteadyObjectives:
    """Of an open load. The rate is also the one that is sent."""

    rate_per_s: float
    minimum_rate_fraction: float
    p95_ms: float
    p99_ms: float
    maximum_error_fraction: float


@dataclass(frozen=True, slots=True)
class BurstObjectives:
    """Of images sent at once. Their number is also the one that is sent."""

    images: int
    p95_s: float
    maximum_error_fraction: float


@dataclass(frozen=True, slots=True)
class OverloadObjectives:
    """Of a load beyond saturation, given as a multiple of the peak rate that a ramp finds first."""

    times_saturation: float
    minimum_goodput_fraction: float
    maximum_wasted_fraction: float
    maximum_memory_mb: float
    recovery_s: float


@dataclass(frozen=True, slots=True)
class Objectives:
    """All of a file; None where it has no table."""

    steady: SteadyObjectives | None
    burst: BurstObjectives | None
    overload: OverloadObjectives | None


def load_objectives(path: Path = DEFAULT_FILE) -> Objectives:
    """Read a file. Raises LoadTestError when it is missing, malformed, or has a key too many or too few."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LoadTestError(f"cannot read the objectives {path}: {error}") from error
    unknown = set(document) - {"steady", "burst", "overload"}
    if unknown:
        raise LoadTestError(f"{path}: no such table: {', '.join(sorted(unknown))}")
    return Objectives(
        steady=_read(path, document, "steady", SteadyObjectives),
        burst=_read(path, document, "burst", BurstObjectives),
        overload=_read(path, document, "overload", OverloadObjectives),
    )


def _read(path: Path, document: dict[str, Any], table: str, kind: type[T]) -> T | None:
    if table not in document:
        return None
    given, wanted = document[table], {field.name: field.type for field in fields(kind)}
    if not isinstance(given, dict) or set(given) != set(wanted):
        raise LoadTestError(f"{path}: [{table}] must hold exactly {', '.join(wanted)}")
    for name, value in given.items():
        number = isinstance(value, int) if wanted[name] is int else isinstance(value, (int, float))
        if not number or isinstance(value, bool) or value < 0:
            raise LoadTestError(f"{path}: [{table}] {name} must be a number of 0 or more, not {value!r}")
    return kind(**given)
