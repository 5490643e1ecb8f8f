"""Adam with decoupled weight decay (Loshchilov and Hutter 2019), all parameters in one go."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """It does what `torch.optim.AdamW` does, whose first use imports torch's compiler: longer than a short fit has."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = [parameter for parameter in parameters if parameter.requires_grad]
        self.decay, self.steps = decay, torch.zeros(1, dtype=torch.int64)
        self.exp_avg = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.exp_avg_sq = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters that have gradients along them."""
        self.steps += 1
        steps = int(self.steps)
        used = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        every = self.parameters, self.exp_avg, self.exp_avg_sq
        parameters, mean, square = ([tensors[i] for i in used] for tensors in every)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.decay:
            torch._foreach_mul_(parameters, 1 - rate * self.decay)
        torch._foreach_lerp_(mean, gradients, 1 - BETAS[0])
        torch._foreach_mul_(square, BETAS[1])
        torch._foreach_addcmul_(square, gradients, gradients, 1 - BETAS[1])
        size = torch._foreach_sqrt(square)
        torch._foreach_div_(size, math.sqrt(1 - BETAS[1] ** steps))
        torch._foreach_add_(size, EPSILON)
        torch._foreach_addcdiv_(parameters, mean, size, -rate / (1 - BETAS[0] ** steps))
