"""A fitted forecaster is plain arrays: reading one needs no torch."""

import subprocess
import sys

MODULES = ["inference.fitted", "inference.contents", "inference.predictor", "artifacts.resume", "ensemble.candidates"]


def test_what_surrounds_the_networks_imports_no_torch() -> None:
    imports = "".join(
        f"import forecast.{module}\nif 'torch' in sys.modules: sys.exit('{module}')\n" for module in MODULES
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{imports}"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
