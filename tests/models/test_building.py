"""Networks are built by a seed, rebuilt from weights that must be theirs, and carried to another panel."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast.errors import ArtifactRefused, UsageError
from forecast.models.shared.building import build, carry_weights, network_shape, rebuild, to_arrays
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.training.plan import Candidate
from tests._inputs import LEVELS, read_days

SHAPE = Shape(lookback=8, horizon=3, levels=LEVELS, series=2)
GRU = Candidate(model="gru", params={"hidden_size": 4}, lookback=8)
BY_SERIES = Candidate(model="esrnn", params={"hidden_size": 4}, lookback=8)
SEASONAL = replace(SHAPE, seasons=(4,))
CPU = torch.device("cpu")


def weights(seed: int = 0, named: Candidate = GRU, shape: Shape = SHAPE) -> dict[str, np.ndarray]:
    return to_arrays(build(named, shape, seed).state_dict())


def test_the_seed_alone_decides_the_first_weights() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = weights(1)
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers must go on as before"
    assert all(np.array_equal(array, weights(1)[name]) for name, array in first.items())
    assert not all(np.array_equal(array, weights(2)[name]) for name, array in first.items())


def test_settings_that_a_model_lacks_are_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"model gru: .*segment"):
        build(Candidate(model="gru", params={"segment": 3}, lookback=8), SHAPE)


def test_a_rebuilt_network_forecasts_what_the_first_did() -> None:
    network, batch = build(GRU, SHAPE, 3).eval(), random_batch(SHAPE, 4, 0)
    again = rebuild(GRU, SHAPE, to_arrays(network.state_dict()), CPU)
    assert not again.training
    with torch.no_grad():
        assert torch.equal(network.outputs(batch), again.outputs(batch))


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_weights_of_another_network_are_refused_by_name(change: str) -> None:
    given = weights()
    name = min(given)
    if change == "missing":
        del given[name]
    elif change == "more":
        name = "0 unknown"
        given[name] = np.zeros(3, np.float32)
    else:
        given[name] = given[name][..., :1]
    with pytest.raises(
        ArtifactRefused, match=f"the weights of model gru are of another network: .*{name}"
    ):
        rebuild(GRU, SHAPE, given, CPU)


def test_arrays_are_copies_of_the_weights() -> None:
    network = build(GRU, SHAPE)
    kept = to_arrays(network.state_dict())
    before = {name: array.copy() for name, array in kept.items()}
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1)
    assert all(np.array_equal(array, before[name]) for name, array in kept.items())


def test_weights_of_a_series_move_with_it_and_a_new_one_has_those_of_none() -> None:
    old, more = weights(named=BY_SERIES, shape=SEASONAL), replace(SEASONAL, series=3)
    by_series = {
        name
        for name, array in weights(named=BY_SERIES, shape=more).items()
        if array.shape != old[name].shape
    }
    assert by_series, "the model must hold weights of each series"
    carried = carry_weights(BY_SERIES, more, old, np.array([1, -1, 0]))
    assert carried is not None
    for name, array in carried.items():
        expected = old[name][[0, 2, 0, 1]] if name in by_series else old[name]
        np.testing.assert_array_equal(array, expected)


def test_weights_that_do_not_fit_another_shape_are_not_carried() -> None:
    assert carry_weights(GRU, replace(SHAPE, horizon=4), weights(), np.array([0, 1])) is None
    assert carry_weights(GRU, SHAPE, weights(), np.array([0, 1])) is not None


def test_a_shape_counts_the_columns_of_the_table() -> None:
    schema = read_days([1.0, 2, 4, 3, 5, 6]).schema.model_copy(
        update={"known": ("promo", "kind"), "past": ("price",), "static": ("size",), "categories": {
            "kind": ("a", "b"), "size": ("s", "m", "l"),
        }}
    )  # fmt: skip
    shape = network_shape(schema, 2, 5, (7,), LEVELS, 3, "mae")
    plain = network_shape(
        schema.model_copy(update={"known": (), "past": ()}), 2, 5, (7,), LEVELS, 3, "mae"
    )
    assert (shape.past - plain.past, shape.future - plain.future, shape.static) == (2, 1, 0)
    assert (shape.past_categories, shape.future_categories, shape.static_categories) == (
        (3,),
        (3,),
        (4,),
    )
    assert (shape.lookback, shape.horizon, shape.series, shape.seasons, shape.loss) == (
        5,
        2,
        3,
        (7,),
        "mae",
    )
