"""Both layouts of IDRiD are read alike, each picture once, copies on one side."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.errors import DataError
from training.idrid import GradedPhotograph, leave_out_copies, list_annotated, list_graded


def _touch(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The folder names of the official download, with three photographs."""
    segmentation = tmp_path / "A. Segmentation"
    for part, stem in (("a. Training Set", "IDRiD_01"), ("b. Testing Set", "IDRiD_55")):
        _touch(segmentation / "1. Original Images" / part / f"{stem}.jpg")
        masks = segmentation / "2. All Segmentation Groundtruths" / part / "2. Haemorrhages"
        masks.mkdir(parents=True)
        mask = Image.fromarray(np.array([[0, 1, 0], [0, 0, 1]], np.uint8), mode="P")
        mask.putpalette([0, 0, 0, 255, 0, 0])
        mask.save(masks / f"{stem}_HE.tif")
    labels = (
        "Image name,Retinopathy grade,Risk of macular edema ,,\nIDRiD_001,3,2,,\nIDRiD_012,3,2,,\nIDRiD_118,0,0,,\n"
    )
    _touch(tmp_path / "B. Disease Grading/2. Groundtruths/a. IDRiD_Disease Grading_Training Labels.csv", labels)
    points = "Image No,X- Coordinate,Y - Coordinate,,\nIDRiD_001,5,6,,\nIDRiD_012,7,8,,\nIDRiD_118,1,2,,\n,,,,\n"
    centres = tmp_path / "C. Localization/2. Groundtruths"
    _touch(centres / "1. Optic Disc Center Location/a. IDRiD_OD_Center_Training Set_Markups.csv", points)
    _touch(centres / "2. Fovea Center Location/IDRiD_Fovea_Center_Training Set_Markups.csv", points)
    return tmp_path


def test_the_official_download_is_read(published: Path) -> None:
    (photograph,) = list_annotated(published)
    assert photograph.stem == "IDRiD_01"
    assert photograph.mask("HE", shape=(2, 3)).tolist() == [[False, True, False], [False, False, True]]
    assert [p.stem for p in list_annotated(published, part="testing")] == ["IDRiD_55"]


def test_a_structure_without_a_file_is_not_annotated(published: Path) -> None:
    (photograph,) = list_annotated(published)
    assert not photograph.mask("MA", shape=(2, 3)).any()


def test_a_mask_of_another_size_is_refused(published: Path) -> None:
    (photograph,) = list_annotated(published)
    with pytest.raises(DataError, match="not a mask of 4 x 2"):
        photograph.mask("HE", shape=(2, 4))


def test_graded_photographs_of_the_official_download_come_once_and_know_their_copies(published: Path) -> None:
    first, second = list_graded(published)
    assert (first.stem, first.grade, first.disc, first.same_as) == ("IDRiD_001", 3, (5.0, 6.0), "")
    assert (second.stem, second.same_as) == ("IDRiD_012", "IDRiD_53")  # and IDRiD_118's grades contradict each other


def test_the_compact_copy_is_read(data: Path) -> None:
    assert len(list_annotated(data)) == 6
    assert [(p.stem, p.grade) for p in list_graded(data)] == [("G_01", 0), ("G_02", 0), ("G_03", 2)]
    mask = list_annotated(data)[0].mask("HE", shape=(160, 240))
    assert 0 < mask.mean() < 0.1


def test_the_compact_copy_has_no_testing_photographs(data: Path) -> None:
    with pytest.raises(DataError, match="not the official download"):
        list_annotated(data, part="testing")


def test_copies_of_held_out_photographs_are_left_out() -> None:
    graded = [GradedPhotograph(f"G_{i}", Path(), 2, (0, 0), (0, 0), same) for i, same in enumerate(("A", "B", ""))]
    assert [p.stem for p in leave_out_copies(graded, ["A"])] == ["G_1", "G_2"]


@pytest.mark.parametrize("read", [list_annotated, list_graded])
def test_a_folder_without_photographs_is_named(tmp_path: Path, read: object) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        read(tmp_path)  # type: ignore[operator]
