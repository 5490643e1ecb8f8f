"""Arrow and its functions, and the type of its arrays of text, for those who read times."""

import pyarrow as pa
import pyarrow.compute as pc

from forecast.tables.cells import Texts

__all__ = ["Texts", "pa", "pc"]
