"""Published settings of the fine-grained methods, each value with its source; both train as MoCo v2 does."""

from __future__ import annotations

from fgssl_edu.methods.base import Presets
from fgssl_edu.methods.contrastive.moco import V2

LCR, LCR_BYOL = "arXiv 2303.01669, released code, MoCo form", "arXiv 2303.01669, BYOL form"
QUEUE_OF_FINE_GRAINED: dict[str, tuple[object, str]] = {
    "views": ("moco_v2", "arXiv 2303.01669, released code; 2407.14676 names the same operations"),
    "size": (224, V2),
    "temperature": (0.2, V2),
    "queue": (65536, "arXiv 2303.01669 and 2407.14676; eleven stale copies of each of CUB's pictures"),
    "ema": (0.999, V2),
    "head": ("mlp", V2),
    "out": (128, V2),
}
RATIONALE: Presets = {
    "paper": {**QUEUE_OF_FINE_GRAINED, "kernels": (32, LCR), "weight": (0.01, LCR), "paper_code": (True, LCR)},
    "corrected": {
        **QUEUE_OF_FINE_GRAINED,
        "kernels": (32, LCR),
        "weight": (0.01, LCR),
        "softness": (0.4, LCR_BYOL),
    },
}
PAIRS: Presets = {
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
}
