"""The linear probes of the papers, kept to compare with them: SGD, 100 epochs, the rate a tenth after 60 and 80.

A large learning rate suits features of small norm only: it can be chosen, on a part of the training images.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.config import suggestion
from fgssl_edu.data.image_set import class_ranks, stratified_share
from fgssl_edu.evaluate.probe import class_count, probe_protocol
from fgssl_edu.evaluate.statistics import Score

EPOCHS, DECAYS = 100, (60, 80)
RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # to choose from
LABEL_SHARES = (1.0, 0.5, 0.2)  # of Table 1 of arXiv 2407.14676 and Table 2 of 2303.01669
HELD_OUT = 0.1  # share of each class's training images that the rate is chosen on, at least one


@dataclass(frozen=True)
class ProbeSettings:
    """What the papers' probes differ in; all have momentum .9 and no weight decay."""

    source: str
    lr: float
    batch: int
    searched: bool = False  # the paper has no one rate: it is always chosen
    nesterov: bool = False
    unit_norm: bool = False  # of the features


PROBES = {
    "eccv24": ProbeSettings("arXiv 2407.14676, appendix B.3; decay as in arXiv 1911.05722", 30.0, 128),
    "lcr": ProbeSettings("arXiv 2303.01669, released main_lincls.py", 30.0, 256, unit_norm=True),
    "simcore": ProbeSettings(
        "arXiv 2303.11101, released run_sup.sh; searched there", 10.0, 256, searched=True, nesterov=True
    ),
}


def fit_sgd(
    features: Tensor, labels: Tensor, classes: int, settings: ProbeSettings, lr: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Train a linear classifier from zeros.

    Args:
        features: (N, D), of unit norm where the settings ask for it.
        labels: (N,) int64.
        classes: K.
        settings: batch and momentum.
        lr: of the first 60 epochs.
        seed: of the order of images.

    Returns:
        weight (K, D) and bias (K,), not finite where it diverged.
    """
    order = torch.Generator().manual_seed(seed)
    weight = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.SGD([weight, bias], lr=lr, momentum=0.9, nesterov=settings.nesterov)
    schedule = torch.optim.lr_scheduler.MultiStepLR(solver, DECAYS, gamma=0.1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels), generator=order).split(settings.batch):
            loss = F.cross_entropy(F.linear(features[rows], weight, bias), labels[rows])
            solver.zero_grad()
            loss.backward()
            solver.step()
        schedule.step()
    return weight.detach(), bias.detach()


def held_out_part(labels: Tensor, seed: int, purpose: str) -> Tensor:
    """A tenth of each class, at least one image of a class that has two, (N,) bool: what a rate is chosen on."""
    place, size = class_ranks(labels, seed, purpose)
    return (place < (HELD_OUT * size).floor().clamp(min=1)) & (size > 1)


def choose_rate(features: Tensor, labels: Tensor, classes: int, settings: ProbeSettings, seed: int = 0) -> float:
    """The rate whose probe is right most often on a tenth of each class's training images, of equal ones the smallest.

    Raises:
        ValueError: no class has two images.
    """
    held_out = held_out_part(labels, seed, "probe/sgd held out")
    if not held_out.any():
        raise ValueError("lr='choose': no class has two training images; give a number")
    hits = []
    for rate in RATES:
        fitted = fit_sgd(features[~held_out], labels[~held_out], classes, settings, rate, seed)
        logits = F.linear(features[held_out], *fitted)
        right = (logits.argmax(dim=1) == labels[held_out]).sum()
        hits.append(int(right) if logits.isfinite().all() else -1)
    return RATES[hits.index(max(hits))]


def sgd_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    settings: str = "eccv24",
    lr: float | str | None = None,
    seed: int = 0,
) -> Score:
    """Test accuracy (top-1) of a paper's linear probe on cached features.

    Deviation: features of whole images are computed once, where the papers draw a crop each time; weights begin at 0
        (LCR: normal, .01); SimCore reports the mean over classes on some sets.

    Args:
        train_features, train_labels, test_features, test_labels: (N, D), (N,) int64, (M, D), (M,) int64.
        settings: a key of `PROBES`.
        lr: None for the paper's, "choose" for `choose_rate`, or a number.
        seed: of the order of images and of the part that lr is chosen on.

    Raises:
        ValueError: unknown settings or lr, or the probe diverges; says what to try.
    """
    if settings not in PROBES:
        raise ValueError(f"settings={settings!r}{suggestion(settings, list(PROBES))}: use one of {', '.join(PROBES)}")
    if isinstance(lr, str) and lr != "choose":
        raise ValueError(f"lr={lr!r} should be a number, None for the paper's, or 'choose'")
    probe, classes = PROBES[settings], class_count(train_labels, test_labels)
    if probe.unit_norm:
        train_features, test_features = F.normalize(train_features, dim=1), F.normalize(test_features, dim=1)
    rate = choose_rate(train_features, train_labels, classes, probe, seed) if lr == "choose" else float(lr or probe.lr)
    fitted = fit_sgd(train_features, train_labels, classes, probe, rate, seed)
    if not F.linear(train_features, *fitted).isfinite().all():
        raise ValueError(f"lr={rate:g}: the probe diverges on these features; try a tenth, or lr='choose'")
    how = {"lr": "chosen on 10 % of train", "chosen": {"lr": rate}} if lr == "choose" else {"lr": rate}
    protocol = probe_protocol(train_labels, test_labels, metric="linear probe accuracy, SGD", **how)
    about = {"settings": settings, "source": probe.source, "batch": probe.batch, "unit_norm": probe.unit_norm}
    words = f"SGD {'Nesterov ' if probe.nesterov else ''}.9, wd 0, {EPOCHS} epochs, x.1 at 60 and 80"
    hits = F.linear(test_features, *fitted).argmax(dim=1) == test_labels
    return Score.of(hits, {**protocol, **about, "seed": seed, "probe": words})


def paper_probes(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    settings: str,
    seed: int = 0,
) -> dict[str, Score]:
    """A paper's probe with all, half and a fifth of the labels: "sgd", "sgd_50", "sgd_20".

    The paper's rate where it prints one and these features do not make it diverge, else a chosen one where a class has
    two images to choose on; the protocol says which. A share for which neither can be had is left out.
    """
    scores = {}
    for share in LABEL_SHARES:
        some = stratified_share(train_labels, share, seed)
        data = (train_features[some], train_labels[some], test_features, test_labels)
        ways: list[str | None] = ["choose", None] if PROBES[settings].searched else [None, "choose"]
        for way in ways:
            with suppress(ValueError):  # it diverges, or there is nothing to choose on
                score = sgd_probe(*data, settings=settings, lr=way, seed=seed)
                scores["sgd" if share == 1 else f"sgd_{share * 100:.0f}"] = score.under(label_share=share)
                break
    return scores
