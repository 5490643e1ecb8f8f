"""Long short-term memory, decoded from its final state (Hochreiter and Schmidhuber 1997)."""

from forecast.models.shared.parts import FinalStateModel


class Network(FinalStateModel):
    """A stack of LSTM layers and a direct multi-horizon head."""

    kind = "LSTM"
