"""Exercises that check themselves: `exercises.check_...(answer)` names the first property that an answer lacks."""

from fgssl_edu.exercises.clusters import check_sinkhorn_knopp, check_swapped_prediction
from fgssl_edu.exercises.colour import check_annealed_mean, check_soft_code
from fgssl_edu.exercises.common_rationale import check_branch_map, check_misfit
from fgssl_edu.exercises.dino import check_teacher_targets, check_token_colours
from fgssl_edu.exercises.first_lessons import (
    check_average_precision,
    check_edit_score,
    check_gradcam,
    check_info_nce,
    check_knn,
    check_nt_xent,
)
from fgssl_edu.exercises.inpainting import check_band, check_hole_error
from fgssl_edu.exercises.jigsaw import check_farthest_order, check_tile_norm
from fgssl_edu.exercises.masked import check_masked_loss, check_random_masking
from fgssl_edu.exercises.no_negatives import check_barlow_twins, check_variance_term
from fgssl_edu.exercises.one_image import check_card, check_crop_size, check_pooled_layer
from fgssl_edu.exercises.rotation import check_turns, check_upright
from fgssl_edu.exercises.scoreboard import check_pareto_front, check_seeds_needed
from fgssl_edu.exercises.simcore import check_facility_value, check_round
from fgssl_edu.exercises.synthesised_pairs import check_gradcam_noise, check_low_variance_mask
from fgssl_edu.exercises.verdict import Verdict

__all__ = [
    "Verdict",
    "check_annealed_mean",
    "check_average_precision",
    "check_barlow_twins",
    "check_branch_map",
    "check_card",
    "check_crop_size",
    "check_edit_score",
    "check_facility_value",
    "check_farthest_order",
    "check_gradcam",
    "check_gradcam_noise",
    "check_info_nce",
    "check_knn",
    "check_masked_loss",
    "check_misfit",
    "check_low_variance_mask",
    "check_nt_xent",
    "check_pareto_front",
    "check_pooled_layer",
    "check_random_masking",
    "check_round",
    "check_seeds_needed",
    "check_sinkhorn_knopp",
    "check_soft_code",
    "check_swapped_prediction",
    "check_tile_norm",
    "check_teacher_targets",
    "check_token_colours",
    "check_turns",
    "check_upright",
    "check_variance_term",
    "check_band",
    "check_hole_error",
]
