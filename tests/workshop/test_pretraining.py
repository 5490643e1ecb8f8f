"""Pretraining: repeatable from its seed, resumable, the same network in torch and in numpy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from forecast.pretrained.forecasting import load_network
from forecast.pretrained.network import LEVELS, as_floats, build_inputs, convert_weights, run
from workshop import pretraining
from workshop.pretraining import Pretraining, Recipe, draw_sample, main, sample_of
from workshop.specialists import SPECIALISTS

SMALL = Recipe(width=16, blocks=1)
SEASONS = np.array([[12, 0, 12]] * 4)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SPECIALISTS["all"], sizes=((64, 16, 1.0),), horizons=((16, 1.0),))
    monkeypatch.setitem(SPECIALISTS, "all", small)


def _learn(training: Pretraining, until: int) -> list[float]:
    return [training.learn(draw_sample(0, number), 1e-3) for number in range(training.step, until)]


def _weights(training: Pretraining) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in training.network.state_dict().items()}


@pytest.mark.slow
def test_the_same_seed_trains_the_same_weights() -> None:
    first, again = Pretraining(SMALL), Pretraining(SMALL)
    _learn(first, 5), _learn(again, 5)
    assert all(
        np.array_equal(array, _weights(again)[name]) for name, array in _weights(first).items()
    )


def test_a_pretraining_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole, part, rest = Pretraining(SMALL), Pretraining(SMALL), Pretraining(SMALL)
    _learn(whole, 6)
    _learn(part, 3)
    part.write(tmp_path / "checkpoint")
    rest.read(tmp_path / "checkpoint")
    _learn(rest, 6)
    assert all(
        np.array_equal(array, _weights(rest)[name]) for name, array in _weights(whole).items()
    )


@pytest.mark.slow
def test_steps_lower_the_loss() -> None:
    training = Pretraining(SMALL)
    losses = _learn(training, 120)
    assert np.mean(losses[-30:]) < 0.95 * np.mean(losses[:30])


def test_a_teacher_is_where_training_starts_and_what_it_keeps_to(tmp_path: Path) -> None:
    weights = tmp_path / "teacher.safetensors"
    first = Pretraining(SMALL)
    _learn(first, 60)
    first.export(weights, 0)
    teacher = load_network(weights.read_bytes())
    pupil = Pretraining(SMALL, teacher=teacher)
    pupil.export(tmp_path / "pupil.safetensors", 0)
    assert (
        teacher.architecture,
        load_network((tmp_path / "pupil.safetensors").read_bytes()).architecture,
    ) == (1, 2)
    sample = draw_sample(0, 900, teacher)
    assert sample.taught is not None
    assert sample.taught.shape == (*sample.target.shape, len(LEVELS))
    with torch.no_grad():
        own = float(pretraining.loss_of(pupil.network, replace(sample, taught=None), pupil.device))
        both = float(pretraining.loss_of(pupil.network, sample, pupil.device))
        far = float(pretraining.loss_of(Pretraining(SMALL).network, sample, pupil.device))
    assert both < 0.55 * own
    assert far > both


def test_a_teacher_may_be_no_more_than_a_start() -> None:
    start = Pretraining(SMALL).network
    sample = sample_of(
        np.random.default_rng(0).normal(size=(4, 80)), np.ones((4, 64), bool), SEASONS, 16
    )
    taught = replace(sample, taught=np.zeros((4, 16, len(LEVELS)), np.float32))
    with torch.no_grad():
        losses = [
            float(pretraining.loss_of(start, taught, torch.device("cpu"), share))
            for share in (0.0, 0.5)
        ]
        alone = float(pretraining.loss_of(start, sample, torch.device("cpu")))
    assert losses[0] == alone != losses[1]


@pytest.mark.parametrize(
    ("specialist", "expected"), [("hours", [24, 48, 96]), ("months", [1, 4, 12])]
)
def test_a_specialist_is_pretrained_on_its_own_seasons(
    monkeypatch: pytest.MonkeyPatch, specialist: str, expected: list[int]
) -> None:
    small = replace(SPECIALISTS[specialist], sizes=((256, 40, 1.0),))
    monkeypatch.setitem(SPECIALISTS, specialist, small)
    sample = draw_sample(0, 0, recipe=Recipe(specialist=specialist))
    calendar = np.exp(4 * sample.features.summary[:, 1]).round()  # 1 where it is withheld
    assert np.isin(calendar, expected).mean() > 0.8


def test_numpy_computes_what_torch_does() -> None:
    training, sample = Pretraining(Recipe(width=24, blocks=2)), draw_sample(0, 7)
    with torch.no_grad():
        for weights in training.network.parameters():
            weights += 0.1 * torch.randn_like(weights)
        expected = training.network(*map(torch.from_numpy, build_inputs(sample.features))).numpy()
    assert run(convert_weights(as_floats(_weights(training))), sample.features) == pytest.approx(
        expected, abs=1e-4
    )


def test_what_comes_after_the_past_changes_the_target_alone() -> None:
    series = np.random.default_rng(0).normal(size=(4, 80))
    changed = np.concatenate([series[:, :64], series[:, 64:] + 5], 1)
    observed = np.ones((4, 64), bool)
    first, other = (sample_of(part, observed, SEASONS, 16) for part in (series, changed))
    assert np.array_equal(first.features.steps, other.features.steps)
    assert np.array_equal(first.weight, other.weight)
    assert not np.array_equal(first.target, other.target)


def test_the_command_writes_weights_that_forecast(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    recipe = ["--recipe", "width", 16, "--recipe", "blocks", 1]
    arguments = [tmp_path / "checkpoint", "--steps", 2, *recipe, "--weights", weights]
    result = CliRunner().invoke(
        main, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert result.exit_code == 0
    wrong = CliRunner().invoke(main, [str(tmp_path / "checkpoint"), "--recipe", "widht", "16"])
    assert (wrong.exit_code, "'widht' is not one of 'width'" in wrong.output) == (2, True)
    network = load_network(weights.read_bytes())
    assert f'"sha256": "{network.hash}"' in weights.with_suffix(".json").read_text()
