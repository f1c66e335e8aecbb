"""How the shipped weights are made and measured: pretrain, train, pseudo-label, plot, export, evaluate, card …"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from segserve_server.engines.openvino import Precision
from segserve_server.imaging.errors import ImagingError
from segserve_server.repository.problem import RepositoryError
from training.config import PretrainConfig, TrainConfig, load_config
from training.errors import TrainingError

_RUNS = Path("runs")

# Verbs import what they need when they run: evaluating needs no torch, training no engine.


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the verb. Returns the exit status: 0, or 1 with a sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (TrainingError, ImagingError, RepositoryError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _pretrain(options: argparse.Namespace) -> None:
    from training.memory import keep_freed_memory
    from training.pretrain import pretrain

    keep_freed_memory()
    config = load_config(options.config, PretrainConfig)
    print(pretrain(config, data=options.data, output=options.output or _RUNS / config.name))


def _train(options: argparse.Namespace) -> None:
    from training.memory import keep_freed_memory
    from training.train import train

    keep_freed_memory()
    config = load_config(options.config, TrainConfig)
    print(train(config, data=options.data, output=_output(options, config.name), fold=options.fold))


def _pseudo_label(options: argparse.Namespace) -> None:
    from training.pseudo_labels import pseudo_label

    config = load_config(options.config, TrainConfig)
    count = pseudo_label(config, options.checkpoints, data=options.data, output=options.output, views=options.views)
    print(f"{count} photographs have masks in {options.output}")


def _average(options: argparse.Namespace) -> None:
    from training.soup import average_checkpoints

    average_checkpoints(options.checkpoints, options.output)


def _plot(options: argparse.Namespace) -> None:
    from training.plots import plot_logs
    from training.run_log import read_log

    plot_logs({log.parent.name: read_log(log) for log in options.logs}, options.output)


def _export(options: argparse.Namespace) -> None:
    from training.export import export

    config = load_config(options.config, TrainConfig)
    export(options.checkpoint, config, output=options.output, temperature=options.temperature, half=options.half)


def _evaluate(options: argparse.Namespace) -> None:
    from training.evaluate import EvaluationRequest, Part, run_evaluation

    request = EvaluationRequest(
        data=options.data,
        repository=options.repository,
        weights=options.weights,
        part=Part(options.split),
        fold=options.fold,
        cross_validation=options.cross_validation,
        precision=Precision(options.precision),
        healthy=not options.skip_healthy,
        temperature=options.fit_temperature,
        sweep=options.sweep,
    )
    print(run_evaluation(load_config(options.config, TrainConfig), request, json_path=options.json))


def _card(options: argparse.Namespace) -> None:
    from training.card import write_card

    write_card(options.folder, docs=options.docs)


def _compare(options: argparse.Namespace) -> None:
    from training.compare import compare

    print(compare(options.folder, page=options.page))


def _output(options: argparse.Namespace, name: str) -> Path:
    suffix = "" if options.fold is None else f"-fold{options.fold}"
    return options.output or _RUNS / f"{name}{suffix}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(required=True)

    verb = verbs.add_parser("pretrain", help="pre-train an encoder on unlabelled photographs, or go on with it")
    verb.set_defaults(run=_pretrain)
    _add_config_and_data(verb)
    _add_run_folder(verb)

    verb = verbs.add_parser("train", help="train a network, or go on with a run that was stopped")
    verb.set_defaults(run=_train)
    _add_config_and_data(verb)
    _add_fold(verb)
    _add_run_folder(verb)

    verb = verbs.add_parser("pseudo-label", help="let trained networks draw masks for photographs without any")
    verb.set_defaults(run=_pseudo_label)
    verb.add_argument("config", type=Path, help="of the networks")
    verb.add_argument("checkpoints", type=Path, nargs="+", metavar="checkpoint", help="of a network; several: the mean")
    verb.add_argument("output", type=Path, help="folder for the masks")
    _add_data(verb)
    verb.add_argument("--views", type=int, default=2, help="mirrored views of each photograph, 1 to 4; default 2")

    verb = verbs.add_parser("average", help="write the mean of the weights of several checkpoints")
    verb.set_defaults(run=_average)
    verb.add_argument("checkpoints", type=Path, nargs="+", metavar="checkpoint", help="of networks with one start")
    verb.add_argument("output", type=Path, help="the checkpoint to write")

    verb = verbs.add_parser("plot", help="plot the logs of runs")
    verb.set_defaults(run=_plot)
    verb.add_argument("logs", type=Path, nargs="+", metavar="log", help="log.jsonl of a run")
    verb.add_argument("output", type=Path, help="the PNG to write")

    verb = verbs.add_parser("export", help="write the served ONNX of a checkpoint")
    verb.set_defaults(run=_export)
    verb.add_argument("config", type=Path)
    verb.add_argument("checkpoint", type=Path)
    verb.add_argument("output", type=Path, help="the ONNX to write")
    verb.add_argument("--temperature", type=float, default=1.0, help="what evaluate --fit-temperature found")
    verb.add_argument("--half", action="store_true", help="store the weights in half precision")

    verb = verbs.add_parser("evaluate", help="measure exported weights as they are served")
    verb.set_defaults(run=_evaluate)
    _add_config_and_data(verb)
    _add_fold(verb)
    verb.add_argument("--split", choices=("validation", "all", "testing"), default="validation")
    verb.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="settings, and weights to measure"
    )
    verb.add_argument("--weights", type=Path, help="measure this ONNX instead of the repository's")
    verb.add_argument(
        "--cross-validation",
        type=Path,
        metavar="RUNS",
        help="pool RUNS/<config>-fold<K>/weights.onnx, each on the photographs that it did not see",
    )
    verb.add_argument("--precision", choices=[p.value for p in Precision], default=Precision.AUTO.value)
    verb.add_argument("--skip-healthy", action="store_true", help="leave the photographs graded 0 out")
    verb.add_argument("--fit-temperature", action="store_true", help="fit the temperature to export with")
    verb.add_argument("--sweep", action="store_true", help="choose threshold and minimum area")
    verb.add_argument("--json", type=Path, help="also write the figures here")

    verb = verbs.add_parser("card", help="regenerate the model card from measured figures")
    verb.set_defaults(run=_card)
    verb.add_argument("folder", type=Path, help="the run that made the weights; those of its folds lie beside it")
    verb.add_argument("--docs", type=Path, default=Path("docs"))

    verb = verbs.add_parser("compare", help="rebuild the comparison of runs from their logs and figures")
    verb.set_defaults(run=_compare)
    verb.add_argument("folder", type=Path, help="holds the runs' folders, at any depth")
    verb.add_argument("--page", type=Path, default=Path("docs/training.md"))
    return parser


def _add_config_and_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("config", type=Path, help="a TOML file, see training/configs")
    _add_data(verb)


def _add_fold(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--fold", type=int, help="hold out this part of the cross-validation, counted from 1")


def _add_run_folder(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--output", type=Path, help=f"folder of the run; default {_RUNS}/<name of the config>")


def _add_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--data", type=Path, required=True, help="the IDRiD folder: the official download or a compact copy"
    )
