"""Runs are compared from their logs and figures alone."""

import json
from pathlib import Path

import pytest

from training.compare import BEGIN, END, compare
from training.errors import RunError


def _write_run(folder: Path, name: str, *, annotated: int, fold: int, aupr: float, start: str = "imagenet") -> None:
    folder.mkdir(parents=True)
    config = {"name": name, "network": {"start": start}}
    facts = {"config": config, "fold": fold, "training": ["S"] * annotated}
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "evaluation.json").write_text(json.dumps({"aupr_served": aupr, "dice": aupr / 2}))
    records = [{"step": step, "seconds": 36.0 * step, "validation_aupr": aupr * step / 100} for step in (50, 100)]
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two arms of two folds, one of them also with fewer labels."""
    for fold, aupr in ((1, 0.4), (2, 0.6)):
        _write_run(tmp_path / f"imagenet-fold{fold}", "imagenet", annotated=36, fold=fold, aupr=aupr)
        _write_run(tmp_path / f"imagenet10-fold{fold}", "imagenet", annotated=10, fold=fold, aupr=aupr - 0.3)
        _write_run(
            tmp_path / f"moco-fold{fold}",
            "moco",
            annotated=36,
            fold=fold,
            aupr=aupr - 0.1 * fold,
            start="runs/pretrain/checkpoint.pt",
        )
    (tmp_path / "pretrain").mkdir()
    (tmp_path / "pretrain" / "log.jsonl").write_text(json.dumps({"step": 10, "seconds": 1800.0}) + "\n")
    return tmp_path


def test_the_table_has_mean_and_spread_over_folds_best_first(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "training.md"
    page.parent.mkdir()
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    compare(runs, page=page)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == ("before", BEGIN, END, "after")
    assert lines[4:7] == [
        "| imagenet | 36 | 2 | 0.500 ± 0.141 | - | 0.250 ± 0.071 | 1.00 | 0.00 |",
        "| moco | 36 | 2 | 0.350 ± 0.071 | 0.150 ± 0.071 | 0.175 ± 0.035 | 1.00 | 0.50 |",
        "| imagenet | 10 | 2 | 0.200 ± 0.141 | 0.300 ± 0.000 | 0.100 ± 0.071 | 1.00 | 0.00 |",
    ]
    for plot in ("learning-curves", "label-efficiency"):
        assert (page.parent / "images" / f"{plot}.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_without_a_place_for_the_table_is_left_alone(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(RunError, match="lacks the lines"):
        compare(runs, page=page)
    assert page.read_text() == "nothing here"


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no evaluated run"):
        compare(tmp_path, page=tmp_path / "page.md")
