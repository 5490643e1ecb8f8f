"""Arrays of text in Arrow's memory, and the type of text that pandas keeps there."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Texts", "pa", "pc", "text_type"]

Texts = Any  # an array of texts, of flags or of numbers


def text_type() -> Any:
    """The type of text with NaN for missing: str of pandas 3, pyarrow_numpy of pandas 2.2."""
    string: Any = pd.StringDtype
    try:
        return string("pyarrow", na_value=np.nan)
    except TypeError:
        return string("pyarrow_numpy")
