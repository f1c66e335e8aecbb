"""Objectives are read strictly: a misspelt one must not be passed over."""

from pathlib import Path

import pytest

from loadtest.errors import LoadTestError
from loadtest.slo import load_objectives


def test_the_shipped_objectives_are_the_requirement() -> None:
    objectives = load_objectives()
    assert objectives.steady is not None
    assert (objectives.steady.rate_per_s, objectives.steady.p95_ms) == (10.0, 500.0)
    assert objectives.burst is not None
    assert (objectives.burst.images, objectives.burst.p95_s) == (10, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "[steddy]\n",
        "[burst]\nimages = 10\n",
        "[burst]\nimages = 10\np95_s = 1.0\nmaximum_error_fraction = 0.0\np99_s = 2.0\n",
        "[burst]\nimages = 10.5\np95_s = 1.0\nmaximum_error_fraction = 0.0\n",
        "[burst]\nimages = 10\np95_s = -1.0\nmaximum_error_fraction = 0.0\n",
        "[burst]\nimages = 10\np95_s = true\nmaximum_error_fraction = 0.0\n",
        "not toml",
    ],
)
def test_what_it_does_not_know_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "slo.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(LoadTestError, match=r"slo\.toml"):
        load_objectives(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match=r"none\.toml"):
        load_objectives(tmp_path / "none.toml")
