"""The optimizer does what torch's own does."""

import pytest
import torch

from forecast.training.state import AdamW


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_moves_as_torch_does(decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=generator), torch.randn(5, generator=generator)]
    ours, theirs = ([torch.nn.Parameter(one.clone()) for one in start] for _ in range(2))
    mine, reference = AdamW(ours, decay), torch.optim.AdamW(theirs, lr=0.01, weight_decay=decay)
    for step in range(20):
        for parameters in (ours, theirs):
            sum(((p * (1 + step)).sin() ** 2).sum() for p in parameters).backward()
        mine.step(0.01)
        reference.step()
        mine.zero_grad()
        reference.zero_grad()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
