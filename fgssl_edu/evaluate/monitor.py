"""What to watch while a method trains: a loss can fall while the representation dies.

Three numbers that no loss shows: the spread of the embeddings (0 for a collapse to a point), the effective rank of the
features (small for a collapse to a plane), and kNN on a few labelled images, which the method itself never sees.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from fgssl_edu.data.image_set import ImageSet
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.geometry import effective_rank, std_ratio
from fgssl_edu.evaluate.knn import knn

TRAIN_IMAGES, TEST_IMAGES = 512, 256  # looked at each time: half a second
# Where a number names a collapse; beside it what sound trainings have in the shipped records, at their last step
POINT = 0.2  # spread of the embeddings' directions: from .3 (inpainting), of contrasted ones from .8
SHORT = 0.1  # deviation of embeddings whose loss asks for 1: .58; .35 at the first step
FEATURES = 0.05  # spread of the features' directions: trained from .08, untrained from .07
LINE = 1.9  # dimensions that share the embeddings' variance: from 2.1 (SimSiam); 1 is a line
PLANE = 5.0  # effective rank of the features: convolutions from 12, transformers from 6.6; untrained 50 and 8.5
USED = 0.03  # usage of prototypes or outputs, a share: from .04; one of 64 has .016, by its entropy 0
SURE, UNSURE = 0.01, 0.99  # entropy of a single target, share of ln K: 0 a single output, 1 all alike
TOO_LOW = (  # column of a history, limit, kind of collapse; the first that holds is named
    ("embedding_std", POINT, "collapse to a point"),
    ("std_ratio", FEATURES, "collapse to a point"),
    ("deviation", SHORT, "collapse to a point"),
    ("embedding_rank", LINE, "collapse to a line"),
    ("effective_rank", PLANE, "collapse to few dimensions"),
    ("usage", USED, "one output for all images"),
)


def symptom(row: Mapping[str, float]) -> str | None:
    """The collapse that the numbers of a history's row show, in words with the number that shows it; None if healthy.

    Args:
        row: some of "embedding_std", "embedding_rank", "deviation" (1 is asked for), "std_ratio", "effective_rank",
            "usage" (share of the prototypes or outputs that all images together use) and "target_entropy" (of a
            target, share of ln K); others are not looked at. A target of little entropy is a symptom only where
            nothing is known of its usage: hard labels that differ between images are sound.
    """
    for name, limit, kind in TOO_LOW:
        if row.get(name, limit) < limit:
            return f"{kind} ({name.replace('_', ' ')} {row[name]:.2g})"
    entropy = row.get("target_entropy", SURE)
    if entropy > UNSURE:
        return f"the same uniform output for all images (target entropy {entropy:.2g} of ln K)"
    if entropy < SURE and "usage" not in row:
        return f"a single sure output (target entropy {entropy:.2g} of ln K)"
    return None


class CollapseMonitor:
    """Every so many steps: `std_ratio` of the embeddings, `effective_rank` (centred) and `knn` of the features.

    Leaves every module in the mode it was in and draws no random number: a watched run ends in the same weights.

    Args:
        train: images of which about 512 labelled ones vote, as many of every class.
        test: images of which about 256 are classified.
        every: steps between two looks.
        size: side at which the encoder sees the images, pixels.
        k: neighbours.
    """

    def __init__(self, train: ImageSet, test: ImageSet, every: int = 50, size: int | None = None, k: int = 20) -> None:
        if every < 1:
            raise ValueError(f"every={every}: steps between two looks, at least 1")
        self.train = train.label_fraction(min(1.0, TRAIN_IMAGES / len(train)), seed=0)
        self.test = test.label_fraction(min(1.0, TEST_IMAGES / len(test)), seed=0)
        self.every, self.size, self.k = every, size, k

    def __call__(self, method: nn.Module, row: Mapping[str, float], step: int) -> dict[str, float]:
        """The three numbers; the spread is the embeddings' where the step reports it, else the test features'."""
        encoder = method.evaluated()  # type: ignore[operator]
        bank, features = (extract(encoder, images.images, self.size) for images in (self.train, self.test))
        return {
            "std_ratio": row.get("embedding_std", std_ratio(features)),
            "effective_rank": effective_rank(features),
            "knn": knn(bank, self.train.labels, features, self.test.labels, k=self.k).value,
        }
