"""Gated recurrent unit, decoded from its final state (Cho et al. 2014)."""

from forecast.models.shared.parts import FinalStateModel


class Network(FinalStateModel):
    """A stack of GRU layers and a direct multi-horizon head."""

    kind = "GRU"
