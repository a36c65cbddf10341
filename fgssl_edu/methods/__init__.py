"""Methods by name, their published settings with sources, and how to build one.

`build("moco", build_encoder("resnet10"), preset="v2", queue=1024)` is MoCo v2 with a short queue.
"""

from __future__ import annotations

import inspect

from fgssl_edu.config import suggestion
from fgssl_edu.methods.base import Method
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.contrastive.simclr import SimCLR
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.synthesized_pairs import SynthesizedPairs
from fgssl_edu.methods.siamese.simsiam import SimSiam
from fgssl_edu.methods.supervised import Supervised
from fgssl_edu.nets.encoders import Encoder

METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "simsiam": SimSiam,
    "rationale": CommonRationale,
    "pairs": SynthesizedPairs,
    "supervised": Supervised,
}

V1, V2 = "arXiv 1911.05722, section 3.3 and table 1", "arXiv 2003.04297, table 1 and released code"
SIMCLR_SOURCE, SIMCLR_HEAD = "arXiv 2002.05709, section 3 and table 5", "released code: BatchNorm after both layers"
SIMSIAM = "arXiv 2011.10566, section 3 and appendix A"
LCR, LCR_BYOL = "arXiv 2303.01669, released code, MoCo form", "arXiv 2303.01669, BYOL form"
# Both fine-grained methods train as MoCo v2 does
QUEUE_OF_FINE_GRAINED: dict[str, tuple[object, str]] = {
    "views": ("moco_v2", "arXiv 2303.01669, released code; 2407.14676 names the same operations"),
    "size": (224, V2),
    "temperature": (0.2, V2),
    "queue": (65536, "arXiv 2303.01669 and 2407.14676; eleven stale copies of each of CUB's pictures"),
    "ema": (0.999, V2),
    "head": ("mlp", V2),
    "out": (128, V2),
}
PRESETS: dict[str, dict[str, dict[str, tuple[object, str]]]] = {
    "simclr": {
        "v1": {
            "views": ("simclr", SIMCLR_SOURCE),
            "size": (224, SIMCLR_SOURCE),
            "temperature": (0.1, SIMCLR_SOURCE),
            "head": ("simclr", SIMCLR_HEAD),
            "out": (128, SIMCLR_SOURCE),
        },
    },
    "moco": {
        "v1": {
            "views": ("moco_v1", V1),
            "size": (224, V1),
            "temperature": (0.07, V1),
            "queue": (65536, V1),
            "ema": (0.999, V1),
            "head": ("linear", V1),
            "out": (128, V1),
        },
        "v2": {
            "views": ("moco_v2", V2),
            "size": (224, V2),
            "temperature": (0.2, V2),
            "queue": (65536, V2),
            "ema": (0.999, V2),
            "head": ("mlp", V2),
            "out": (128, V2),
        },
    },
    "simsiam": {
        "v1": {
            "views": ("moco_v2", SIMSIAM),
            "size": (224, SIMSIAM),
            "hidden": (2048, SIMSIAM),
            "out": (2048, SIMSIAM),
            "predictor_hidden": (512, SIMSIAM),
        },
    },
    "rationale": {
        "paper": {**QUEUE_OF_FINE_GRAINED, "kernels": (32, LCR), "weight": (0.01, LCR), "paper_code": (True, LCR)},
        "corrected": {
            **QUEUE_OF_FINE_GRAINED,
            "kernels": (32, LCR),
            "weight": (0.01, LCR),
            "softness": (0.4, LCR_BYOL),
        },
    },
    "pairs": {
        "paper": {
            **QUEUE_OF_FINE_GRAINED,
            "nu": (0.5, "arXiv 2407.14676, table 6"),
            "threshold": (0.02, "arXiv 2407.14676, table 7; as a standard deviation: ours, the paper says variance"),
            "alpha": (1.0, "ours: arXiv 2407.14676, figure 5 finds .5 and 1 alike"),
            "sigma_cam": (0.2, "ours, in root mean squares of a feature; the paper's values are not printed in text"),
            "sigma_var": (0.2, "ours, as sigma_cam"),
            "memory": (4096, "ours; the paper's size is not printed in text"),
            "decoder_size": (224, "ours; the paper's size is not printed in text"),
            "decoder_steps": (9200, "arXiv 2407.14676, appendix B.2: 200 epochs of CUB at batch 128"),
        },
    },
    "supervised": {},
}


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
