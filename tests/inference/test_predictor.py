"""A backend is one file, and all around the networks runs without torch."""

import numpy as np

from forecast import Forecaster
from forecast.tables.synthetic import synthesize
from tests.conftest import PackageCopy

BACKEND = '''"""A backend that repeats the newest value of each window, in numpy."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from forecast.inference.fitted import Fitted
from forecast.windows.windows import Batch


class Networks:
    """One network for every member."""

    def __init__(self, fitted: Fitted, device: str) -> None:
        self.levels = len(fitted.config.levels)
        self.to_array = self.to_numpy = np.asarray

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def quantiles(self, group: int, member: int, batch: Batch) -> np.ndarray:
        size = (len(batch), batch.target.shape[1], self.levels)
        return np.broadcast_to(batch.past[:, -1, None, None], size)
'''

PREDICT = """
import sys
import numpy as np
from forecast.artifacts.store import Store
from forecast.inference.contents import from_contents
from forecast.inference.predictor import Predictor

fitted = from_contents(Store("store").load()[0])
history = fitted.history
quantiles = Predictor(fitted, "cpu", backend="repeated").quantiles(history, np.arange(len(history)))
np.save("medians.npy", quantiles[..., fitted.config.levels.index(0.5)])
np.save("newest.npy", [history.values[history.slots(series)][-1] for series in range(len(history))])
assert "torch" not in sys.modules
"""


def test_a_new_file_is_a_backend_and_forecasts_without_torch(package: PackageCopy) -> None:
    package.add("forecast/inference/repeated.py", BACKEND)
    store = package.folder / "store"
    Forecaster(horizon=4, steps=2, guard=False).fit(synthesize("noise", series=3, length=60)).save(store)
    package.run("-c", PREDICT)
    newest = np.load(package.folder / "newest.npy")
    np.testing.assert_allclose(np.load(package.folder / "medians.npy"), np.repeat(newest[:, None], 4, 1), rtol=1e-6)
