"""Print the lower bounds of setup.cfg as constraints of pip, `numpy>=2.0` as `numpy==2.0`."""

import re
from configparser import ConfigParser
from pathlib import Path

config = ConfigParser()
config.read(Path(__file__).parent.parent / "setup.cfg")
declared = [config["options"]["install_requires"], *config["options.extras_require"].values()]
lines = "\n".join(declared).splitlines()
bounds = {re.sub(r"(?:\[.*\])?>=([\d.]+).*", r"==\1", line) for line in lines if ">=" in line}
print(*sorted(bounds), sep="\n")
