"""The gauges of a job as numbers, and which alerts they raise."""

import re
from typing import Any

import yaml

from tests.conftest import ROOT

SAMPLE = re.compile(r'(\w+)\{job="((?:[^"\\]|\\["\\n])*)"(?:,level="(\d+)")?\} (\S+)')
METRIC = re.compile(r'(forecast_\w+)(?:\{level="(\d+)"\})?')


def samples(text: str) -> dict[tuple[str, str], float]:
    """The numbers of a text in Prometheus' format by name and level, each after its HELP and TYPE."""
    assert text.endswith("\n")
    found: dict[tuple[str, str], float] = {}
    heads: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            _, word, name, rest = line.split(" ", 3)
            assert (word, rest) == ("TYPE", "gauge") or (word == "HELP" and rest)
            heads = [*heads[-1:], f"{word} {name}"]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert heads == [f"HELP {match[1]}", f"TYPE {match[1]}"]
            assert (match[1], match[3] or "") not in found
            found[match[1], match[3] or ""] = float(match[4])
    return found


def rules() -> list[dict[str, Any]]:
    text = (ROOT / "pipelines" / "alerts.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def firing(gauges: dict[tuple[str, str], float], now: float) -> set[str]:
    """The alerts whose expression holds; they are arithmetic and comparisons, as in Python."""
    alerts = set()
    for rule in rules():
        text = rule["expr"].replace("time()", str(now))
        used = [(name, level) for name, level in METRIC.findall(text)]
        numbers = METRIC.sub(lambda match: str(gauges.get((match[1], match[2] or ""))), text)
        if set(used) <= gauges.keys() and eval(numbers, {"__builtins__": {}}):
            alerts.add(rule["alert"])
    return alerts
