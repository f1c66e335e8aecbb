"""settings.toml: read strictly, so that a typing error never becomes a clinical setting."""

from pathlib import Path

import pytest

from segserve_server.repository.problem import RepositoryError
from segserve_server.repository.settings import load_postprocess_settings, load_preprocess_settings

PREPROCESS = 'grid = 1024\ncrop = "field_of_view"\n[clahe]\nclip_limit = 2\n'
POSTPROCESS = """
[model]
name = "fundus_hemorrhage"
version = "1"
segment = "fundus_hemorrhage_segment"
segment_version = 1
weights_sha256 = "{sha}"
[[classes]]
name = "hemorrhage"
color = "#e6194b"
threshold = 0.5
""".format(sha="a" * 64)


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def test_settings_are_read_and_defaults_filled(tmp_path: Path) -> None:
    settings = load_preprocess_settings(write(tmp_path, PREPROCESS)).settings
    assert settings.grid == 1024
    assert settings.clahe.clip_limit == 2.0
    assert settings.caps.max_side == 30_000
    file = load_postprocess_settings(write(tmp_path, POSTPROCESS))
    assert file.settings.classes[0].threshold_level == 128
    assert file.model.segment_version == 1


def test_the_hash_follows_the_files_bytes(tmp_path: Path) -> None:
    one = load_preprocess_settings(write(tmp_path, PREPROCESS)).sha256
    other = load_preprocess_settings(write(tmp_path, PREPROCESS + "# a remark\n")).sha256
    assert one != other


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PREPROCESS.replace("crop =", "crpo ="), "unknown key 'crpo'"),
        (PREPROCESS.replace("clip_limit = 2", 'clip_limit = "2"'), "clip_limit in .* must be of type float"),
        (PREPROCESS.replace("clip_limit = 2", "cliplimit = 2"), "unknown key 'cliplimit'"),
        (PREPROCESS.replace("grid = 1024", "grid = 1000"), "multiple of 32"),
        (PREPROCESS.replace("grid = 1024", "grid = true"), "type int, not bool"),
        (PREPROCESS.replace("[clahe]\nclip_limit = 2", "clahe = 2"), "must be a table"),
        ("grid = ", "not valid TOML"),
    ],
)
def test_a_wrong_preprocess_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RepositoryError, match=f"settings.toml.*{reason}"):
        load_preprocess_settings(write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("threshold = 0.5", "threshold = 1.5", "threshold of hemorrhage"),
        ("threshold = 0.5", "", "lacks threshold"),
        ('color = "#e6194b"', 'color = "red"', "#rrggbb"),
        ("segment_version = 1", "segment_version = 0", "segment_version"),
        ("a" * 64, "abc", "64 hexadecimal"),
        ("[model]", "[models]", "lacks name"),
        ("[[classes]]", "[classes]", "array of tables"),
        ('name = "hemorrhage"', 'name = "hemorrhage"\nsmoothing = 3', "unknown key 'smoothing'"),
    ],
)
def test_a_wrong_postprocess_file_is_refused_by_name(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in POSTPROCESS
    with pytest.raises(RepositoryError, match=f"settings.toml.*{reason}"):
        load_postprocess_settings(write(tmp_path, POSTPROCESS.replace(old, new, 1)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"settings\.toml cannot be read"):
        load_preprocess_settings(tmp_path / "settings.toml")
