"""The Theta method with theta chosen by the squared error one step ahead (Fiorucci et al. 2016)."""

from functools import partial

from forecast.baselines import theta
from forecast.baselines.shared.method import Method

METHOD = Method(partial(theta.forecast, best_theta=True), default_rank=8)
