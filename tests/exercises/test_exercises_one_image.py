"""The checks of the lesson `one-image` accept right answers and name what a wrong one breaks."""

from __future__ import annotations

import hashlib
import math

import torch.nn.functional as F

from fgssl_edu.evaluate.layers import pool_layer
from fgssl_edu.exercises.one_image import check_card, check_crop_size, check_pooled_layer, hashed


def pooled(maps, target, pool=F.adaptive_max_pool2d, side=None):
    s = min(side(target / maps.shape[1]) if side else math.isqrt(target // maps.shape[1]), maps.shape[2])
    return pool(maps, s).flatten(1)


def crop_size(side, draw, tries=10**6, least=1 / 500, log=True, swap=False):
    for _ in range(tries):
        area, share = side**2 * (least + (1 - least) * draw()), draw()
        ratio = 0.75 * (16 / 9) ** share if log else 0.75 + share * (4 / 3 - 0.75)
        size = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if max(size) <= side:
            return size[::-1] if swap else size
    return side, side


def card(images, blocked, strip=str.strip, low=str.lower, each=lambda name: [name]):
    lacks = {name for name in ("provenance", "licence") if not strip(getattr(images, name))}
    return lacks | {"classes" for name in images.classes for word in each(name) if digest(low(word)) in blocked}


def digest(word):
    return hashlib.sha256(word.encode()).hexdigest()


def unchecked(side, draw):
    area, ratio = side**2 * (1 / 500 + (1 - 1 / 500) * draw()), 0.75 * (16 / 9) ** draw()
    return round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))


RIGHT = [
    (check_pooled_layer, pooled),
    (check_pooled_layer, lambda maps, target: pool_layer(maps, target)),
    (check_crop_size, crop_size),
    (check_card, card),
    (check_card, lambda images, blocked: sorted(card(images, blocked))),
]
WRONG = [
    (check_pooled_layer, lambda m, t: pooled(m, t)[0], "one row of features an image"),
    (check_pooled_layer, lambda m, t: pooled(m, t, side=lambda x: math.ceil(math.sqrt(x))), "the largest with C s²"),
    (check_pooled_layer, lambda m, t: pooled(m, t, side=lambda x: round(math.sqrt(x))), "the largest with C s²"),
    (check_pooled_layer, lambda m, t: pooled(m, t - 1), "fits exactly"),
    (check_pooled_layer, lambda m, t: pooled(m, t, F.adaptive_avg_pool2d), "maxima"),
    (
        check_pooled_layer,
        lambda m, t: F.adaptive_max_pool2d(m, math.isqrt(t // m.shape[1])).flatten(1),
        "should stay as it is",
    ),
    (check_pooled_layer, lambda m, t: pooled(m, t) - pooled(m, t).mean(0) * (len(m) > 1), "by itself"),
    (check_crop_size, lambda s, d: crop_size(s, d, least=0.08), "half of its side"),
    (check_crop_size, lambda s, d: crop_size(s, d, log=False), "ratio 1"),
    (check_crop_size, lambda s, d: crop_size(s, d, swap=True), "3/4 to 4/3"),
    (check_crop_size, unchecked, "does not fit"),
    (check_crop_size, lambda s, d: crop_size(s, d, tries=1), "the next two numbers count"),
    (check_crop_size, lambda s, d: crop_size(s, d, tries=10), "gave up"),
    (check_crop_size, lambda s, d: 5, "two numbers"),
    (check_card, lambda i, b: {"licence"}, "lacks nothing"),
    (check_card, lambda i, b: card(i, b, strip=lambda text: text), "is none"),
    (check_card, lambda i, b: set(sorted(card(i, b))[-1:]), "name both"),
    (check_card, lambda i, b: card(i, b, low=lambda name: name), "hash in lower case"),
    (check_card, lambda i, b: card(i, b, each=lambda n: [n, n[:3]]), "whole names"),
    (check_card, lambda i, b: card(i, {hashed(w) for w in ("man", "woman")}), "not one of your own"),
    (check_card, lambda i, b: None, "a set of names"),
]


def test_a_stub_is_told_so():
    def stub(*_):
        raise NotImplementedError

    assert all("not written yet" in check(stub).message for check in (check_pooled_layer, check_crop_size, check_card))
