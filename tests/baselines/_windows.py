"""Windows of any shape for the tests of baselines."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Values = NDArray[np.float64]
NAN = float("nan")


@st.composite
def gappy_windows(draw: st.DrawFn) -> Values:
    """A few windows of any shape, padded on the left, with gaps."""
    windows, span = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    past = np.round(random.normal(size=(windows, span)) * 10.0 ** draw(st.integers(-3, 6)), 3)
    past[random.random((windows, span)) < draw(st.sampled_from([0.0, 0.2, 0.8]))] = NAN
    past[np.arange(span) < random.integers(0, span + 1, windows)[:, None]] = NAN
    return past
