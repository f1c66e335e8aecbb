"""The file of a built OpenVINO engine: compiled graphs, one for each height, in an uncompressed zip."""

import io
import zipfile
from collections.abc import Sequence

import openvino


def write_blob(graphs: Sequence[openvino.CompiledModel]) -> bytes:
    """All compiled graphs in one file, in order."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for number, graph in enumerate(graphs):
            stream = io.BytesIO()
            graph.export_model(stream)
            file.writestr(zipfile.ZipInfo(f"{number}.blob"), stream.getvalue())
    return archive.getvalue()


def read_blob(content: bytes, options: dict[str, str | int | bool]) -> list[openvino.CompiledModel]:
    """The compiled graphs of ``write_blob``, loaded for this CPU. Raises RuntimeError where OpenVINO refuses one."""
    core = openvino.Core()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            return [core.import_model(file.read(name), "CPU", options) for name in file.namelist()]
    except zipfile.BadZipFile as error:
        raise RuntimeError("not an engine of this version of segserve") from error
