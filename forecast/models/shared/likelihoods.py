"""Distributions about the output of a network: density, mean, quantiles, and draws from uniform numbers."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

LikelihoodName = Literal["student-t", "gaussian", "negative-binomial"]

FLOOR = 1e-2  # least scale, in scaled units: a value that repeats exactly would have a density without bound
TRIES = 4  # candidates for a gamma variate; the chance that none of them will do is below 1e-5
SMALL_RATE, TERMS = (
    20.0,
    60,
)  # up to this rate the Poisson distribution is summed, over TERMS counts


@dataclass(frozen=True)
class Gaussian:
    """Normal distributions; every likelihood has the same methods."""

    location: Tensor
    scale: Tensor
    parameters: ClassVar[int] = 2  # raw outputs that one distribution takes, the center included
    draws: ClassVar[int] = 1  # uniform numbers that one value is drawn from

    @classmethod
    def of(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        """From `center` [batch, steps], `raw` [batch, steps, parameters - 1] and the windows' scaling, [batch, 1]."""
        return cls(center, functional.softplus(raw[..., 0]) + FLOOR)

    def log_density(self, value: Tensor) -> Tensor:
        """Logarithm of the density or, of counts, of the probability, but for a constant; [batch, steps]."""
        return -0.5 * ((value - self.location) / self.scale).square() - self.scale.log()

    def mean(self) -> Tensor:
        return self.location  # [batch, steps]

    def at(self, deviates: Tensor) -> Tensor:
        """Quantiles of the only step at the levels of normal deviates, near enough; ascending, [batch, levels]."""
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
    def of(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        positive = functional.softplus(raw)
        return cls(center, positive[..., 0] + FLOOR, positive[..., 1] + 2)

    def log_density(self, value: Tensor) -> Tensor:
        half = 0.5 * self.freedom
        square = ((value - self.location) / self.scale).square() / self.freedom
        constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * self.freedom.log()
        return constant - self.scale.log() - (half + 0.5) * torch.log1p(square)

    def at(self, deviates: Tensor) -> Tensor:
        # the first terms of the expansion of Fisher and Cornish (1960) in 1 / freedom; each ascends with the level
        first = (deviates**3 + deviates) / 4
        second = (5 * deviates**5 + 16 * deviates**3 + 3 * deviates) / 96
        return self.location + self.scale * (
            deviates + first / self.freedom + second / self.freedom**2
        )

    def draw(self, uniform: Tensor) -> Tensor:
        # the polar method of Bailey (1994), exact, and with the same numbers for all windows
        exponent = -2 * self.freedom.reciprocal()
        radius = (self.freedom * torch.expm1(exponent * uniform[0].log())).sqrt()
        return self.location + self.scale * radius * torch.cos(2 * torch.pi * uniform[1])


@dataclass(frozen=True)
class NegativeBinomial:
    """Negative binomial distributions of counts in the windows' own unit: variance = rate + excess * rate ** 2.

    The probability is that of the formula between whole numbers too; values below 0 count as 0. Draws are counts.
    """

    rate: Tensor
    excess: Tensor
    offset: Tensor
    unit: Tensor
    parameters: ClassVar[int] = 2
    draws: ClassVar[int] = 2 * TRIES + 2

    @classmethod
    def of(cls, center: Tensor, raw: Tensor, location: Tensor, scale: Tensor) -> Self:
        rate = scale * functional.softplus(location / scale + center)
        return cls(rate + 1e-6, functional.softplus(raw[..., 0]) + 1e-4, location, scale)

    def log_density(self, value: Tensor) -> Tensor:
        # in double precision, as large logarithms cancel each other
        count = (self.offset + self.unit * value).clamp(min=0).double()
        rate, shape = self.rate.double(), 1 / self.excess.double()
        ways = torch.lgamma(count + shape) - torch.lgamma(shape) - torch.lgamma(count + 1)
        both = (rate + shape).log()
        return (ways + shape * (shape.log() - both) + count * (rate.log() - both)).to(value.dtype)

    def mean(self) -> Tensor:
        return self._scaled(self.rate)

    def at(self, deviates: Tensor) -> Tensor:
        deviation = (self.rate + self.excess * self.rate.square()).sqrt()
        return self._scaled((self.rate + deviation * deviates).clamp(min=0))

    def draw(self, uniform: Tensor) -> Tensor:
        rate = self.rate * self.excess * gamma_draws(1 / self.excess, uniform[:-1])
        return self._scaled(poisson_quantile(rate, uniform[-1]))

    def _scaled(self, count: Tensor) -> Tensor:
        return (count - self.offset) / self.unit


def gamma_draws(shape: Tensor, uniform: Tensor) -> Tensor:
    """Gamma variates of scale 1 from numbers between 0 and 1, [2 * TRIES + 1, ...] (Marsaglia and Tsang 2000)."""
    # drawn for the shape plus one, where nearly every candidate fits; the last number corrects for that
    base = shape + 2 / 3
    normal: Tensor = torch.special.ndtri(uniform[:TRIES])
    cube = (1 + normal / (3 * base.sqrt())).clamp(min=1e-3) ** 3  # [tries, ...]
    bound = 0.5 * normal.square() + base * (1 - cube + cube.log())
    fits = uniform[TRIES : 2 * TRIES].log() < bound
    chosen = fits.int().argmax(0, keepdim=True)  # the first that fits
    return base * cube.gather(0, chosen)[0] * uniform[2 * TRIES].pow(shape.reciprocal())


def poisson_quantile(rate: Tensor, level: Tensor) -> Tensor:
    """The least count that a Poisson variate exceeds with at most a chance of ``1 - level``.

    Exact up to `SMALL_RATE`; above by the expansion of Cornish and Fisher (1938), where it is one off at most.
    """
    low = rate.clamp(max=SMALL_RATE)
    term = torch.exp(-low)
    reached, count = term, torch.zeros_like(low * level)
    for number in range(1, TERMS):
        count = count + (level > reached)
        term = term * low / number
        reached = reached + term
    deviate, root = torch.special.ndtri(level), rate.sqrt()
    high = (
        rate
        + root * deviate
        + (deviate.square() - 1) / 6
        + (deviate - deviate**3) / (72 * root.clamp(min=1))
    )
    return torch.where(rate <= SMALL_RATE, count, high.round().clamp(min=0))


Likelihood = Gaussian | NegativeBinomial  # of some values, in the scaled units of their windows
LIKELIHOODS: dict[LikelihoodName, type[Likelihood]] = {
    "student-t": StudentT,
    "gaussian": Gaussian,
    "negative-binomial": NegativeBinomial,
}
