"""Several processes train one network: as one process with a batch of all of them; the first one alone writes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.stages import Callbacks
from forecast.settings import TrainSettings
from forecast.tables.synthetic import synthesize
from forecast.training.context import Progress

STEPS, BATCH = 40, 16
SETTINGS = {"model": "gru", "params": {"hidden_size": 8}, "steps": STEPS, "members": 1, "horizon": 7, "guard": False}

CURVE = """
import json, sys
import pandas as pd
from forecast import Forecaster
from forecast.engine.stages import Callbacks
from forecast.parallel import process_rank

losses = []
Forecaster(**json.loads(sys.argv[1])).fit(
    pd.read_csv("table.csv"), callbacks=Callbacks(on_step=lambda at: losses.append((at.loss, at.validation)))
)
open(f"rank-{process_rank()}.json", "w").write(json.dumps(losses))
"""


_ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]  # torchrun listens on all interfaces
if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
    _ALONE = []


def torchrun(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in two processes that talk over the loopback interface only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    own = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    words = (*_ALONE, *run, "--master-port", str(port), *words)
    return subprocess.run(words, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False)


def frame() -> pd.DataFrame:
    return synthesize("seasonal", series=6, length=120, seed=1)


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_double_batch(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "curve.py").write_text(CURVE)
    ran = torchrun(tmp_path, "curve.py", json.dumps({**SETTINGS, "batch_size": BATCH}))
    assert ran.returncode == 0, ran.stderr
    first, second = (np.array(json.loads((tmp_path / f"rank-{rank}.json").read_text()), float) for rank in (0, 1))
    seen: list[Progress] = []
    Forecaster(**SETTINGS, batch_size=2 * BATCH).fit(
        pd.read_csv(tmp_path / "table.csv"), callbacks=Callbacks(on_step=seen.append)
    )
    alone = np.array([(at.loss, at.validation) for at in seen], float)
    np.testing.assert_array_equal(first[:, 1], second[:, 1])  # all have the same weights
    np.testing.assert_allclose((first + second)[:, 0] / 2, alone[:, 0], rtol=0.03)
    np.testing.assert_allclose(first[:, 1], alone[:, 1], rtol=0.03)
    assert abs(first[:, 0] - second[:, 0]).max() > 0.01  # each has windows of its own


@pytest.mark.slow
def test_only_the_first_process_writes_and_speaks(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "table.csv", index=False)
    words = ("--model", "gru", "-p", "hidden_size=8", "--steps", "10", "--members", "1", "--artifact", "store")
    ran = torchrun(tmp_path, "-m", "forecast", "fit", "table.csv", *words)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("saved    store/v-") == ran.stderr.count("horizon  ") == 1
    assert len(list((tmp_path / "store").glob("v-*"))) == 1
    budget = torchrun(tmp_path, "-m", "forecast", "fit", "table.csv", "--model", "gru", "--budget", "9")
    assert "--budget 9.0: several processes have no common clock" in budget.stderr


def test_all_that_training_gathers_lies_on_the_device_of_the_network() -> None:
    """What holds for the CPU here holds for a GPU: nothing is copied there in a step but the index of a batch."""
    import torch

    from forecast.training.fitting import Fitter
    from forecast.training.plan import Candidate

    made: list[Fitter] = []
    real = Fitter.of.__func__

    def spied(cls: type[Fitter], *parts: object) -> Fitter:
        made.append(real(cls, *parts))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitter, "of", classmethod(spied))
        Forecaster(**{**SETTINGS, "steps": 2}).fit(frame())
    fitter = made[0]
    tensors = {name: value for name, value in vars(fitter.windows).items() if isinstance(value, torch.Tensor)}
    assert {"values", "observed", "spread", "known", "past_columns", "static", "calendar", "offsets"} <= tensors.keys()
    assert not [name for name, value in vars(fitter.windows).items() if isinstance(value, np.ndarray)]
    _, draw, validation = fitter.make_data(Candidate(model="gru", lookback=14))
    for batch in (draw(torch.Generator().manual_seed(0), 4, False), *validation):
        assert all(value.device == fitter.device for value in vars(batch).values())
    assert TrainSettings(device="cpu").device == fitter.device.type
