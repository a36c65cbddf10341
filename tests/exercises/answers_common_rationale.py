"""The checks of the lesson `common-rationale` accept the library's functions and name what a wrong answer breaks."""

from __future__ import annotations

import torch

from fgssl_edu.exercises.common_rationale import check_branch_map, check_misfit
from fgssl_edu.gradcam import normalize_map
from fgssl_edu.methods.finegrained.rationale_branch import Branch, misfit, normalized


def projections(features, kernels):
    return torch.einsum("kc,bchw->bkhw", kernels, features)


def branch_map(features, kernels):
    return normalize_map(projections(features, kernels).amax(dim=1).relu())


def library_branch(features, kernels):
    branch = Branch(kernels.shape[1], len(kernels))
    branch.norm = torch.nn.Identity()
    branch.project.weight.data = kernels[:, :, None, None]
    return normalized(branch(features))


def by_hand(features, kernels):
    maps = []
    for image in features:
        best = (
            torch.stack([(kernel[:, None, None] * image).sum(0).clamp(min=0) for kernel in kernels]).max(dim=0).values
        )
        span = best.max() - best.min()
        maps.append((best - best.min()) / span if span > 0 else torch.zeros_like(best))
    return torch.stack(maps)


def fit(fitted, target, softness):
    return misfit(fitted, target.detach(), softness=softness)


def kl(wanted, found):
    return (wanted.exp() * (wanted - found)).sum(dim=1)


def logs(maps, softness):
    return (maps / softness).flatten(1).log_softmax(dim=1)


RIGHT = [
    (check_branch_map, branch_map),
    (check_branch_map, library_branch),
    (check_branch_map, by_hand),
    (check_misfit, fit),
    (check_misfit, lambda f, t, s: kl(logs(t, s).detach(), logs(f, s))),
]
WRONG = [
    (check_branch_map, lambda f, k: normalize_map(projections(f, k).relu()), "a maximum"),
    (check_branch_map, lambda f, k: normalize_map(projections(f, k).amax(dim=1)), "what is negative becomes 0"),
    (check_branch_map, lambda f, k: projections(f, k).amax(dim=1).relu() / 3, "before the min-max"),
    (check_branch_map, lambda f, k: normalize_map(projections(f, k).relu().sum(dim=1)), "not their sum"),
    (check_branch_map, lambda f, k: normalize_map(projections(f, k).relu().mean(dim=1)), "the largest kernel"),
    (check_branch_map, lambda f, k: branch_map(f, torch.arange(1.0, 1 + len(k))[:, None] * k), "the largest kernel"),
    (check_branch_map, lambda f, k: normalized(projections(f, k).amax(1).relu(), paper_code=True), "by itself"),
    (check_branch_map, lambda f, k: branch_map(f, k) / branch_map(f, k).amax(dim=(1, 2), keepdim=True), "zeros"),
    (check_branch_map, lambda f, k: branch_map(f, k).tolist(), "one map an image"),
    (check_misfit, lambda f, t, s: fit(f, t, s).mean(), "one number an image"),
    (check_misfit, lambda f, t, s: -(logs(t, s).detach().exp() * logs(f, s)).sum(dim=1), "should cost 0"),
    (check_misfit, lambda f, t, s: misfit(f / s, t.detach() / s, paper_code=True), "one over each row"),
    (check_misfit, lambda f, t, s: kl(logs(f, s), logs(t, s).detach()), "the other direction"),
    (check_misfit, lambda f, t, s: fit(f, t, 1.0), "divided by the softness"),
    (check_misfit, lambda f, t, s: fit(f, t, s).mean().expand(len(f)), "by itself"),
    (check_misfit, lambda f, t, s: misfit(f, t, softness=s), "should be a constant"),
    (check_misfit, lambda f, t, s: fit(f.detach(), t, s), "no gradient reaches the fitted map"),
    (check_misfit, lambda f, t, s: misfit(f.detach(), t, softness=s), "it is the one that learns"),
]
