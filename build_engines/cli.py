"""``python -m build_engines build | parity | compose | import``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from build_engines import commands
from build_engines.compose import Activation, Averaging
from build_engines.errors import BuildError
from build_engines.views import View
from segserve_server.repository.manifest import Precision, Target

ROOT = Path(__file__).resolve().parents[1]
PASSED, GATE_FAILED, REFUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 a parity gate was not passed, 2 refused with a sentence."""
    parsed = make_parser().parse_args(arguments)
    try:
        passed: bool = parsed.run(parsed)
    except BuildError as error:
        print(f"build_engines: {error}", file=sys.stderr)
        return REFUSED
    return PASSED if passed else GATE_FAILED


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m build_engines", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="build | parity | compose | import")
    _add_build(verbs.add_parser("build", help="build an engine, compare it with FP32, put it where the server looks"))
    _add_parity(verbs.add_parser("parity", help="compare a built engine with FP32 on other photographs"))
    _add_compose(verbs.add_parser("compose", help="make the served graph from exported networks"))
    _add_import(verbs.add_parser("import", help="write the model folders of a new pipeline"))
    return parser


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", help="an ensemble of the repository, for example fundus_hemorrhage")
    parser.add_argument("--target", type=Target, choices=list(Target), required=True, metavar=_names(Target))
    parser.add_argument("--precision", type=_precision, default=Precision.FP16, metavar=_names(Precision))
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--photos", type=Path, default=ROOT / "examples", help="photographs to compare on")
    parser.add_argument("--max-photos", type=_positive, default=50, help="at most so many of them (50)")
    parser.add_argument("--report", type=Path, help="folder of parity.html and parity.json (out/parity/...)")
    parser.add_argument("--gate-mean-dice", type=float, help="default 0.99, for int8 0.97")
    parser.add_argument("--gate-worst-dice", type=float, help="default 0.90, of every image and class")


def _add_build(parser: argparse.ArgumentParser) -> None:
    _add_engine(parser)
    parser.add_argument("--calibration", type=Path, help="photographs for int8 and bf16 (those of --photos)")
    parser.add_argument("--version-compatible", action="store_true", help="tensorrt: runs on later minor versions too")
    parser.add_argument("--hardware-compatible", action="store_true", help="tensorrt: runs on Ampere and later alike")
    parser.add_argument("--compute-capability", default="8.9", help="tensorrt-rtx: the GPU to build for (8.9)")
    parser.add_argument("--workspace-gib", type=_positive, default=4, help="tensorrt: GPU memory while building (4)")
    parser.set_defaults(run=commands.run_build)


def _add_parity(parser: argparse.ArgumentParser) -> None:
    _add_engine(parser)
    parser.set_defaults(run=commands.run_parity)


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--activation", type=Activation, choices=list(Activation), metavar=_names(Activation))
    parser.add_argument("--mean", type=_three, help="per channel, of pixels in 0 to 1 (0.485,0.456,0.406)")
    parser.add_argument("--std", type=_three, help="per channel, of pixels in 0 to 1 (0.229,0.224,0.225)")
    parser.add_argument("--temperature", type=float, help="divides the logits (1)")
    parser.add_argument("--tta", type=_views, default=(), help="views to average over: hflip,vflip,rot90,rot180,rot270")
    parser.add_argument("--background", type=int, help="channel that is no class")


def _add_compose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("members", type=Path, nargs="+", help="ONNX: float32 [N, 3, H, W] to logits [N, C, H, W]")
    parser.add_argument("--output", type=Path, required=True)
    _add_graph(parser)
    parser.add_argument(
        "--average", type=Averaging, choices=list(Averaging), default=Averaging.MEAN, metavar="mean|vote"
    )
    parser.add_argument("--floor", type=float, default=0.0, help="mean: probabilities under it become 0")
    parser.add_argument("--vote-threshold", type=float, default=0.5, help="vote: the probability from which one votes")
    parser.set_defaults(run=commands.run_compose)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("onnx", type=Path, help="float32 to logits, or a served graph (UINT8 to UINT8)")
    parser.add_argument("--name", required=True, help="of the pipeline, lower-case snake_case")
    parser.add_argument("--classes", type=Path, required=True, help="TOML with a [[classes]] table per channel")
    parser.add_argument("--grid", type=_positive, help="side of the model grid; must be the graph's")
    parser.add_argument("--crop", choices=("full_frame", "field_of_view"), default="full_frame")
    parser.add_argument("--clahe", type=float, help="clip limit of CLAHE on the model grid (none)")
    _add_graph(parser)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository", help="where the folders go")
    parser.add_argument("--template", default="fundus_hemorrhage", help="the pipeline they are derived from")
    parser.add_argument("--template-repository", type=Path, default=ROOT / "model_repository")
    parser.set_defaults(run=commands.run_import)


def _names(kind: type[Target] | type[Precision] | type[Activation]) -> str:
    return "|".join(str(one.value) for one in kind)


def _precision(text: str) -> Precision:
    return Precision("fp32" if text == "f32" else text)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _three(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3:
        raise ValueError(text)
    return values


def _views(text: str) -> tuple[View, ...]:
    return tuple(View(part.strip()) for part in text.split(","))


# argparse names these functions in its messages: "invalid precision value: 'fp15'".
_precision.__name__, _positive.__name__, _three.__name__, _views.__name__ = (
    "precision",
    "positive number",
    "three numbers",
    "views",
)
