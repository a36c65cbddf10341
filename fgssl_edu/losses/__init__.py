"""Objectives as pure functions, one equation each: tensors in, a scalar out; one file a family.

No device, no randomness, no communication, and nothing is detached here: which tensor is a constant is part of a
method, and the method writes `.detach()` in plain sight. On several ranks the method gathers first and passes the
joined batches.
"""

from fgssl_edu.losses.clustering import sinkhorn_knopp, swav_loss
from fgssl_edu.losses.colour import color_distance, soft_cross_entropy
from fgssl_edu.losses.contrastive import info_nce, negative_cosine, normalized_mse, nt_xent
from fgssl_edu.losses.distillation import batch_softmax, centred_softmax, dino_loss
from fgssl_edu.losses.masked import mae_loss, patchify, simmim_loss, unpatchify
from fgssl_edu.losses.pretext import critic_loss, fooling_loss, hole_error
from fgssl_edu.losses.redundancy import barlow_twins, covariance_term, cross_correlation, variance_term, vicreg

__all__ = [
    "barlow_twins",
    "batch_softmax",
    "centred_softmax",
    "color_distance",
    "covariance_term",
    "critic_loss",
    "cross_correlation",
    "dino_loss",
    "fooling_loss",
    "hole_error",
    "info_nce",
    "mae_loss",
    "negative_cosine",
    "normalized_mse",
    "nt_xent",
    "patchify",
    "simmim_loss",
    "sinkhorn_knopp",
    "soft_cross_entropy",
    "swav_loss",
    "unpatchify",
    "variance_term",
    "vicreg",
]
