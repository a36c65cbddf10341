"""LARS: SGD whose step in each layer is as long as its weights allow (You et al., arXiv 1708.03888); for big batches.

Four definitions are in use. Here v <- m v + s (g + wd w), w <- w - lr v with s = trust |w| / |g + wd w|, as in the code
of Barlow Twins, VICReg and MAE: the norm is that of the sum, the rate stands outside the velocity. SimCLR's code has
the rate inside; lightly's divides by the sum of the two norms, and takes plain SGD wherever the weight decay is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

TRUST = 1e-3  # a step at rate 1, before momentum, moves a layer by this share of its length


class LARS(Optimizer):
    """SGD with momentum whose steps of tensors with two or more dimensions are scaled by a trust ratio.

    Parameters with one dimension (biases, scales and shifts of norms) follow plain SGD.

    Args:
        params: parameters or groups.
        lr: learning rate; of the order of 1, as ratios are of the order of `trust`.
        momentum: m, in [0, 1).
        weight_decay: wd; within the ratio, so that it turns the step of a layer and does not lengthen it.
        trust: the share above; "eta" in the papers.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = TRUST,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update; the velocities are in the state, so that a resumed run goes on with them."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in (each for each in group["params"] if each.grad is not None):
                update = weight.grad.add(weight, alpha=group["weight_decay"])
                if weight.ndim > 1:
                    update = update * trust_ratio(weight, update, group["trust"])
                state = self.state[weight]
                if not state:
                    state["velocity"] = torch.zeros_like(weight)
                velocity = state["velocity"]
                velocity.mul_(group["momentum"]).add_(update)
                weight.add_(velocity, alpha=-group["lr"])
        return loss


def trust_ratio(weight: Tensor, update: Tensor, trust: float = TRUST) -> Tensor:
    """trust |weight| / |update|, scalar; 1 where either is zero. Landmark: |weight| 5, |update| 1 give .005."""
    long, step = weight.norm(), update.norm()
    return torch.where((long > 0) & (step > 0), trust * long / step, 1.0)
