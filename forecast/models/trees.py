"""Boosted trees (Friedman 2001) on lagged values and columns of a step and those around it: no state, no gradient."""

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import SettingsGroup
from forecast.windows.windows import Batch

# chosen on hourly demand of electricity, rented bikes and particles in the air
BASE = 7  # newest seasons, whose mean trees correct
NEIGHBOURS = range(-3, 4)  # steps around one whose known columns it sees
GRID = 1024  # to whose parts of 1 features are rounded: sums that are equal must not differ by an engine
NEWEST = 3  # values before the horizon that each step sees

NO_SPLIT = float(np.finfo(np.float32).max)  # a threshold that nothing exceeds
FEW_ERRORS = 20  # of a step of the horizon, fewer of which say nothing of their size
MOST_ERRORS = 1_000_000
OVERHEAD, SPLITS_A_SECOND = (
    0.5,
    1.5e8,
)  # measured: seconds, and rows times trees times features of a second


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
    """Each step of the horizon on its own: a sum of trees, grown by scikit-learn, added to the mean of recent seasons.

    A tree is stored as if it had all splits of all levels: from node n a row goes on to 2n + 1, or to 2n + 2 where its
    feature exceeds the threshold; a leaf above the lowest level is repeated below.
    """

    Params = TreeParams
    rows_at_once: ClassVar[int] = 60_000
    features: Tensor  # [trees, nodes above the lowest level], whole numbers
    thresholds: Tensor  # the same
    values: Tensor  # [trees, nodes of the lowest level]
    distances: (
        Tensor  # [horizon, levels - 1], of quantiles from the median outwards, before `softplus`
    )

    def __init__(self, params: TreeParams, shape: Shape) -> None:
        super().__init__(params, shape)
        if self.effects is not None:
            self.register_module("effects", None)  # known columns are features
        nn.init.zeros_(self.gates)  # recent seasons are features, and what trees begin with
        self.calendar_columns, lowest = shape.calendar, 2**params.depth
        self.register_buffer("features", torch.zeros((params.trees, lowest - 1)))
        self.register_buffer("thresholds", torch.full((params.trees, lowest - 1), NO_SPLIT))
        self.register_buffer("values", torch.zeros((params.trees, lowest)))
        self.register_buffer("distances", torch.zeros((shape.horizon, len(shape.levels) - 1)))
        self.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        point = self._point(batch) / self._seasonal_error(batch)
        away = self.distances.expand(point.shape[0], -1, -1)
        return torch.cat(
            [point[..., None], away, point.new_zeros(*point.shape, len(self.gates))], -1
        )

    @torch.no_grad()
    def learn(self, batch: Batch, held_out: list[Batch]) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            loss="squared_error" if self.shape.loss == "mse" else "absolute_error",
            learning_rate=self.params.shrinkage,
            max_iter=self.params.trees,
            max_depth=self.params.depth,
            max_leaf_nodes=self.params.leaves,
            early_stopping=False,
            random_state=0,
        )
        batch = self._embed(batch)
        used = batch.target_mask * batch.weight[:, None] > 0
        rows, target = self._features(batch)[used], (batch.target - self._base(batch))[used]
        if len(target) < 2:
            return
        with threadpool_limits(1):  # sums of other threads would differ in their last bits
            model.fit(rows.double().numpy(force=True), target.double().numpy(force=True))
        for tree, (predictor,) in enumerate(model._predictors):
            self._store(tree, predictor.nodes)
        self.values[0] += float(model._baseline_prediction.item())
        if held_out:
            self._learn_distances(held_out)

    def seconds_to_learn(self, windows: int) -> float:
        calendar, known = self.calendar_columns, self.shape.future - self.calendar_columns
        features = (
            len(self.gates)
            + calendar
            + (len(NEIGHBOURS) + 2) * known
            + self.shape.past
            - self.shape.future
        )
        trees = len(self.values)
        return OVERHEAD + windows * self.shape.horizon * trees * features / SPLITS_A_SECOND

    def _store(self, tree: int, nodes: Any) -> None:
        at = np.zeros(1, np.int64)  # the node of scikit-learn for each one of a level
        for level in range(self.params.depth):
            split = nodes["is_leaf"][at] == 0
            level_nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            self.features[tree, level_nodes] = torch.from_numpy(
                np.where(split, nodes["feature_idx"][at], 0)
            )
            limits = np.where(split, nodes["num_threshold"][at], NO_SPLIT)
            rounded = limits.astype(np.float32)
            below = np.where(
                rounded > limits, np.nextafter(rounded, -np.inf, dtype=np.float32), rounded
            )
            self.thresholds[tree, level_nodes] = torch.from_numpy(below)
            sides = [np.where(split, nodes[side][at], at) for side in ("left", "right")]
            at = np.stack(sides, 1).reshape(-1).astype(np.int64)
        self.values[tree] = torch.from_numpy(nodes["value"][at].astype(np.float32))

    def _learn_distances(self, batches: list[Batch]) -> None:
        """Distances between quantiles of errors: in shape those of all steps, in size those of each."""
        found = []
        for batch in map(self._embed, batches):
            errors = (batch.target - self._point(batch)) / self._seasonal_error(batch)
            found.append(
                torch.where(batch.target_mask * batch.weight[:, None] > 0, errors, torch.nan)
            )
        errors = torch.cat(found)
        size, count = errors.abs().nanmean(0), (~errors.isnan()).sum(0)
        size = (
            torch.where(count >= FEW_ERRORS, size, errors.abs().nanmean())
            .nan_to_num(0.0)
            .clamp(min=1e-6)
        )
        relative = (errors / size).flatten()
        relative = relative[~relative.isnan()][:MOST_ERRORS]
        if len(relative):
            gaps = (torch.quantile(relative, self.levels).diff() * size[:, None]).clamp(min=1e-6)
            gaps = torch.cat(
                [gaps[:, : self.middle].flip(1), gaps[:, self.middle :]], 1
            )  # from the median outwards
            self.distances.copy_(gaps + torch.log(-torch.expm1(-gaps)))  # what `softplus` undoes

    def _point(self, batch: Batch) -> Tensor:
        return self._base(batch) + self._sum_of_trees(self._features(batch))  # [batch, horizon]

    def _base(self, batch: Batch) -> Tensor:
        """The mean of the newest seasons, or else the newest value, [batch, horizon]."""
        if not len(self.gates):
            newest: Tensor = batch.past[:, -1:]
            return newest.expand(-1, self.shape.horizon)
        recent = self.shape.recent_seasons
        return self._earlier(batch)[:, max(0, recent - BASE) : recent or None].mean(1)

    def _sum_of_trees(self, features: Tensor) -> Tensor:
        """[..., features] -> [...]."""
        rows, (trees, inner) = features.flatten(0, -2), self.features.shape
        tree = torch.arange(trees, device=rows.device)
        number, threshold = self.features.flatten().to(torch.int64), self.thresholds.flatten()
        node = torch.zeros((rows.shape[0], trees), dtype=torch.int64, device=rows.device)
        for _ in range(self.params.depth):
            at = node + inner * tree
            node = 2 * node + 1 + (rows.gather(1, number[at]) > threshold[at]).to(torch.int64)
        found = self.values.flatten()[node - inner + (inner + 1) * tree]
        return found.sum(1).reshape(features.shape[:-1])

    def _features(self, batch: Batch) -> Tensor:
        """What each step sees of values and of columns, [batch, horizon, features]; of an embedded batch."""
        horizon, steps = (
            self.shape.horizon,
            torch.arange(self.shape.horizon, device=batch.past.device),
        )
        season = min(self.shape.seasons[0] if self.shape.seasons else horizon, self.shape.lookback)
        newest, others = (
            batch.past[:, -NEWEST:],
            batch.past_covariates[:, -season:, self.known_numbers :],
        )
        seen = batch.mask[:, -season:].sum(1, keepdim=True).clamp(min=1)
        level = batch.past[:, -season:].sum(1, keepdim=True) / seen
        of_window = torch.cat([newest, level, others[:, -1], others.mean(1), batch.static], -1)
        parts = [
            (steps / horizon).expand(newest.shape[0], -1)[..., None],
            batch.future_covariates[..., : self.calendar_columns],
            self._earlier(batch).transpose(1, 2),
            self._base(batch)[..., None],
            of_window[:, None].expand(-1, horizon, -1),
        ]
        if self.shape.future > self.calendar_columns:
            parts += self._of_known(self._known_past(batch), batch.future_covariates, season)
        return torch.round(torch.cat(parts, -1) * GRID) / GRID

    def _of_known(self, past: Tensor, ahead: Tensor, season: int) -> list[Tensor]:
        """Known columns of a step and those around it, their mean over a season, and how far seasons ago they lay."""
        lookback, horizon = self.shape.lookback, self.shape.horizon
        past, ahead = past[..., self.calendar_columns :], ahead[..., self.calendar_columns :]
        both, steps = torch.cat([past, ahead], 1), torch.arange(horizon, device=past.device)
        at = lookback + steps
        sums = functional.pad(both.cumsum(1), (0, 0, 1, 0))
        count = min(BASE, lookback // season)
        newest = past[:, lookback - count * season :].reshape(past.shape[0], count, season, -1)
        usual = newest.mean(1)[:, steps % season]
        longer = [
            past[:, lookback - long + steps % long]
            for long in self.shape.seasons
            if long <= lookback
        ]
        return [
            *(both[:, (at + by).clamp(0, lookback + horizon - 1)] for by in NEIGHBOURS),
            (sums[:, at + 1] - sums[:, at + 1 - season]) / season,
            *(ahead - then for then in (usual, *longer)),
        ]
