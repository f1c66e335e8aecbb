"""From what a program has to encoded bytes, and the photograph back."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segserve import InvalidInputError, Named, find_images
from segserve._images import iterate
from segserve._photo import decode_photo
from segserve._source import load_image, name_of


def test_path_bytes_file_and_named_give_the_same_bytes(tmp_path: Path, png: bytes) -> None:
    path = tmp_path / "eye.png"
    path.write_bytes(png)
    with path.open("rb") as file:
        sources = [path, str(path), png, bytearray(png), memoryview(png), file, Named("x", png)]
        loaded = [load_image(source) for source in sources]
    assert {each.data for each in loaded} == {png}
    assert [each.name for each in loaded] == [str(path), str(path), "", "", "", str(path), "x"]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_an_array_is_encoded_without_loss(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(load_image(array).data))), array)


def test_a_16_bit_array_keeps_its_bits() -> None:
    array = np.array([[0, 1000], [40000, 65535]], np.uint16)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(load_image(array).data))), array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_a_pillow_image_of_any_mode_is_encoded(mode: str) -> None:
    encoded = load_image(Image.new(mode, (4, 3)))
    assert decode_photo(encoded.data).size == (4, 3)


@pytest.mark.parametrize(
    "source",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        io.StringIO("text"),
        42,
        "no/such/file.jpg",
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_refused(source: object) -> None:
    with pytest.raises(InvalidInputError):
        load_image(source)  # type: ignore[arg-type]


def test_a_source_without_a_name_has_none() -> None:
    assert name_of(b"") == ""
    assert name_of(Path("a/b.jpg")) == "a/b.jpg"


def test_a_folder_gives_its_images_sorted_and_leaves_out_hidden_ones(folder: Path) -> None:
    assert [path.relative_to(folder).as_posix() for path in find_images(folder)] == ["a.png", "b.png", "sub/c.png"]


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot read the folder"):
        list(find_images(tmp_path / "nowhere"))


def test_many_images_come_from_a_folder_a_path_or_any_iterable(folder: Path) -> None:
    assert len(list(iterate(str(folder)))) == 3
    assert list(iterate(folder / "a.png")) == [folder / "a.png"]
    assert list(iterate(iter([b"1", b"2"]))) == [b"1", b"2"]
    for wrong in ("nowhere", b"one image", 5):
        with pytest.raises(InvalidInputError):
            iterate(wrong)  # type: ignore[arg-type]


def test_the_photograph_is_shown_as_the_server_sees_it() -> None:
    sixteen = load_image(np.full((2, 2), 0x1234, np.uint16)).data
    assert decode_photo(sixteen).getpixel((0, 0)) == (0x12, 0x12, 0x12)
    clear = load_image(np.zeros((2, 2, 4), np.uint8) + np.array([200, 0, 0, 0], np.uint8)).data
    assert decode_photo(clear).getpixel((0, 0)) == (0, 0, 0)


def test_exif_orientation_is_applied() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(buffer, format="JPEG", exif=exif)
    assert decode_photo(buffer.getvalue()).size == (20, 30)


def test_bytes_that_are_no_image_cannot_be_drawn_on() -> None:
    with pytest.raises(InvalidInputError, match="cannot decode"):
        decode_photo(b"text")
