"""Elman's simple recurrent network, decoded from its final state (Elman 1990)."""

import torch
from torch import Tensor, nn

from forecast.models.shared.parts import FinalStateModel


class ElmanCell(nn.Module):
    """One step of the network: two linear maps and a hyperbolic tangent.

    The next state is ``tanh(from_input(x) + from_state(h))``. `torch.nn.RNN`, which `Network` trains because it is
    fused, computes the same.

    Parameters
    ----------
    input_size, hidden_size : numbers in an input and in a state
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(input_size, hidden_size)
        self.from_state = nn.Linear(hidden_size, hidden_size)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One step, [batch, input_size] and [batch, hidden_size] -> [batch, hidden_size]."""
        return torch.tanh(self.from_input(inputs) + self.from_state(state))

    def unroll(self, inputs: Tensor) -> Tensor:
        """All steps from a state of zeros, [batch, steps, input_size] -> [batch, steps, hidden_size]."""
        state = inputs.new_zeros(len(inputs), self.from_state.out_features)
        states = []
        for step in inputs.unbind(1):
            state = self(step, state)
            states.append(state)
        return torch.stack(states, 1)


class Network(FinalStateModel):
    """A stack of Elman layers and a direct multi-horizon head."""

    kind = "RNN"
