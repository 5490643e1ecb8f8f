"""The Elman step, by hand and fused."""

import pytest
import torch

from forecast.models.rnn import ElmanCell


@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (5, 8), (3, 16)])
def test_the_explicit_cell_computes_what_the_fused_network_computes(inputs: int, hidden: int) -> None:
    torch.manual_seed(0)
    fused = torch.nn.RNN(inputs, hidden, batch_first=True)
    cell = ElmanCell(inputs, hidden)
    with torch.no_grad():
        cell.from_input.weight.copy_(fused.weight_ih_l0)
        cell.from_input.bias.copy_(fused.bias_ih_l0)
        cell.from_state.weight.copy_(fused.weight_hh_l0)
        cell.from_state.bias.copy_(fused.bias_hh_l0)
    steps = torch.randn(4, 9, inputs)
    torch.testing.assert_close(cell.unroll(steps), fused(steps)[0], rtol=1e-6, atol=1e-6)
