"""`pip install ./predict`: the package `forecast` and all that a forecast needs, without what only training needs."""

from configparser import ConfigParser
from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

ONLY_TRAINING = ("array-api-compat", "joblib", "onnx>", "scikit-learn", "torch")
EXTRAS = ("db", "excel", "holidays", "plot")  # those that forecasts and jobs can use

root = Path(__file__).resolve().parent.parent
config = ConfigParser()
config.read(root / "setup.cfg")
extras = {name: lines.split("\n")[1:] for name, lines in config["options.extras_require"].items()}
whole = config["options"]["install_requires"].split("\n")[1:]
files = {name: lines.split() for name, lines in config["options.package_data"].items()}
scripts = config["options.entry_points"]["console_scripts"].split("\n")[1:]

setup(
    name="forecast-predict",
    version=run_path(str(root / "forecast" / "version.py"))["__version__"],
    description="Forecasts of a forecaster that was fitted elsewhere, without torch and scikit-learn",
    license="MIT",
    python_requires=config["options"]["python_requires"],
    package_dir={"forecast": "../forecast"},
    packages=find_packages(str(root), include=["forecast", "forecast.*"]),
    package_data=files,
    install_requires=[
        line for line in (*whole, *extras["onnx"]) if not line.startswith(ONLY_TRAINING)
    ],
    extras_require={name: extras[name] for name in EXTRAS},
    entry_points={"console_scripts": scripts},
)
