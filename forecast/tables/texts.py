"""Arrays of text for reading tables: those of Arrow, or plain Python where pyarrow is not installed."""

from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import Unavailable

Texts = Any  # an array of texts, of flags or of numbers, in Arrow or in plain Python


def _arrow() -> tuple[Any, Any]:
    """Arrow and its functions, or what stands in for both."""
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        from forecast.tables import plain_texts

        return plain_texts, plain_texts
    return pyarrow, pyarrow.compute


pa, pc = _arrow()
ARROW = pa is not pc


def require_arrow(what: str) -> None:
    """Refuse what takes pyarrow where it is not installed."""
    if not ARROW:
        raise Unavailable(f"{what} needs the package pyarrow", cure="`pip install pyarrow`")


def text_type() -> Any:
    """The type of text with NaN for missing: str of pandas 3, pyarrow_numpy of pandas 2.2, in Arrow's memory if any."""
    string: Any = pd.StringDtype
    try:
        return string("pyarrow" if ARROW else "python", na_value=np.nan)
    except TypeError:
        return string("pyarrow_numpy") if ARROW else string("python")
