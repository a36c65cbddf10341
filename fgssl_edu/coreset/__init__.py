"""Choosing training images from an open set (SimCore, arXiv 2303.11101), and what to compare the choice with."""

from __future__ import annotations

from fgssl_edu.coreset.baselines import coverage, facility_location, oracle, random_selection
from fgssl_edu.coreset.files import load, save
from fgssl_edu.coreset.ranking import Features, similarity_blocks
from fgssl_edu.coreset.select import (
    CAP_PER_TARGET,
    PRESETS,
    TAU,
    Coreset,
    epochs_rule,
    select_by_similarity,
    select_coreset,
)
from fgssl_edu.coreset.shards import ShardList, select_from_shards, shard_list
from fgssl_edu.coreset.targets import centroids

__all__ = [
    "CAP_PER_TARGET",
    "PRESETS",
    "TAU",
    "Coreset",
    "Features",
    "ShardList",
    "centroids",
    "coverage",
    "epochs_rule",
    "facility_location",
    "load",
    "oracle",
    "random_selection",
    "save",
    "select_by_similarity",
    "select_coreset",
    "select_from_shards",
    "shard_list",
    "similarity_blocks",
]
