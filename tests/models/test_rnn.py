"""The Elman step of the fused network is the one of the paper."""

import pytest
import torch

from forecast.models.rnn import Network
from forecast.models.shared.model import Shape


@pytest.mark.parametrize(("lookback", "hidden"), [(1, 1), (5, 8), (9, 16)])
def test_the_network_takes_elmans_steps(lookback: int, hidden: int) -> None:
    torch.manual_seed(0)
    network = Network(Network.Params(hidden_size=hidden), Shape(lookback=lookback, horizon=2))
    weights = dict(network.encoder.named_parameters())
    steps, state = (
        torch.randn(4, lookback, weights["weight_ih_l0"].shape[1]),
        torch.zeros(4, hidden),
    )
    states = []
    for step in steps.unbind(1):
        driven = step @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        state = torch.tanh(driven + state @ weights["weight_hh_l0"].T + weights["bias_hh_l0"])
        states.append(state)
    torch.testing.assert_close(
        network.encoder(steps)[0], torch.stack(states, 1), rtol=1e-6, atol=1e-6
    )
