"""Make commands of the documentation short: each kind is known here, and one that is not has to be added."""

import re
import sys
from shlex import split

FAST = {"model": "linear", "baselines": ["last"], "steps": 5, "members": 1}  # of a fit
FAST_WORDS = ["--model", "linear", "--baselines", "last", "--steps", "5", "--members", "1"]
BENCHMARKS = ["python", "-m", "benchmarks"]

# commands that are not run here, by their beginning, and why
NOT_RUN = {
    "pip install . && forecast now": ".ci/run runs the first block of README as it stands",
    "pip install '.[test]'": ".ci/run runs the first block of README as it stands",
    "pip install '.[plot]'": "it changes the environment of the tests, which have the extra",
    "forecast fit sales.csv --device cuda": "it needs a GPU",
    "sphinx-build": "tests/docs/test_site.py builds the site without running the examples",
    "pip install ./predict": "it changes the environment; tests/test_slim.py hides all other packages",
    "python -m venv": "it downloads gigabytes of other packages",
    "python -m benchmarks accuracy classical": "its data do not ship; tests/benchmarks runs it on a small panel",
    "python -m benchmarks rolling": "its data do not ship; tests/benchmarks runs it on a small panel",
    "python -m benchmarks singles": "its data do not ship; tests/benchmarks runs it on small series",
    "python -m benchmarks sums": "its data do not ship; tests/benchmarks runs it on a small panel",
    "python -m benchmarks speed sums": "it times commands on a large panel; tests/benchmarks runs it once",
    "python -m benchmarks speed predict": "it times whole commands; tests/benchmarks runs it once",
    "python -m benchmarks speed now": "it times whole commands; tests/benchmarks runs it once",
    "python -m benchmarks speed install": "it times whole commands; tests/benchmarks runs it once",
    "python -m benchmarks speed accuracy": "its data do not ship; tests/benchmarks runs it on a small panel",
    "python -m benchmarks speed panels": "it times commands on large panels; tests/benchmarks runs it on small ones",
    "python -m benchmarks nights": "it runs a job on a large panel; tests/benchmarks runs it on a small one",
    "forecast run job.toml --accept": "no run of the examples is blocked; tests/jobs/test_gate.py accepts one",
    "forecast predict --future-template": "the store of the examples has no known columns; README's command is run",
    "forecast diff": "it needs two nights of a job; tests/jobs/test_diff.py has them",
    "forecast predict s3://": "it needs a cluster and a bucket",
    "forecast backtest sales.csv --refit --windows 8 --cluster": "it needs a cluster; tests.cluster has one",
    "python -m workshop.pretraining": "it takes hours; tests/workshop runs two steps of it",
}


class UnknownCommand(Exception):
    """The documentation shows a command that these tests cannot make short."""


def short(words: list[str]) -> list[str]:
    """The same command with little to do."""
    match words:
        case ["forecast", "fit", *_]:
            return [*words, *FAST_WORDS]
        case ["forecast", "backtest", *_] if "--artifact" in words:  # fits nothing
            return [*words, "--windows", "2"]
        case ["forecast", "backtest", *_]:
            return [*_without_auto(words), *FAST_WORDS[2:], "--windows", "2"]
        case [
            "forecast",
            "now"
            | "predict"
            | "run"
            | "status"
            | "score"
            | "plot"
            | "report"
            | "explain"
            | "inspect"
            | "versions",
            *_,
        ]:
            return words
        case ["forecast", "models" | "synth" | "promote" | "rollback", *_]:
            return words
    return _short_benchmark(words)


def _short_benchmark(words: list[str]) -> list[str]:
    if words[:3] != BENCHMARKS:
        raise UnknownCommand(
            f"say in {__name__} how to shorten `{' '.join(words)}`, or why it is not run"
        )
    # an interpreter that is there, so that peers that are not installed are named and left out
    words = [
        sys.executable if before == "--peers-python" else word
        for before, word in zip(["", *words[:-1]], words, strict=True)
    ]
    match words[3:]:
        case ["accuracy", "etth1", *_]:
            return [*words, "--methods", "last", "--horizon", "720"]
        case ["accuracy", *_]:
            return [*words, "--methods", "last"]
        case ["intervals", *_]:
            return [*words, *split("--kinds seasonal --methods linear --series 4 --steps 5")]
        case ["lumpy", *_]:
            return [*words, "--series", "1"]
        case ["events", *_]:
            return [*words[:4]]
        case ["speed", *_]:
            return [*words, "--pairs", "3"]
        case ["table", *_]:
            return words
    raise UnknownCommand(
        f"say in {__name__} how to shorten `{' '.join(words)}`, or why it is not run"
    )


def _without_auto(words: list[str]) -> list[str]:
    """A backtest of `auto` fits a dozen networks."""
    chosen = [
        ",".join("linear" if one == "auto" else one for one in word.split(",")) for word in words
    ]
    return [
        new if before == "--model" else word
        for before, word, new in zip(["", *words], words, chosen, strict=False)
    ]


def short_pipeline(text: str) -> str:
    """A pipeline file with little to train."""
    train = "[train]\n" + "".join(f"{name} = {value!r}\n" for name, value in FAST.items())
    text = re.sub(r"^(budget|model|steps|members) = .*\n", "", text, flags=re.MULTILINE)
    return text.replace("[train]\n", train) if "[train]" in text else f"{text}\n{train}"


def short_python(text: str) -> str:
    """An example of the Python API with little to train."""
    text = text.replace('"auto"', '"linear"')  # auto compares a dozen networks
    text = re.sub(
        r"Forecaster\((?=model=)", 'Forecaster(steps=3, members=1, baselines=("last",), ', text
    )
    return re.sub(
        r"Forecaster\((?=horizon=)",
        'Forecaster(model="gru", steps=3, members=1, guard=False, ',
        text,
    )


def reason(text: str) -> str | None:
    """Why a command is not run; None for one that is."""
    return next((why for beginning, why in NOT_RUN.items() if text.startswith(beginning)), None)
