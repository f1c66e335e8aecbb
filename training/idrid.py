"""IDRiD on disk: the folders of the official download, or a compact copy (``segmentation/``, ``graded/``)."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from segserve_server.imaging.lesions import BoolArray
from training.errors import DataError

LESIONS = ("HE", "MA", "EX", "SE", "OD")
"""Annotated structures, the served one first: haemorrhages, microaneurysms, hard and soft exudates, optic disc."""

DISC = "OD"

LANDMARKS = ("disc", "fovea")
"""Points whose place the graded photographs' table gives: the centres of the optic disc and of the fovea."""

_FIRST_GRADE_WITH_HAEMORRHAGES = 2
_PUBLISHED_MASKS = {
    "HE": "*. Haemorrhages",
    "MA": "*. Microaneurysms",
    "EX": "*. Hard Exudates",
    "SE": "*. Soft Exudates",
    "OD": "*. Optic Disc",
}
_PUBLISHED_PART = {"training": "a. Training Set", "testing": "b. Testing Set"}
_Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AnnotatedPhotograph:
    """A photograph with pixel masks. ``masks``: a file for each annotated structure of LESIONS."""

    stem: str
    image: Path
    masks: tuple[tuple[str, Path], ...]

    def mask(self, lesion: str, *, shape: tuple[int, int]) -> BoolArray:
        """The annotation of one structure, bool [height, width]. Raises DataError if the file has another shape."""
        path = dict(self.masks).get(lesion)
        if path is None:
            return np.zeros(shape, np.bool_)
        with Image.open(path) as file:
            values = np.asarray(file.convert("RGB") if file.mode in ("RGBA", "LA", "CMYK") else file)
        mask: BoolArray = values.reshape(*values.shape[:2], -1).any(axis=2)
        if mask.shape != shape:
            raise DataError(f"{path} is not a mask of {shape[1]} x {shape[0]} pixels")
        return mask


@dataclass(frozen=True, slots=True)
class GradedPhotograph:
    """A photograph without masks. ``grade``: 0 none to 4 proliferative (ICDR); ``disc``, ``fovea``: x, y in its pixels.

    ``same_as``: stem of the annotated photograph that is the same picture, or empty.
    """

    stem: str
    image: Path
    grade: int
    disc: _Point
    fovea: _Point
    same_as: str


def list_annotated(root: Path, *, part: str = "training") -> list[AnnotatedPhotograph]:
    """The annotated photographs under ``root``, sorted. ``part``: ``training``, or the official ``testing``.

    Raises DataError when there are none.
    """
    published = root / "A. Segmentation"
    if published.is_dir():
        images = published / "1. Original Images" / _PUBLISHED_PART[part]
        masks = published / "2. All Segmentation Groundtruths" / _PUBLISHED_PART[part]
        folders = {lesion: next(masks.glob(pattern), masks) for lesion, pattern in _PUBLISHED_MASKS.items()}
        name = "{stem}_{lesion}.tif"
    elif part == "training":
        images = root / "segmentation" / "images"
        folders = {lesion: root / "segmentation" / "masks" / lesion for lesion in LESIONS}
        name = "{stem}.png"
    else:
        raise DataError(f"{root} is not the official download, which alone has the testing photographs")
    found = []
    for image in sorted(images.glob("*.jpg")):
        candidates = (
            (lesion, folder / name.format(stem=image.stem, lesion=lesion)) for lesion, folder in folders.items()
        )
        found.append(AnnotatedPhotograph(image.stem, image, tuple((k, p) for k, p in candidates if p.exists())))
    if not found:
        raise DataError(f"no photographs under {images}; name the folder that holds 'A. Segmentation' or segmentation/")
    return found


def list_graded(root: Path) -> list[GradedPhotograph]:
    """The graded photographs under ``root``, sorted, each picture once.

    Left out by ``idrid_duplicates.csv``: second copies, copies with contradicting grades, and copies of official
    segmentation test photographs. Raises DataError when there are none.
    """
    published = root / "B. Disease Grading"
    rows = list(_read_published(root) if published.is_dir() else _read_compact(root / "graded"))
    table = files("training") / "idrid_duplicates.csv"
    known = {row["stem"]: row for row in csv.DictReader(table.read_text("utf-8").splitlines())}
    found = []
    for photograph in rows:
        entry = known.get(photograph.stem)
        if entry is None:
            found.append(photograph)
        elif not entry["left_out_because"]:
            same = entry["same_as_segmentation"]
            found.append(
                GradedPhotograph(
                    photograph.stem, photograph.image, photograph.grade, photograph.disc, photograph.fovea, same
                )
            )
    if not found:
        raise DataError(f"no graded photographs under {root}; 'B. Disease Grading' or graded/ is needed for this")
    return sorted(found, key=lambda p: p.stem)


def list_unannotated(root: Path) -> list[GradedPhotograph]:
    """Graded photographs that may show haemorrhages (grade 2 and up) and are no copy of an annotated one, sorted.

    Grade 1 is microaneurysms only, by definition (ICDR; Wilkinson et al., Ophthalmology 110, 2003).
    """
    return [p for p in list_graded(root) if p.grade >= _FIRST_GRADE_WITH_HAEMORRHAGES and not p.same_as]


def leave_out_copies(graded: Iterable[GradedPhotograph], held_out: Iterable[str]) -> list[GradedPhotograph]:
    """Those graded photographs that are no copy of an annotated one in ``held_out``."""
    excluded = set(held_out)
    return [p for p in graded if p.same_as not in excluded]


def _read_compact(folder: Path) -> Iterator[GradedPhotograph]:
    for row in _rows(folder / "index.csv"):
        disc = (float(row["disc_x"]), float(row["disc_y"]))
        fovea = (float(row["fovea_x"]), float(row["fovea_y"]))
        image = folder / "images" / f"{row['stem']}.jpg"
        yield GradedPhotograph(row["stem"], image, int(row["dr_grade"]), disc, fovea, "")


def _read_published(root: Path) -> Iterator[GradedPhotograph]:
    grading, localisation = root / "B. Disease Grading", root / "C. Localization" / "2. Groundtruths"
    discs = _published_points(next((localisation / "1. Optic Disc Center Location").glob("a.*.csv"), localisation))
    fovea_folder = localisation / "2. Fovea Center Location"
    foveas = _published_points(next(fovea_folder.glob("*Training*.csv"), localisation))
    labels = next((grading / "2. Groundtruths").glob("a.*.csv"), grading)
    for row in _rows(labels):
        stem = row["Image name"]
        image = grading / "1. Original Images" / _PUBLISHED_PART["training"] / f"{stem}.jpg"
        yield GradedPhotograph(stem, image, int(row["Retinopathy grade"]), discs[stem], foveas[stem], "")


def _published_points(path: Path) -> dict[str, _Point]:
    points = {}
    for row in _rows(path):
        cells = [cell for cell in row.values() if cell]
        if len(cells) >= 3:  # the published tables end in rows of commas
            points[cells[0]] = (float(cells[1]), float(cells[2]))
    return points


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    for row in csv.DictReader(lines):
        yield {key.strip(): (value or "").strip() for key, value in row.items() if isinstance(key, str)}
