"""Boosted trees (Friedman 2001) on lagged values and columns around a step, without a state."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import padded_steps
from forecast.settings import SettingsGroup
from forecast.windows.windows import Batch

# chosen on hourly demand of electricity, rented bikes and particles in the air
BASE = 7  # newest seasons, whose mean is the forecast that trees correct
NEIGHBOURS = range(-3, 4)  # offsets of the steps whose known columns are features of a step
NEWEST_VALUES = 3  # values before the horizon that are features of each step
# features are rounded to multiples of 1 / 1024: sums that are equal must not differ between engines
TREE_GRID = 1024

NO_SPLIT = float(np.finfo(np.float32).max)  # a threshold that nothing exceeds
FEW_ERRORS = 20  # a horizon step with fewer errors takes the size of errors from all steps
MOST_ERRORS = 1_000_000  # errors that quantiles are computed from
SMALLEST = 1e-6  # least size of errors, and least distance of quantiles
# costs of learning, measured
OVERHEAD = 0.5  # seconds
SPLITS_A_SECOND = 1.5e8  # rows times trees times features


class TreeParams(SettingsGroup):
    trees: int = Field(
        100, ge=1, le=10_000, description="trees, each of which corrects the sum of those before"
    )
    depth: int = Field(
        8, ge=1, le=12, description="splits from the root of a tree to a leaf, at most"
    )
    leaves: int = Field(63, ge=2, le=4096, description="leaves of a tree, at most")
    shrinkage: float = Field(0.1, gt=0, le=1, description="share of each tree that counts")


class Network(RecurrentModel):
    """Trees of scikit-learn, whose sum corrects the mean of recent seasons; each step is one row.

    A tree is stored as if it had all splits of all levels. From node n a row goes to node 2n + 1,
    or to 2n + 2 if its feature exceeds the threshold. A leaf above the lowest level is repeated
    below.
    """

    Params = TreeParams
    rows_at_once: ClassVar[int] = 60_000
    features: Tensor  # [trees, nodes above the lowest level], whole numbers
    thresholds: Tensor  # the same
    values: Tensor  # [trees, nodes of the lowest level]
    distances: Tensor  # [horizon, levels - 1], from the median outwards, before `softplus`

    def __init__(self, params: TreeParams, shape: Shape) -> None:
        super().__init__(params, shape)
        if self.effects is not None:
            self.register_module("effects", None)  # known columns are features
        nn.init.zeros_(self.gates)  # recent seasons are the base forecast, and features
        self.calendar_columns = shape.calendar
        lowest = 2**params.depth
        inner = (params.trees, lowest - 1)
        self.register_buffer("features", torch.zeros(inner))
        self.register_buffer("thresholds", torch.full(inner, NO_SPLIT))
        self.register_buffer("values", torch.zeros((params.trees, lowest)))
        distances = torch.zeros((shape.horizon, len(shape.levels) - 1))
        self.register_buffer("distances", distances)
        self.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        return self._as_outputs(self._point(batch), self.distances, batch)

    @torch.no_grad()
    def learn(self, batch: Batch, held_out: list[Batch]) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        batch = self._embed(batch)
        used = _counts(batch)
        rows = self._features(batch)[used].double()
        errors = batch.target - self._base(batch)
        residuals = errors[used].double()
        if len(residuals) < 2:
            return
        model = HistGradientBoostingRegressor(
            loss="squared_error" if self.shape.loss == "mse" else "absolute_error",
            learning_rate=self.params.shrinkage,
            max_iter=self.params.trees,
            max_depth=self.params.depth,
            max_leaf_nodes=self.params.leaves,
            early_stopping=False,
            random_state=0,
        )
        with threadpool_limits(1):  # sums of other threads would differ in their last bits
            model.fit(rows.numpy(force=True), residuals.numpy(force=True))
        for tree, (predictor,) in enumerate(model._predictors):
            self._store(tree, predictor.nodes)
        self.values[0] += float(model._baseline_prediction.item())
        if held_out:
            self._learn_distances(held_out)

    def seconds_to_learn(self, windows: int) -> float:
        shape = self.shape
        known = shape.future - self.calendar_columns
        of_known = (len(NEIGHBOURS) + 2) * known
        own_past = shape.past - shape.future
        features = shape.earlier + self.calendar_columns + of_known + own_past
        splits = windows * shape.horizon * len(self.values) * features
        return OVERHEAD + splits / SPLITS_A_SECOND

    def _store(self, tree: int, nodes: Any) -> None:
        at = np.zeros(1, np.int64)  # the node of scikit-learn for each one of a level
        for level in range(self.params.depth):
            reached = nodes[at]
            splits = reached["is_leaf"] == 0
            level_nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            features = np.where(splits, reached["feature_idx"], 0)
            limits = np.where(splits, reached["num_threshold"], NO_SPLIT)
            self.features[tree, level_nodes] = torch.from_numpy(features)
            self.thresholds[tree, level_nodes] = torch.from_numpy(_rounded_down(limits))

            left = np.where(splits, reached["left"], at)
            right = np.where(splits, reached["right"], at)
            at = np.stack([left, right], 1).reshape(-1)
            at = at.astype(np.int64)
        values = nodes["value"][at].astype(np.float32)
        self.values[tree] = torch.from_numpy(values)

    def _learn_distances(self, batches: list[Batch]) -> None:
        """Learn distances between quantiles of errors.

        Their shape is that of all horizon steps together; their size is that of each step.
        """
        errors_of_batches = []
        for batch in map(self._embed, batches):
            errors = batch.target - self._point(batch)
            errors = errors / self._seasonal_error(batch)
            errors_of_batches.append(torch.where(_counts(batch), errors, torch.nan))
        errors = torch.cat(errors_of_batches)
        is_known = ~errors.isnan()
        count = is_known.sum(0)
        size = errors.abs().nanmean(0)
        size = torch.where(count >= FEW_ERRORS, size, errors.abs().nanmean())
        size = size.nan_to_num(0.0).clamp(min=SMALLEST)

        relative = (errors / size).flatten()
        relative = relative[~relative.isnan()][:MOST_ERRORS]
        if not len(relative):
            return
        gaps = torch.quantile(relative, self.levels).diff()
        gaps = gaps * size[:, None]
        gaps = gaps.clamp(min=SMALLEST)
        below = gaps[:, : self.middle].flip(1)
        outwards = torch.cat([below, gaps[:, self.middle :]], 1)
        # what `softplus` undoes
        before_softplus = outwards + torch.log(-torch.expm1(-outwards))
        self.distances.copy_(before_softplus)

    def _point(self, batch: Batch) -> Tensor:
        return self._base(batch) + self._sum_of_trees(self._features(batch))  # [batch, horizon]

    def _base(self, batch: Batch) -> Tensor:
        """The mean of the newest seasons, or else the newest value, [batch, horizon]."""
        if not self.shape.earlier:
            newest: Tensor = batch.past[:, -1:]
            return newest.expand(-1, self.shape.horizon)
        recent = self.shape.recent_seasons
        newest_seasons = slice(max(0, recent - BASE), recent or None)
        return self._earlier(batch)[:, newest_seasons].mean(1)

    def _sum_of_trees(self, features: Tensor) -> Tensor:
        """Sums of all trees, [..., features] -> [...]."""
        rows = features.flatten(0, -2)
        trees, inner = self.features.shape
        tree = torch.arange(trees, device=rows.device)
        numbers = self.features.flatten().to(torch.int64)
        thresholds = self.thresholds.flatten()
        size = (rows.shape[0], trees)
        node = torch.zeros(size, dtype=torch.int64, device=rows.device)
        for _ in range(self.params.depth):
            at = node + inner * tree
            exceeds = rows.gather(1, numbers[at]) > thresholds[at]
            node = 2 * node + 1 + exceeds.to(torch.int64)
        leaves = self.values.flatten()[node - inner + (inner + 1) * tree]
        return leaves.sum(1).reshape(features.shape[:-1])

    def _features(self, batch: Batch) -> Tensor:
        """The features of each horizon step: values and columns, [batch, horizon, features]."""
        horizon = self.shape.horizon
        steps = torch.arange(horizon, device=batch.past.device)
        season = self.shape.seasons[0] if self.shape.seasons else horizon
        season = min(season, self.shape.lookback)
        newest = batch.past[:, -NEWEST_VALUES:]
        own_past = batch.past_covariates[:, -season:, self.known_numbers :]
        count = batch.mask[:, -season:].sum(1, keepdim=True)
        total = batch.past[:, -season:].sum(1, keepdim=True)
        level = total / count.clamp(min=1)
        columns = [newest, level, own_past[:, -1], own_past.mean(1), batch.static]
        of_window = torch.cat(columns, -1)[:, None]
        number = (steps / horizon).expand(newest.shape[0], -1)
        calendar = batch.future_covariates[..., : self.calendar_columns]
        earlier = self._earlier(batch).transpose(1, 2)
        base = self._base(batch)[..., None]
        features = [
            number[..., None],
            calendar,
            earlier,
            base,
            of_window.expand(-1, horizon, -1),
        ]
        if self.shape.future > self.calendar_columns:
            past = self._known_past(batch)[..., self.calendar_columns :]
            ahead = batch.future_covariates[..., self.calendar_columns :]
            features += self._of_known(past, ahead, season)
        return torch.round(torch.cat(features, -1) * TREE_GRID) / TREE_GRID

    def _of_known(self, past: Tensor, ahead: Tensor, season: int) -> list[Tensor]:
        """Features from known columns: around a step, their mean over a season, and changes.

        Changes are differences from the same step of earlier seasons.
        """
        lookback = self.shape.lookback
        steps = torch.arange(self.shape.horizon, device=past.device)
        at = lookback + steps
        both = torch.cat([past, ahead], 1)
        last = lookback + self.shape.horizon - 1
        around = [both[:, (at + distance).clamp(0, last)] for distance in NEIGHBOURS]
        sums = padded_steps(both.cumsum(1), before=1)
        end = at + 1
        total = sums[:, end] - sums[:, end - season]
        mean = total / season

        count = min(BASE, lookback // season)
        newest = past[:, lookback - count * season :]
        cycles = newest.reshape(past.shape[0], count, season, -1)
        mean_cycle = cycles.mean(1)
        changes = [ahead - mean_cycle[:, steps % season]]
        for longer in self.shape.seasons:
            if longer <= lookback:
                same_phase = lookback - longer + steps % longer
                changes.append(ahead - past[:, same_phase])
        return [*around, mean, *changes]


def _counts(batch: Batch) -> Tensor:
    """Which targets count, [batch, horizon]."""
    weight: Tensor = batch.target_mask * batch.weight[:, None]
    return weight > 0


def _rounded_down(limits: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = limits.astype(np.float32)
    below = np.nextafter(rounded, -np.inf, dtype=np.float32)
    return np.where(rounded > limits, below, rounded)
