"""Methods by name, their published settings with sources, and how to build one.

`build("moco", build_encoder("resnet10"), preset="v2", queue=1024)` is MoCo v2 with a short queue.
"""

from __future__ import annotations

import inspect

from fgssl_edu.config import suggestion
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.clustering.deepcluster import DeepCluster
from fgssl_edu.methods.clustering.sela import SeLa
from fgssl_edu.methods.clustering.swav import SwAV
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.contrastive.simclr import SimCLR
from fgssl_edu.methods.distillation.dino import DINO
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.methods.masked.mae import MAE
from fgssl_edu.methods.masked.simmim import SimMIM
from fgssl_edu.methods.pretext.colorization import Colorization
from fgssl_edu.methods.pretext.context import ContextPrediction
from fgssl_edu.methods.pretext.inpainting import Inpainting
from fgssl_edu.methods.pretext.jigsaw import Jigsaw
from fgssl_edu.methods.pretext.rotation import Rotation
from fgssl_edu.methods.pretext.split_brain import SplitBrain
from fgssl_edu.methods.siamese.barlow_twins import BarlowTwins
from fgssl_edu.methods.siamese.byol import BYOL
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.methods.siamese.vicreg import VICReg
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets.encoders import Encoder

METHODS: dict[str, type[Method]] = {  # in the order of the course
    "supervised": Supervised,
    "rotation": Rotation,
    "context": ContextPrediction,
    "jigsaw": Jigsaw,
    "colorization": Colorization,
    "split_brain": SplitBrain,
    "inpainting": Inpainting,
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "simsiam": SimSiam,
    "barlow": BarlowTwins,
    "vicreg": VICReg,
    "deepcluster": DeepCluster,
    "sela": SeLa,
    "swav": SwAV,
    "dino": DINO,
    "mae": MAE,
    "simmim": SimMIM,
    "rationale": CommonRationale,
    "pairs": SynthesizedPairs,
}

PRESETS = {name: method.presets for name, method in METHODS.items()}


def build(name: str, encoder: Encoder, preset: str | None = None, **overrides: object) -> Method:
    """A method around an encoder.

    Args:
        name: a key of `METHODS`.
        encoder: what it trains.
        preset: a key of `PRESETS[name]`, the published values; None: the class's defaults, for small pictures.
        overrides: single fields, over preset and defaults.

    Raises:
        ValueError: an unknown name, preset or field, with what there is.
    """
    if name not in METHODS:
        raise ValueError(f"method={name!r} is unknown{suggestion(name, list(METHODS))}; known: {', '.join(METHODS)}")
    if preset is not None and preset not in PRESETS[name]:
        raise ValueError(f"preset={preset!r}: {name} has {', '.join(PRESETS[name]) or 'none'}; None is the defaults")
    known = [field for field in inspect.signature(METHODS[name]).parameters if field != "encoder"]
    for field in overrides:
        if field not in known:
            raise ValueError(f"{name} has no field {field!r}{suggestion(field, known)}; it has {', '.join(known)}")
    published = {field: value for field, (value, _) in PRESETS[name][preset].items()} if preset else {}
    return METHODS[name](encoder, **{**published, **overrides})  # type: ignore[arg-type]
