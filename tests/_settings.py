"""Settings that tests of forecasters share: a small network, and the columns of the frame `panel_frame`."""

from typing import Any

SMALL: dict[str, Any] = {
    "params": {"hidden_size": 8},
    "steps": 8,
    "horizon": 5,
    "lookback": 14,
    "guard": False,
}
ROLES: dict[str, Any] = {"known": ("promo",), "past": ("price",), "static": ("size",)}
