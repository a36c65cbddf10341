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
