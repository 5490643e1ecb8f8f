"""The sentence that says how a forecaster compares with seasonal naive."""

import pytest

from forecast.ensemble.ensemble import CHOSEN, NETWORKS
from forecast.ensemble.summary import ranking, verdict


@pytest.mark.parametrize(
    ("chosen", "naive", "sentence"),
    [
        (0.61, 1.0, "error 39 % below seasonal naive on held-out values; 1 of 3 candidates is used"),
        (1.2, 1.0, "error 20 % above seasonal naive on held-out values; 1 of 3 candidates is used"),
        (1.001, 1.0, "error the same as seasonal naive on held-out values; 1 of 3 candidates is used"),
        (1e-9, 1.0, "error over 99 % below seasonal naive on held-out values; 1 of 3 candidates is used"),
        (0.2, 0.0, "mean error 0.2 on held-out values, where seasonal naive is exact; 1 of 3 candidates is used"),
        (1e-10, 0.0, "exact on held-out values, as seasonal naive is; 1 of 3 candidates is used"),
        (1.02e-15, 1e-15, "exact on held-out values, as seasonal naive is; 1 of 3 candidates is used"),
        (0.2, 1e-15, "mean error 0.2 on held-out values, where seasonal naive is exact; 1 of 3 candidates is used"),
        (0.2, None, "mean error 0.2 on held-out values; 1 of 2 candidates is used"),
    ],
)
def test_the_choice_is_compared_with_seasonal_naive_in_one_sentence(
    chosen: float, naive: float | None, sentence: str
) -> None:
    scores = {"segrnn": 0.7, "theta": 0.9, NETWORKS: 0.7, CHOSEN: chosen}
    found = verdict(scores if naive is None else {**scores, "seasonal-naive": naive}, 1)
    assert found == sentence
    assert len(found) <= 120


def test_where_all_errors_are_rounding_no_share_of_them_is_told() -> None:
    scores = {"last": 3e-16, "seasonal-naive": 2e-16, CHOSEN: 2.04e-16}
    assert verdict(scores, 1) == "exact on held-out values, as seasonal naive is; 1 of 2 candidates is used"


def test_without_a_season_the_choice_is_compared_with_the_last_value() -> None:
    scores = {"last": 1.0, "theta": 0.9, CHOSEN: 0.8}
    assert verdict(scores, 1) == "error 20 % below the last value on held-out values; 1 of 2 candidates is used"


def test_without_held_out_values_the_sentence_says_so() -> None:
    assert verdict({}, 1) == "no values could be held out to compare candidates on"
    assert ranking({}, "mase") == []


def test_the_table_lists_all_candidates_the_best_first() -> None:
    lines = ranking({"theta": 0.9, "segrnn": 0.712, CHOSEN: 0.7}, "rmsse")
    assert lines == ["RMSSE  on held-out values", "  0.7  chosen", "0.712  segrnn", "  0.9  theta"]
