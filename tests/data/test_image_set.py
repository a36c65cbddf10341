"""The set in memory: subsets, label fractions, and what a method may see of it."""

from __future__ import annotations

import pytest
import torch

from fgssl_edu.data.image_set import Batch, Images, ImageSet, class_ranks, stratified_share


def toy_set(sizes: tuple[int, ...] = (5, 20, 30), unlabelled: int = 3) -> ImageSet:
    """Images of one colour each: pixel value = position."""
    labels = torch.cat([torch.full((n,), c) for c, n in enumerate(sizes)] + [torch.full((unlabelled,), -1)])
    count = len(labels)
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 4, 4).contiguous()
    return ImageSet(
        images=images,
        labels=labels,
        classes=tuple("abc"[: len(sizes)]),
        name="toy",
        provenance="test",
        licence="none",
        coarse=labels.clamp(min=0) // 2,
        parts=images[:, 0],
        paths=tuple(f"{i}.png" for i in range(count)),
    )


def test_subset_takes_every_row_and_keeps_the_rest():
    full, index = toy_set(), torch.tensor([7, 2, 40])
    part = full.subset(index)
    assert part.images[:, 0, 0, 0].tolist() == [7, 2, 40] and part.parts[:, 0, 0].tolist() == [7, 2, 40]
    assert part.labels.tolist() == full.labels[index].tolist() and part.coarse.tolist() == full.coarse[index].tolist()
    assert part.paths == ("7.png", "2.png", "40.png") and part.classes == full.classes and part.foreground is None
    assert len(part) == 3 and part.size == 4


def test_label_fraction_takes_the_ceiling_of_every_class():
    labels = toy_set().labels
    for share, counts in (
        (0.1, [1, 2, 3]),
        (0.2, [1, 4, 6]),
        (0.5, [3, 10, 15]),
        (1.0, [5, 20, 30]),
        (0.001, [1, 1, 1]),
    ):
        chosen = stratified_share(labels, share, seed=3)
        assert torch.bincount(labels[chosen], minlength=3).tolist() == counts, share


def test_label_fractions_are_nested_reproducible_and_differ_by_seed():
    labels = toy_set().labels
    shares = [set(stratified_share(labels, share, seed=3).tolist()) for share in (0.1, 0.2, 0.5, 1.0)]
    assert all(small < large for small, large in zip(shares[:-1], shares[1:], strict=True))
    assert shares[2] == set(stratified_share(labels, 0.5, seed=3).tolist())
    assert shares[2] != set(stratified_share(labels, 0.5, seed=4).tolist())


def test_label_fraction_never_chooses_an_unlabelled_image():
    full = toy_set(unlabelled=30)
    assert (full.label_fraction(1.0, seed=0).labels >= 0).all()
    assert len(full.labelled()) == 55 and len(toy_set(unlabelled=0).labelled()) == 55


def test_every_image_of_a_class_is_chosen_equally_often():
    labels = torch.zeros(10, dtype=torch.int64)
    hits = sum(torch.bincount(stratified_share(labels, 0.3, seed=s), minlength=10) for s in range(1000))
    assert (hits - 300).abs().max() < 75  # binomial deviation 14.5; 5 of them


def test_class_ranks_number_each_class_from_zero():
    labels = torch.tensor([2, -1, 2, 0, 2, 0, -1])
    place, size = class_ranks(labels, seed=1, purpose="test")
    assert size.tolist() == [3, 2, 3, 2, 3, 2, 2]
    for label in (-1, 0, 2):
        here = place[labels == label]
        assert sorted(here.tolist()) == list(range(len(here)))


@pytest.mark.parametrize("share", [0, -0.1, 1.5, 20, True])
def test_a_share_outside_of_0_to_1_is_refused_by_value(share):
    with pytest.raises(ValueError, match=f"share={share}"):
        toy_set().label_fraction(share, seed=0)


def test_views_shows_pixels_and_positions_only():
    images = toy_set().views()
    assert isinstance(images, Images) and images.count == 58 and not hasattr(images, "labels")
    assert set(Batch.__dataclass_fields__) == {"images", "index"}


def test_batches_cover_every_image_once_in_index_order():
    batches = list(toy_set().views().batches(25))
    assert [len(b.index) for b in batches] == [25, 25, 8]
    assert torch.cat([b.index for b in batches]).tolist() == list(range(58))
    assert all(torch.equal(b.images[:, 0, 0, 0].long(), b.index) and b.images.dtype == torch.uint8 for b in batches)


def test_two_processes_share_the_images(monkeypatch):
    shares = []
    for process in range(2):
        monkeypatch.setattr("fgssl_edu.data.image_set.rank", lambda process=process: process)
        monkeypatch.setattr("fgssl_edu.data.image_set.world_size", lambda: 2)
        shares.append([i for b in Images(toy_set().images).batches(10) for i in b.index.tolist()])
    assert sorted(shares[0] + shares[1]) == list(range(58)) and shares[0] == sorted(shares[0])


def test_take_gives_the_images_asked_for():
    assert Images(toy_set().images).take(torch.tensor([9, 3]))[:, 0, 0, 0].tolist() == [9, 3]


def test_rows_that_do_not_belong_together_are_a_programming_error():
    full = toy_set()
    with pytest.raises(AssertionError):
        ImageSet(full.images, full.labels[:-1], full.classes, "toy", "test", "none")
    with pytest.raises(AssertionError):
        Images(full.images.float())
