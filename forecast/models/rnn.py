"""Elman's simple recurrent network, decoded from its final state (Elman 1990)."""

from forecast.models.shared.parts import FinalStateModel


class Network(FinalStateModel):
    """Layers of ``state = tanh(A input + B state before + c)`` and a direct multi-horizon head."""

    kind = "RNN"
