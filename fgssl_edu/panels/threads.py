"""One thread for the small tensors of a picture.

At 40 pixels a kernel is over in microseconds. On several threads it waits at its end for the slowest of them, and while
anything else runs (a training in another notebook, the browser itself) that one waits for a core: ten times the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread inside, and on as many as before after."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
