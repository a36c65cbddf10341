"""The arms of each lesson: which methods it compares, what differs between them, and what each may know.

All arms of a lesson train for the same steps on the same pictures, unless their line says otherwise; what an arm knows
beyond the pictures (labels, true masks, latent factors) stands in its line.
"""

from __future__ import annotations

from fgssl_edu.runs.arm_tables.arm import GENUS, MOCO, RANDOM, SIMCLR, SUPERVISED, Arm
from fgssl_edu.runs.arm_tables.embedding import EMBEDDING
from fgssl_edu.runs.arm_tables.finegrained import FINEGRAINED
from fgssl_edu.runs.arm_tables.foundations import FOUNDATIONS
from fgssl_edu.runs.arm_tables.pretext import PRETEXT
from fgssl_edu.runs.arm_tables.scoreboard import SCOREBOARD

__all__ = ["ARMS", "GENUS", "MOCO", "RANDOM", "SIMCLR", "SUPERVISED", "Arm"]
ARMS: dict[str, dict[str, Arm]] = {**FOUNDATIONS, **PRETEXT, **EMBEDDING, **FINEGRAINED, **SCOREBOARD}
