"""Baselines with their seasons, their labels, and how far they look back."""

import pytest

from forecast.baselines import default_baselines
from forecast.ensemble.baseline_forecasts import base_name, baseline_labelled, baselines_of, context_length


def test_a_baseline_that_repeats_a_season_comes_once_for_each_season() -> None:
    labels = [baseline.label for baseline in baselines_of(("last", "seasonal-naive", "theta"), (24, 168))]
    assert labels == ["last", "seasonal-naive", "seasonal-naive-168", "theta"]
    assert [baseline.season for baseline in baselines_of(("last", "seasonal-mean"), ())] == [1, 1]


def test_a_label_leads_back_to_its_baseline() -> None:
    for baseline in baselines_of(default_baselines(), (7, 365)):
        assert baseline_labelled(baseline.label, (7, 365)) == baseline
        assert base_name(baseline.label) == baseline.name


@pytest.mark.parametrize("label", ["seasonal-naive-8", "last-365", "segrnn", "", "theta-"])
def test_a_label_of_no_baseline_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="no baseline"):
        baseline_labelled(label, (7, 365))


def test_baselines_see_enough_seasons_and_no_more_than_there_is() -> None:
    assert context_length(14, (), 10_000) == 200
    assert context_length(300, (7,), 10_000) == 300
    assert context_length(14, (48,), 10_000) == 288
    assert context_length(14, (7, 365), 10_000) == 365
    assert context_length(14, (48,), 50) == 50
