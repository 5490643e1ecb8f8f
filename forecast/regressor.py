"""RecurrentRegressor: the scikit-learn estimator from windows to the values after them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from forecast.models import model_class
from forecast.models.shared.building import rebuild
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.panel import column_statistics
from forecast.parameters import NestedParams, Params
from forecast.settings import DeviceName, LossName, TrainSettings
from forecast.training.devices import pick_device
from forecast.training.fitting import train_members
from forecast.training.plan import Member
from forecast.windows.windows import NETWORK_BATCH, Batch

Floats = NDArray[np.float64]

# defaults for `steps` and `batch_size`
MIN_STEPS = 300  # at least so many training steps
PASSES = 30  # at least so many passes over the windows
MAX_BATCH = 128


@dataclass(eq=False, repr=False)
class RegressorParams(NestedParams):
    """The constructor of a `RecurrentRegressor`."""

    model: str = "lstm"
    params: Params | None = None
    loss: LossName = "mse"
    learning_rate: float = 0.01
    weight_decay: float = 0.01
    clip: float = 1.0
    batch_size: int | None = None
    steps: int | None = None
    seed: int = 0
    device: DeviceName = "auto"


class RecurrentRegressor(RegressorParams, RegressorMixin, BaseEstimator):
    """A recurrent network from windows to targets.

    X and y are standardised on the training windows: each feature over windows and steps, each
    target over windows.

    Parameters
    ----------
    model : name of a model, see ``forecast models``
    params : the model's hyperparameters, e.g. ``{"hidden_size": 128}``; ``params__hidden_size`` in
        a grid
    loss : loss of the prediction
    learning_rate, weight_decay, clip : of the training loop
    batch_size, steps : windows a step, by default up to 128; and steps, by default 300, or 30
        passes if that is more
    seed, device : of every random choice; where the network runs

    Examples
    --------
    >>> from forecast import RecurrentRegressor
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((32, 10, 5))
    >>> y = X.mean(axis=2).sum(axis=1)  # [32]
    >>> RecurrentRegressor(model="lstm").fit(X, y).predict(X).shape
    (32,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on windows.

        Parameters
        ----------
        X : [n, steps] or [n, steps, features]
        y : [n] or [n, targets]
        """
        settings = TrainSettings.check(self.get_params(deep=False))
        windows, y = validate_data(
            self,
            X,
            y,
            allow_nd=True,
            multi_output=True,
            y_numeric=True,
            dtype=np.float64,
        )
        windows = _three_dimensional(windows)
        targets = np.asarray(y, np.float64)
        self.flat_ = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        self.X_mean_, self.X_scale_ = _statistics(windows)
        self.y_mean_, self.y_scale_ = _statistics(targets)
        count, steps, features = windows.shape
        horizon = targets.shape[1]
        self.shape_ = Shape(
            lookback=steps,
            horizon=horizon,
            past=features - 1,
            levels=(0.5,),
            loss=settings.loss,
        )
        device = pick_device(settings.device)
        inputs = _scale(windows, self.X_mean_, self.X_scale_).to(device)
        scaled = _scale(targets, self.y_mean_, self.y_scale_).to(device)

        def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
            rows = torch.randperm(count, generator=generator)[:size].to(device)
            return _batch(inputs[rows], scaled[rows])

        batch_size = min(count, settings.batch_size or MAX_BATCH)
        total = settings.steps or max(MIN_STEPS, PASSES * count // batch_size)
        rows_at_once = model_class(settings.model).rows_at_once
        if rows_at_once:
            batch_size = min(count, max(1, rows_at_once // horizon))
            total = 1
        member = Member(
            model=settings.model,
            params=settings.params or {},
            lookback=steps,
            batch_size=batch_size,
            steps=total,
            refit_steps=0,
            validate_every=total,
        )
        (trained,) = train_members([member], lambda _: (self.shape_, draw, []), settings, device)
        self.network_: RecurrentModel = rebuild(member, self.shape_, trained.weights, device)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """The targets [n] or [n, targets], as y at fit, of windows [n, steps] or [n, steps,
        features].
        """
        check_is_fitted(self)
        checked: Floats = validate_data(self, X, allow_nd=True, reset=False, dtype=np.float64)
        windows = _three_dimensional(checked)
        features = windows.shape[2]
        fitted = len(self.X_mean_)
        if features != fitted:
            problem = f"X has {features} features a step"
            raise ValueError(f"{problem}, but RecurrentRegressor was fitted on {fitted}")

        device = next(self.network_.parameters()).device
        inputs = _scale(windows, self.X_mean_, self.X_scale_).to(device)
        outputs = []
        for rows in torch.split(inputs, NETWORK_BATCH):
            no_targets = rows.new_zeros(len(rows), self.shape_.horizon)
            with torch.no_grad():
                output = self.network_.outputs(_batch(rows, no_targets).pad(NETWORK_BATCH))
            outputs.append(output[: len(rows), :, 0].cpu().double().numpy())
        y: Floats = np.concatenate(outputs) * self.y_scale_ + self.y_mean_
        return y[:, 0] if self.flat_ else y

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags


def _three_dimensional(X: Floats) -> Floats:
    if X.ndim > 3:
        raise ValueError(f"X has {X.ndim} dimensions; pass [n, steps] or [n, steps, features]")
    return X if X.ndim == 3 else X[..., None]


def _statistics(values: Floats) -> tuple[Floats, Floats]:
    """Return the mean and scale of each column, [columns]; the scale is 1 if it is constant."""
    mean, deviation = column_statistics(values.reshape(-1, values.shape[-1]))
    return mean, np.where(deviation > 0, deviation, 1.0)


def _scale(values: Floats, mean: Floats, scale: Floats) -> Tensor:
    return torch.from_numpy((values - mean) / scale).float()


def _batch(inputs: Tensor, targets: Tensor) -> Batch:
    """Windows as a network wants them: the first feature is the value, the others go beside it."""
    rows, steps, _ = inputs.shape
    horizon = targets.shape[1]
    ones = inputs.new_ones(rows, 1)
    no_codes = torch.zeros(rows, steps, 0, dtype=torch.long, device=inputs.device)
    no_future = inputs.new_zeros(rows, horizon, 0)
    return Batch(
        past=inputs[..., 0],
        mask=inputs.new_ones(rows, steps),
        past_covariates=inputs[..., 1:],
        future_covariates=no_future,
        static=inputs.new_zeros(rows, 0),
        series=no_codes.new_full((rows,), -1),
        past_codes=no_codes,
        future_codes=no_codes.new_zeros(rows, horizon, 0),
        static_codes=no_codes.new_zeros(rows, 0),
        seasonal=no_future,
        target=targets,
        target_mask=torch.ones_like(targets),
        weight=ones[:, 0],
        location=0 * ones,
        scale=ones,
    )
