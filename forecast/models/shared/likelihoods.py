"""Distributions of values, from the outputs of a network: density, mean, quantiles, draws."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

LikelihoodName = Literal["student-t", "gaussian", "negative-binomial"]

FLOOR = 1e-2  # least scale: without it, a value that repeats exactly would have infinite density
TRIES = 4  # candidates for a gamma variate; the chance that all are rejected is below 1e-5
SMALL_RATE = 20.0  # up to this rate the Poisson distribution function is summed
TERMS = 60  # terms of that sum


@dataclass(frozen=True)
class Gaussian:
    """Normal distributions. Every likelihood has the same methods."""

    location: Tensor
    scale: Tensor
    parameters: ClassVar[int] = 2  # outputs of the network for one distribution, with the center
    draws: ClassVar[int] = 1  # uniform random numbers that drawing one value takes

    @classmethod
    def from_outputs(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        """From `center` [batch, steps], `raw` [batch, steps, parameters - 1] and the scaling."""
        return cls(center, functional.softplus(raw[..., 0]) + FLOOR)

    def log_density(self, value: Tensor) -> Tensor:
        """Logarithm of density or probability, up to a constant, [batch, steps]."""
        deviates = (value - self.location) / self.scale
        return -0.5 * deviates.square() - self.scale.log()

    def mean(self) -> Tensor:
        return self.location  # [batch, steps]

    def at(self, deviates: Tensor) -> Tensor:
        """Approximate quantiles at normal deviates, for a single step, [batch, levels]."""
        return self.location + self.scale * deviates

    def draw(self, uniform: Tensor) -> Tensor:
        """Values from numbers between 0 and 1, [draws, 1 or batch, steps] -> [batch, steps]."""
        deviates: Tensor = torch.special.ndtri(uniform[0])
        return self.location + self.scale * deviates


@dataclass(frozen=True)
class StudentT(Gaussian):
    """Student's t distributions with more than 2 degrees of freedom, so that a variance exists."""

    freedom: Tensor
    parameters: ClassVar[int] = 3
    draws: ClassVar[int] = 2

    @classmethod
    def from_outputs(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        positive = functional.softplus(raw)
        return cls(center, positive[..., 0] + FLOOR, positive[..., 1] + 2)

    def log_density(self, value: Tensor) -> Tensor:
        half = 0.5 * self.freedom
        deviates = (value - self.location) / self.scale
        relative = deviates.square() / self.freedom
        ratio = torch.lgamma(half + 0.5) - torch.lgamma(half)
        constant = ratio - 0.5 * self.freedom.log()
        return constant - self.scale.log() - (half + 0.5) * torch.log1p(relative)

    def at(self, deviates: Tensor) -> Tensor:
        # the expansion of Fisher and Cornish (1960) in 1 / freedom; all terms ascend with the level
        first = (deviates**3 + deviates) / 4
        second = (5 * deviates**5 + 16 * deviates**3 + 3 * deviates) / 96
        expanded = deviates + first / self.freedom + second / self.freedom**2
        return self.location + self.scale * expanded

    def draw(self, uniform: Tensor) -> Tensor:
        # the polar method of Bailey (1994), exact, and with the same numbers for all windows
        exponent = -2 * self.freedom.reciprocal()
        square = self.freedom * torch.expm1(exponent * uniform[0].log())
        radius = square.sqrt()
        cosine = torch.cos(2 * torch.pi * uniform[1])
        return self.location + self.scale * radius * cosine


@dataclass(frozen=True)
class NegativeBinomial:
    """Negative binomial distributions of counts in the windows' own unit.

    The variance is rate + excess * rate ** 2. Between whole numbers the same formula gives the
    probability; values below 0 count as 0. Draws are counts.
    """

    rate: Tensor
    excess: Tensor
    offset: Tensor
    unit: Tensor
    parameters: ClassVar[int] = 2
    draws: ClassVar[int] = 2 * TRIES + 2

    @classmethod
    def from_outputs(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        rate = scale * functional.softplus(location / scale + center)
        excess = functional.softplus(raw[..., 0])
        return cls(rate + 1e-6, excess + 1e-4, location, scale)

    def log_density(self, value: Tensor) -> Tensor:
        # in double precision, as large logarithms cancel
        count = self.offset + self.unit * value
        count = count.clamp(min=0).double()
        rate = self.rate.double()
        shape = 1 / self.excess.double()
        ways = torch.lgamma(count + shape) - torch.lgamma(shape) - torch.lgamma(count + 1)
        both = (rate + shape).log()
        failures = shape * (shape.log() - both)
        successes = count * (rate.log() - both)
        return (ways + failures + successes).to(value.dtype)

    def mean(self) -> Tensor:
        return self._scale_count(self.rate)

    def at(self, deviates: Tensor) -> Tensor:
        variance = self.rate + self.excess * self.rate.square()
        count = self.rate + variance.sqrt() * deviates
        return self._scale_count(count.clamp(min=0))

    def draw(self, uniform: Tensor) -> Tensor:
        gamma = gamma_draws(1 / self.excess, uniform[:-1])
        rate = self.rate * self.excess * gamma
        return self._scale_count(poisson_quantile(rate, uniform[-1]))

    def _scale_count(self, count: Tensor) -> Tensor:
        return (count - self.offset) / self.unit


def gamma_draws(shape: Tensor, uniform: Tensor) -> Tensor:
    """Gamma variates of scale 1, from uniform numbers [2 * TRIES + 1, ...].

    The method is that of Marsaglia and Tsang (2000).
    """
    # drawn for the shape plus one, where few candidates are rejected, and then corrected
    base = shape + 2 / 3
    normal: Tensor = torch.special.ndtri(uniform[:TRIES])
    root = 1 + normal / (3 * base.sqrt())
    cube = root.clamp(min=1e-3) ** 3  # [tries, ...]
    bound = 0.5 * normal.square() + base * (1 - cube + cube.log())
    fits = uniform[TRIES : 2 * TRIES].log() < bound
    chosen = fits.int().argmax(0, keepdim=True)  # the first that fits
    correction = uniform[2 * TRIES].pow(shape.reciprocal())
    return base * cube.gather(0, chosen)[0] * correction


def poisson_quantile(rate: Tensor, level: Tensor) -> Tensor:
    """Poisson quantiles: the least count whose cumulative probability reaches `level`.

    They are exact for rates up to `SMALL_RATE`. Above, the expansion of Cornish and Fisher (1938)
    is off by one at most.
    """
    low = rate.clamp(max=SMALL_RATE)
    term = torch.exp(-low)
    reached = term
    count = torch.zeros_like(low * level)
    for number in range(1, TERMS):
        count = count + (level > reached)
        term = term * low / number
        reached = reached + term
    deviate = torch.special.ndtri(level)
    root = rate.sqrt()
    skewness = (deviate.square() - 1) / 6
    kurtosis = (deviate - deviate**3) / (72 * root.clamp(min=1))
    high = rate + root * deviate + skewness + kurtosis
    return torch.where(rate <= SMALL_RATE, count, high.round().clamp(min=0))


Likelihood = Gaussian | NegativeBinomial  # distributions in the scaled units of their windows
LIKELIHOODS: dict[LikelihoodName, type[Likelihood]] = {
    "student-t": StudentT,
    "gaussian": Gaussian,
    "negative-binomial": NegativeBinomial,
}
