"""``python -m training train``: the command line of the training package."""

import argparse
from pathlib import Path

from training.config import load_config
from training.train import train


def main() -> None:
    """Parse the command line and run the verb."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("train", help="train, or go on with a run that was stopped")
    verb.add_argument("config", type=Path)
    verb.add_argument("--data", type=Path, required=True, help="the IDRiD folder (holds segmentation/)")
    verb.add_argument("--output", type=Path, help="default: runs/<name of the config>")
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    train(config, data=arguments.data, output=arguments.output or Path("runs") / config.name)


main()
