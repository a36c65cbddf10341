"""DeepCluster-v2: spherical k-means, what is clustered when, and whose cluster each crop is told."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch, Images
from fgssl_edu.methods.clustering.crops import unit_embeddings
from fgssl_edu.methods.clustering.deepcluster import DeepCluster
from fgssl_edu.methods.clustering.spherical_kmeans import spherical_kmeans
from fgssl_edu.nets import build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain

COUNT, SIDE, K = 14, 24, 5


def pictures(count: int = COUNT) -> torch.Tensor:
    """Smooth random colours, so that crops of one picture look alike."""
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 4).view(-1, 3, 2, 2)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def deepcluster(**fields) -> DeepCluster:
    return DeepCluster(build_encoder("resnet10", seed=0), **{"size": 16, "prototypes": K, **fields})


def started(**fields) -> DeepCluster:
    method = deepcluster(**fields)
    method.start(Images(pictures()), resumed=False)
    method.before_epoch(Images(pictures()), 0)
    return method


def planted(seed: int = 0, kinds: int = 4, each: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit points close around `kinds` axes, and which."""
    kind = torch.arange(kinds).repeat_interleave(each)
    noise = 0.1 * draws.normal(seed, 0, torch.arange(kinds * each), "planted", 8)
    return F.normalize(F.one_hot(kind, 8).float() + noise, dim=1), kind


def test_kmeans_finds_planted_clusters_of_directions():
    points, kind = planted()
    hits = 0
    for seed in range(10):  # of some starts two lie in one cluster: then one of the others is joined
        centroids, label = spherical_kmeans(points, 4, 10, seed)
        assert torch.allclose(centroids.norm(dim=1), torch.ones(4), atol=1e-6)
        assert torch.equal(label, (points @ centroids.T).argmax(dim=1))
        hits += len({(int(a), int(b)) for a, b in zip(label, kind, strict=True)}) == 4
    assert hits >= 1


def test_more_iterations_never_fit_worse():
    points = F.normalize(draws.normal(3, 0, torch.arange(200), "points", 6), dim=1)
    fits = []
    for iterations in range(8):
        centroids, label = spherical_kmeans(points, 12, iterations, 0)
        fits.append((points * centroids[label]).sum().item())
    assert all(after >= before - 1e-4 for before, after in zip(fits, fits[1:], strict=False)) and fits[-1] > fits[0]


def test_one_cluster_is_the_mean_direction_and_as_many_as_points_are_the_points():
    points, _ = planted()
    centroids, label = spherical_kmeans(points, 1, 3, 0)
    assert torch.allclose(centroids[0], F.normalize(points.mean(dim=0), dim=0), atol=1e-6) and not label.any()
    centroids, label = spherical_kmeans(points, len(points), 3, 0)
    assert torch.allclose(centroids[label], points, atol=1e-6) and len(label.unique()) == len(points)


def test_a_cluster_without_points_keeps_its_centroid():
    point = F.normalize(torch.tensor([[1.0, 2.0]]), dim=1)
    centroids, label = spherical_kmeans(point.expand(6, -1), 3, 4, 0)
    assert torch.allclose(centroids, point.expand(3, -1)) and len(label.unique()) == 1


def test_each_epoch_starts_from_other_points():
    points = F.normalize(draws.normal(3, 0, torch.arange(50), "points", 6), dim=1)
    first, second, again = (spherical_kmeans(points, 5, 0, 0, epoch)[0] for epoch in (0, 1, 0))
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_before_the_first_epoch_the_untrained_network_is_clustered():
    method = started(heads=3)
    batch = Batch(pictures(), torch.arange(COUNT))
    method.eval()
    views = method.views(batch, 0)[:2]
    expected = torch.stack(unit_embeddings(method.encoder, method.projector, views), dim=1)
    assert torch.allclose(method.bank, expected, atol=1e-5)
    for head in range(3):  # the heads take turns at the two large views
        points = method.bank[:, head % 2]
        assert torch.equal(method.assigned[head], (points @ method.centroids[head].T).argmax(dim=1))
    assert not torch.equal(method.centroids[0], method.centroids[2])


def test_every_crop_is_told_its_own_images_cluster():
    method = started(heads=2, temperature=0.5).eval()
    index = torch.tensor([9, 2, 11, 4])
    batch = Batch(pictures()[index], index)
    views = method.views(batch, 0)
    embeddings = unit_embeddings(method.encoder, method.projector, views)
    terms = [
        F.cross_entropy(each @ method.centroids[head].T / 0.5, method.assigned[head, index])
        for each in embeddings
        for head in range(2)
    ]
    outputs = method(batch, views)
    assert len(terms) == 6 * 2
    assert outputs["loss"].item() == pytest.approx(torch.stack(terms).mean().item(), abs=1e-5)
    assert outputs["target_entropy"].item() == 0 and 1 / K <= outputs["usage"].item() <= 1


def test_the_bank_keeps_each_images_row_under_its_number():
    method = started()
    before = method.bank.clone()
    index = torch.tensor([9, 2, 11, 4])
    batch = Batch(pictures()[index], index)
    views = method.views(batch, 7)
    outputs = method(batch, views)
    method.after_step(0.1)
    assert torch.allclose(method.bank[index, 0], outputs["embeddings"], atol=1e-6)
    others = [i for i in range(COUNT) if i not in index.tolist()]
    assert torch.equal(method.bank[others], before[others])
    assert torch.allclose(method.bank.norm(dim=2), torch.ones(COUNT, 2), atol=1e-5)


def test_centroids_are_the_classifier_and_never_trained():
    method = started()
    batch = Batch(pictures(), torch.arange(COUNT))
    method(batch, method.views(batch, 0))["loss"].backward()
    assert {name.split(".")[0] for name, _ in method.named_parameters()} == {"encoder", "projector"}
    assert [name for name, value in method.named_parameters() if value.grad is None] == []


def test_one_cluster_teaches_nothing():
    method = started(prototypes=1)
    batch = Batch(pictures(), torch.arange(COUNT))
    outputs = method(batch, method.views(batch, 0))
    assert outputs["loss"].item() == 0 == method.chance and outputs["usage"].item() == 1


def test_later_epochs_cluster_what_training_left_behind():
    method, calls = deepcluster(), []
    first = method.first_embeddings
    method.first_embeddings = lambda images: (calls.append(1), first(images))[1]
    recipe = Recipe(steps=5, batch=7, warmup=0, accelerator="cpu")  # two steps an epoch
    pretrain(method, pictures(), recipe, progress=False)
    assert calls == [1]
    assert method.chance == pytest.approx(math.log(K))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"prototypes": 0}, "prototypes=0"),
        ({"prototypes": 2.5}, "prototypes=2.5"),
        ({"heads": 0}, "heads=0"),
        ({"iterations": -1}, "iterations=-1"),
        ({"temperature": 0.0}, "temperature=0.0"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        deepcluster(**fields)


def test_of_more_clusters_than_images_some_stay_empty():
    method = started(prototypes=COUNT + 3)
    for head in range(3):
        assert len(method.assigned[head].unique()) == COUNT
