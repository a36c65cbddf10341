"""Looking at a network without leaving a trace: evaluation mode inside, its own modes again after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode for the module inside, every submodule's own mode again after; yields the module's device."""
    modes = [(part, part.training) for part in module.modules()]
    first = next(chain(module.parameters(), module.buffers()), None)
    module.eval()
    try:
        yield torch.device("cpu") if first is None else first.device
    finally:
        for part, training in modes:
            part.training = training
