"""The command ``visionkit``: what can be typed, and where it goes. Imports nothing heavy."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import NoReturn

from visionkit.commands.actions import COMMANDS
from visionkit.errors import ConfigError, guard, nearest

_GREETING = """visionkit: one encoder, many tasks. What to type:

  visionkit list                                    everything there is to choose from
  visionkit check dataset=NAME root=DIR             every bad file of a dataset, before training
  visionkit train experiment=NAME                   train (visionkit list experiments)
  visionkit evaluate run=runs/NAME                  metrics of a run
  visionkit report run=runs/NAME                    its report with pictures
  visionkit compare RUN RUN ...                     a table of runs: metrics, speed, memory
  visionkit export run=runs/NAME                    one folder that runs anywhere
  visionkit predict BUNDLE PICTURES --out DIR       use it
  visionkit demo BUNDLE                             try it in the browser

visionkit COMMAND --help says more about one of them."""


class _Parser(ArgumentParser):
    """Errors as one line with a code, like all others."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError("C68", "", message, f"see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: runs a command and exits with its code."""
    sys.exit(guard(run, sys.argv[1:] if argv is None else list(argv)))


def run(argv: list[str]) -> int:
    """Parses and runs one command; returns its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_GREETING)
        return 0
    name, *words = argv
    if name not in COMMANDS:
        raise ConfigError("C69", name, "there is no such command", nearest(name, COMMANDS))
    parser = _Parser(f"visionkit {name}", formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    _ARGUMENTS[name](parser)
    asks = words in (["-h"], ["--help"]) and name != "train"  # Hydra has a help of its own
    arguments = parser.parse_args(words if asks or name not in _PASSED_ON else [])
    arguments.rest = words
    return COMMANDS[name](arguments)


def _settings(usage: str, words: str) -> Callable[[ArgumentParser], None]:
    def add(parser: ArgumentParser) -> None:
        parser.description, parser.epilog = usage, words
        parser.add_argument("settings", nargs="*", metavar="key=value")

    return add


def _list(parser: ArgumentParser) -> None:
    parser.description = "Every option with the words to type for it."
    parser.add_argument("group", nargs="?", help="encoders, tasks, datasets, experiments, ...; all without it")
    parser.add_argument("--parameters", action="store_true", help="published networks, counted, beside their figures")


def _predict(parser: ArgumentParser) -> None:
    parser.description = "Predictions and pictures of them, for files and folders."
    parser.add_argument("bundle", help="folder that visionkit export wrote")
    parser.add_argument("images", nargs="+", help="pictures, or folders of them")
    parser.add_argument("--out", default="predictions", help="folder of the results (default: predictions)")
    parser.add_argument("--batch-size", type=int, default=1, help="pictures of one size computed together (default: 1)")
    parser.add_argument("--tasks", help="names with commas between; all without it")
    _device(parser)


def _compare(parser: ArgumentParser) -> None:
    parser.description = "Runs side by side: what they differ in, test metrics, parameters, step time, peak memory."
    parser.add_argument("runs", nargs="+", help="run folders, patterns, folders of runs or of a sweep")
    parser.add_argument("--metric", help="names with commas between; those that checkpoints are compared by without it")
    parser.add_argument("--sort", help="column that gives the order, such as miou, step_time_s, peak_memory_b")
    parser.add_argument("--out", help="also write it to this file: .md, .csv, .json or .html")
    parser.add_argument(
        "--singles", nargs="+", help="runs of one task each; delta-m against them, with a confidence interval"
    )


def _demo(parser: ArgumentParser) -> None:
    parser.description = "A page in the browser on which pictures can be tried."
    parser.add_argument("bundle", help="folder that visionkit export wrote")
    _device(parser)


def _device(parser: ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; the GPU where there is one without it")


_EVALUATED = (
    "run=runs/NAME   folder of the run\ncheckpoint=best which one: best, last, or a file in its checkpoints/\n"
    "split=test      or val\nexamples=3      pictures of the worst, median and best each in the report\n"
    "KEY=VALUE       what is otherwise than in training, such as dataset.root=DIR or generation=ctc_beam;\n"
    "                such figures are kept in evaluations/ inside the run's folder"
)
_PASSED_ON = ("train", "evaluate", "report")
_ARGUMENTS: dict[str, Callable[[ArgumentParser], None]] = {
    "train": lambda parser: None,
    "evaluate": _settings("Metrics of a run, and its report with pictures.", _EVALUATED),
    "report": _settings("The report of a run with pictures: the same as evaluate.", _EVALUATED),
    "list": _list,
    "check": _settings(
        "Every file of a dataset that cannot be used, before training.",
        "dataset=NAME    one of: visionkit list datasets\nroot=DIR        folder of the data\n"
        "split=train     only one split\nKEY=VALUE       any key of conf/dataset/NAME.yaml",
    ),
    "export": _settings(
        "The bundle of a run: one folder that runs anywhere.",
        "run=runs/NAME   folder of the run\nout=DIR         where to write (default: the run's bundle/)\n"
        "onnx=true       also an ONNX model\ncheckpoint=best which one: best, last\n"
        "KEY=VALUE       what is read otherwise than in training, such as generation=ctc_beam",
    ),
    "compare": _compare,
    "predict": _predict,
    "demo": _demo,
}


if __name__ == "__main__":
    main()
