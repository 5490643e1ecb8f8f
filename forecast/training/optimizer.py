"""Adam with decoupled weight decay (Loshchilov and Hutter 2019), all parameters in one go."""

import math
from collections.abc import Iterable

import torch
from torch import nn

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """The optimizer of the training loop.

    It does what `torch.optim.AdamW` does; that one imports torch's compiler at its first use, which takes longer than
    a short fit has.

    Parameters
    ----------
    parameters : to be trained; the gradients of all must be there at each step
    decay : weight decay, 0 for plain Adam
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.decay, self.steps = decay, 0
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters along their gradients."""
        self.steps += 1
        used = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        parameters: list[torch.Tensor] = [self.parameters[i] for i in used]
        first: list[torch.Tensor] = [self.first[i] for i in used]
        second: list[torch.Tensor] = [self.second[i] for i in used]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.decay:
            torch._foreach_mul_(parameters, 1 - rate * self.decay)
        torch._foreach_lerp_(first, gradients, 1 - BETAS[0])
        torch._foreach_mul_(second, BETAS[1])
        torch._foreach_addcmul_(second, gradients, gradients, 1 - BETAS[1])
        size = torch._foreach_sqrt(second)
        torch._foreach_div_(size, math.sqrt(1 - BETAS[1] ** self.steps))
        torch._foreach_add_(size, EPSILON)
        torch._foreach_addcdiv_(parameters, first, size, -rate / (1 - BETAS[0] ** self.steps))
