"""Networks and what is kept beside them: encoders, heads, normalisation, moving averages, ring buffers."""

from __future__ import annotations

from fgssl_edu.nets.ema import cosine_momentum, ema_copy, ema_update
from fgssl_edu.nets.encoders import ENCODERS, Encoder, build_encoder, seeded
from fgssl_edu.nets.heads import HEADS, projection
from fgssl_edu.nets.inputs import LabEncoder, SplitBrainEncoder, seeing
from fgssl_edu.nets.memory import RingBuffer
from fgssl_edu.nets.norm import SplitBatchNorm, frozen_statistics, norm_layer, split_batch_norms

__all__ = [
    "ENCODERS",
    "HEADS",
    "Encoder",
    "LabEncoder",
    "RingBuffer",
    "SplitBatchNorm",
    "SplitBrainEncoder",
    "build_encoder",
    "cosine_momentum",
    "ema_copy",
    "ema_update",
    "frozen_statistics",
    "norm_layer",
    "projection",
    "seeded",
    "seeing",
    "split_batch_norms",
]
