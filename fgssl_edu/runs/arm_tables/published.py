"""How papers train their methods, and the same on one GPU overnight: what the arms of all lessons are at scale full.

The lecture's arms are tuned for a few hundred small steps, and nothing of that holds here. Papers train for 100 to
1,000 epochs of ImageNet's 1.28 million pictures on many GPUs. Deviation, of all trainings from scratch: 1,000 epochs of
the 5,994 pictures of CUB-200-2011 (23,000 updates of 256), one night of one 80 GB GPU; a paper's own 100 epochs would
be few updates there. `-p dataset=... -p steps=... -p batch=... -p lr=...` gives the paper's. What is unlike the paper
is listed by `runs.likeness.differs`, and such a run is called `METHOD_like`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fgssl_edu.scales import SCALES, Value

PICTURES = 5994  # of CUB-200-2011's training set
UNKNOWN = 0
LIKE = "_like"  # ends the name of a run that is not its paper's own
COSINE = "rates fall along half a cosine, not in steps"


@dataclass(frozen=True, kw_only=True)
class Published:
    """How a paper trains a method.

    Attributes:
        source: the paper, and the code where it says more.
        preset: of the method's `presets`: its fields; "" where none is published.
        dataset, init, encoder, epochs, batch: the paper's; epochs and batch 0 where the sources do not print them.
        here: pictures an update on one GPU: the paper's where they fit.
        length: epochs here.
        optimizer, lr, weight_decay, momentum: the paper's; `lr` for a batch of `here`, as the paper scales it.
        warm: epochs over which the rate rises.
        more: further settings of this batch.
        besides: what this package does otherwise, in words.
        also: further data sets that the paper trains on as long, and their training pictures.
    """

    source: str
    preset: str = ""
    dataset: str = "imagenet1k"
    init: str = "random"
    encoder: str = "resnet50"
    epochs: int = UNKNOWN
    batch: int = UNKNOWN
    here: int = 256
    length: int = 1000
    optimizer: str
    lr: float
    weight_decay: float
    momentum: float = 0.9
    warm: int = 0
    more: Mapping[str, Value] = field(default_factory=dict)
    besides: str = ""
    also: Mapping[str, int] = field(default_factory=dict)

    def epoch(self, dataset: str) -> int:
        """Whole batches in an epoch of one of the paper's data sets; 0 of another."""
        rendered = {"birds": PICTURES} if self.dataset == "cub200" else {}  # as many
        return {self.dataset: PICTURES, **rendered, **self.also}.get(dataset, 0) // self.here

    def recipe(self) -> dict[str, Value]:
        """The settings of its training at scale full."""
        an_epoch = PICTURES // self.here  # whole batches
        rates = {"lr": self.lr, "weight_decay": self.weight_decay, "momentum": self.momentum}
        steps = {"steps": self.length * an_epoch, "warmup": self.warm * an_epoch, "batch": self.here}
        return {"optimizer": self.optimizer, **rates, **steps, **self.more}


_CUB = SCALES["full"]  # MoCo v2 as arXiv 2407.14676 trains it, each value with its source there
_RATES: dict[str, Any] = {name: _CUB[name] for name in ("optimizer", "lr", "weight_decay", "momentum")}
_LARC = "LARS for LARC; the rate falls to 0, not to a thousandth"


def on_cub(**own: Any) -> Published:
    """100 epochs of CUB, Cars or Aircraft in batches of 128, from ImageNet weights (2407.14676, 2303.01669)."""
    trained: dict[str, Any] = {"also": {"cars": 8144, "aircraft": 6667}}
    trained |= {"dataset": "cub200", "init": "imagenet", "epochs": 100, "batch": 128, "here": 128, "length": 100}
    return Published(**trained, **{**_RATES, **own})  # type: ignore[arg-type]


PUBLISHED: dict[str, Published] = {
    # full fine-tuning: momentum .9, decay 1e-4, rates .1, .03, .01 tried, a tenth after 60 and 80 of 100 epochs
    "supervised": Published(
        source="sungnyun/openssl-simcore, issue 1",
        dataset="cub200", epochs=100, batch=256, length=100, optimizer="sgd", lr=0.03, weight_decay=1e-4,
        # crops of a fifth and more, and flips, as its probes have
        more={"views": "mae", "crop_size": 224, "lr_schedule": "steps"},
        besides="the rate is not searched",
    ),
    "rotation": Published(  # lr .01 of the look-up table, decay 5e-4, batch 192, each at four angles: released code
        source="arXiv 1803.07728", preset="paper", encoder="alexnet",
        epochs=30, batch=192, here=192, optimizer="sgd", lr=0.01, weight_decay=5e-4, besides=f"{COSINE}; no Nesterov",
    ),
    "jigsaw": Published(  # 350,000 updates at .01, a tenth every 100,000, decay 5e-4: MehdiNoroozi/JigsawPuzzleSolver
        source="arXiv 1603.09246", preset="paper", encoder="alexnet",
        epochs=70, batch=256, optimizer="sgd", lr=0.01, weight_decay=5e-4, besides=f"{COSINE}; first stride 4, not 2",
    ),
    "context": Published(  # a rate for a summed loss (1e-5) is printed, none for a mean: jigsaw's here
        source="arXiv 1505.05192", preset="paper", encoder="alexnet",
        here=64, optimizer="sgd", lr=0.01, weight_decay=0.0,
        besides=f"{COSINE}; the rate is ours, no down-sampled patches, an affine BatchNorm",
    ),
    "colorization": Published(  # Adam 3e-5, decay 1e-3: richzhang/colorization
        source="arXiv 1603.08511", preset="paper", encoder="alexnet",
        optimizer="adamw", lr=3e-5, weight_decay=1e-3, more={"views": "mae"},
        besides=f"{COSINE}; AdamW for Adam; views, batch and length are ours",
    ),
    "split_brain": Published(  # the sources print no rate: colorization's
        source="arXiv 1611.09842", preset="paper", encoder="alexnet",
        optimizer="adamw", lr=3e-5, weight_decay=1e-3, more={"views": "mae"},
        besides="optimiser, rate, views and batch are ours, as for colorization",
    ),
    "inpainting": Published(  # Adam 2e-3 for what draws, batch 64: pathak22/context-encoder
        source="arXiv 1604.07379", preset="features", encoder="alexnet",
        batch=64, here=64, optimizer="adamw", lr=2e-3, weight_decay=0.0,
        besides=f"{COSINE}; AdamW with its own betas, no bottleneck of 4,000",
    ),
    "simclr": Published(  # LARS .3 a batch of 256, decay 1e-6, 10 epochs of warm-up: section 2, and released code
        source="arXiv 2002.05709", preset="v1",
        epochs=1000, batch=4096, optimizer="lars", lr=0.3, weight_decay=1e-6, warm=10,
    ),
    # Its result on CUB is in arXiv 2303.01669's table of frameworks, the rates are not: SimCLR's own for this batch
    "simclr_cub": on_cub(
        source="arXiv 2303.01669", preset="v1",
        optimizer="lars", lr=0.15, weight_decay=1e-6, warm=10,
        besides="the source prints a result and no rates: SimCLR's own",
    ),
    "simcore": Published(  # SGD .1, decay 1e-4, batch 512, 5,000 epochs of X: run_selfsup.sh
        source="arXiv 2303.11101", preset="simcore", dataset="cub200",
        epochs=5000, batch=512, here=512, length=5000, optimizer="sgd", lr=0.1, weight_decay=1e-4,
        besides="no Nesterov; the rate falls to 0, not to a thousandth",
    ),
    "moco": Published(  # .03 at a batch of 256, decay 1e-4: released code
        source="arXiv 2003.04297", preset="v2",
        epochs=200, batch=256, optimizer="sgd", lr=0.03, weight_decay=1e-4,
        besides="one BatchNorm over the batch, nothing to shuffle",
    ),
    "moco_v1": Published(
        source="arXiv 1911.05722", preset="v1",
        epochs=200, batch=256, optimizer="sgd", lr=0.03, weight_decay=1e-4, more={"lr_schedule": "steps"},
        besides="one BatchNorm over the batch, nothing to shuffle",
    ),
    "moco_cub": on_cub(source="arXiv 2407.14676", preset="v2"),
    "byol": Published(  # LARS .2 a batch of 256, decay 1.5e-6, 10 epochs of warm-up (reported, unverified)
        source="arXiv 2006.07733", preset="v1",
        epochs=1000, batch=4096, optimizer="lars", lr=0.2, weight_decay=1.5e-6, warm=10,
    ),
    "simsiam": Published(  # SGD .05 a batch of 256, decay 1e-4: released code
        source="arXiv 2011.10566", preset="v1",
        epochs=100, batch=512, optimizer="sgd", lr=0.05, weight_decay=1e-4,
    ),
    "simsiam_cub": on_cub(  # SGD .05; decay 1e-4 of SimSiam, the paper's is lost
        source="arXiv 2407.14676", preset="v1", optimizer="sgd", lr=0.05, weight_decay=1e-4,
    ),
    "barlow": Published(  # LARS .2 a batch of 256 for weights, decay 1e-6, 10 epochs of warm-up: released code
        source="arXiv 2103.03230", preset="v1",
        epochs=1000, batch=2048, optimizer="lars", lr=0.2, weight_decay=1e-6, warm=10,
        besides="one rate for weights and biases (.0048 there); it falls to 0, not to a thousandth",
    ),
    "vicreg": Published(  # LARS .2 a batch of 256, decay 1e-6, 10 epochs of warm-up: released code
        source="arXiv 2105.04906", preset="v1",
        epochs=1000, batch=2048, optimizer="lars", lr=0.2, weight_decay=1e-6, warm=10,
        besides="the rate falls to 0, not to a thousandth",
    ),
    "swav": Published(  # its script for a batch of 256: .6, decay 1e-6, 3,840 older features
        source="arXiv 2006.09882", preset="batch_256",
        epochs=400, batch=256, optimizer="lars", lr=0.6, weight_decay=1e-6,
        besides=f"{_LARC}; older features from the start, not after 15 epochs",
    ),
    "sela": Published(  # SGD .08, decay 1e-5, a tenth every 150 of 400 epochs: released code
        source="arXiv 1911.05371", preset="paper",
        epochs=400, batch=256, optimizer="sgd", lr=0.08, weight_decay=1e-5,
        besides=f"{COSINE}; labels found again every epoch",
    ),
    "deepcluster": Published(  # 4.8 at a batch of 4,096, decay 1e-6, 10 epochs of warm-up: released code
        source="arXiv 2006.09882", preset="v2",
        epochs=400, batch=4096, optimizer="lars", lr=0.3, weight_decay=1e-6, warm=10, besides=_LARC,
    ),
    "dino": Published(  # AdamW 5e-4 a batch of 256, decay .04 to .4, 10 epochs of warm-up; .9995 at 256: released code
        source="arXiv 2104.14294", preset="vit_small", encoder="vit_small",
        epochs=300, batch=512, optimizer="adamw", lr=5e-4, weight_decay=0.04, warm=10, more={"ema": 0.9995},
        besides="gradients are not clipped, no depth is dropped",
    ),
    "mae": Published(  # AdamW 1.5e-4 a batch of 256, decay .05, 40 epochs of warm-up: released code
        source="arXiv 2111.06377", preset="paper", encoder="vit_base",
        epochs=1600, batch=4096, optimizer="adamw", lr=1.5e-4, weight_decay=0.05, warm=40,
        besides="AdamW's second beta is .999, not .95",
    ),
    "simmim": Published(  # AdamW 1e-4 a batch of 512, decay .05, 10 epochs of warm-up: released code
        source="arXiv 2111.09886", preset="paper", encoder="vit_base",
        epochs=800, optimizer="adamw", lr=5e-5, weight_decay=0.05, warm=10,
        besides=f"{COSINE}; no relative positions",
    ),
    # SimCLR prints no transformer; MoCo v3's recipe: AdamW 1.5e-4 a batch of 256, decay .1, 40 epochs of warm-up
    "simclr_vit": Published(
        source="arXiv 2104.02057", preset="v1", encoder="vit_small",
        epochs=300, batch=4096, optimizer="adamw", lr=1.5e-4, weight_decay=0.1, warm=40,
        besides="the source trains MoCo v3, not SimCLR",
    ),
    "rationale": on_cub(
        source="arXiv 2303.01669", preset="corrected",
        besides="target and routing corrected: ours",
    ),
    "rationale_paper": on_cub(
        source="arXiv 2303.01669", preset="paper",
        besides="one BatchNorm over the batch, nothing to shuffle",
    ),
    "pairs": on_cub(
        source="arXiv 2407.14676", preset="paper", besides="the decoder's form is ours",
    ),
}  # fmt: skip
PUBLISHED["inpainting_adv"] = replace(PUBLISHED["inpainting"], preset="paper")
