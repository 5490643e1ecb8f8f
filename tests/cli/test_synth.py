"""`forecast synth` writes the same series for the same seed, as long and as many as asked for."""

import pandas as pd
import pytest

from forecast.tables.synthetic import SYNTHETIC_KINDS
from tests.conftest import Run


def test_without_a_kind_all_are_listed(forecast: Run) -> None:
    assert [line.split()[0] for line in forecast("synth").out.splitlines()] == list(SYNTHETIC_KINDS)


@pytest.mark.parametrize("kind", SYNTHETIC_KINDS)
def test_number_length_and_seed_are_as_asked_for(forecast: Run, kind: str) -> None:
    words = ("synth", kind, "--series", 2, "--length", 30)
    found = forecast(*words, "--seed", 1)
    assert found.out == forecast(*words, "--seed", 1).out != forecast(*words, "--seed", 2).out
    frame: pd.DataFrame = found.frame
    assert len(frame) == 60
