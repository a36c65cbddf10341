"""Exercises of the lessons `start`, `contrast` and `coarse-bias`: scores, losses, Grad-CAM, the edit score."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fgssl_edu.exercises.verdict import TOLERANCE, Answer, Verdict, judge, near, number, unit


def check_knn(answer: Answer) -> Verdict:
    """Check `answer(query, bank, labels, k, temperature) -> class`: one unit vector against a labelled bank."""
    bank = F.normalize(torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.2, 0.8]]), dim=1)
    labels, query = torch.tensor([0, 0, 1, 1, 1]), F.normalize(torch.tensor([0.8, 0.6]), dim=0)

    def nearest(f: Answer) -> str | None:
        ok = number(f(query, bank, labels, 1, 10.0)) == 0
        return None if ok else "with k = 1 it should return the class of the nearest vector: do you use k?"

    def sharp(f: Answer) -> str | None:
        ok = number(f(query, bank, labels, 5, 0.07)) == 0
        words = "near neighbours should weigh more: exp(similarity / temperature) at temperature .07 gives class 0"
        return None if ok else words

    def flat(f: Answer) -> str | None:
        ok = number(f(query, bank, labels, 5, 10.0)) == 1
        return None if ok else "at temperature 10 all five count alike, so the majority, class 1, should win"

    def vote(f: Answer) -> str | None:
        crowd = torch.cat([bank, -bank, -bank]), torch.cat([labels, 0 * labels, 0 * labels])
        ok = number(f(query, *crowd, 5, 10.0)) == 1
        return None if ok else "only the k nearest may vote; vectors on the far side changed the answer"

    def names(f: Answer) -> str | None:
        words = "classes may have any numbers: with labels 3 and 6 in place of 0 and 1 it should return 3"
        try:
            return None if number(f(query, bank, 3 + 3 * labels, 5, 0.07)) == 3 else words
        except (IndexError, RuntimeError) as error:
            return f"{words} ({error})"

    return judge(answer, [nearest, sharp, flat, vote, names])


def check_average_precision(answer: Answer) -> Verdict:
    """Check `answer(relevant) -> float`: relevant is a bool tensor in the order of the ranking, best first."""

    def ranking(*relevant: int) -> Tensor:
        return torch.tensor(relevant, dtype=torch.bool)

    def perfect(f: Answer) -> str | None:
        return None if near(number(f(ranking(1, 1, 0, 0))), 1) else "relevant items first should give exactly 1"

    def hand(f: Answer) -> str | None:
        value = number(f(ranking(1, 0, 1)))
        return None if near(value, 5 / 6) else f"hits at places 1 and 3 give (1/1 + 2/3) / 2 = .8333, not {value:.4f}"

    def rising(f: Answer) -> str | None:
        value = number(f(ranking(0, 1, 1)))
        words = "the precision at a hit's own place counts, not a better one further down"
        return None if near(value, 7 / 12) else f"hits at places 2 and 3 give .5833, not {value:.4f}: {words}"

    def last(f: Answer) -> str | None:
        value = number(f(ranking(0, 0, 0, 1)))
        return None if near(value, 0.25) else f"one hit at place 4 gives 1/4, not {value:.4f}"

    def tail(f: Answer) -> str | None:
        same = near(number(f(ranking(1, 0, 1, 0, 0, 0))), number(f(ranking(1, 0, 1))))
        words = "misses after the last hit should change nothing: divide by the hits, not by the length"
        return None if same else words

    return judge(answer, [perfect, hand, rising, last, tail])


def check_nt_xent(answer: Answer) -> Verdict:
    """Check `answer(first, second, temperature) -> scalar` on unit vectors (SimCLR, eq. 1)."""
    first, second = unit(6, 8, seed=0), unit(6, 8, seed=1)

    def chance(f: Answer) -> str | None:
        same = F.normalize(torch.ones(4, 3), dim=1)
        value = number(f(same, same, 0.5))
        hint = "the sum runs over every other vector of the batch, 2N - 1 of them, and not over the vector itself"
        words = f"equal vectors: should be ln(2N-1) = {math.log(7):.4f}, is {value:.4f}; {hint}"
        return None if near(value, math.log(7)) else words

    def hand(f: Answer) -> str | None:
        value = number(f(torch.eye(2), torch.eye(2), 1.0))
        return None if near(value, 0.551445) else f"two orthogonal pairs at temperature 1 give .5514, not {value:.4f}"

    def temperature(f: Answer) -> str | None:
        value = number(f(torch.eye(2), torch.eye(2), 0.5))
        words = "similarities are divided by the temperature"
        return None if near(value, 0.239545) else f"the same at temperature .5 give .2395, not {value:.4f}: {words}"

    def symmetric(f: Answer) -> str | None:
        ok = near(number(f(first, second, 0.2)), number(f(second, first, 0.2)))
        return None if ok else "not symmetric: swapping the two views changes the loss"

    def order(f: Answer) -> str | None:
        turn = torch.tensor([3, 1, 5, 0, 2, 4])
        ok = near(number(f(first[turn], second[turn], 0.2)), number(f(first, second, 0.2)))
        return None if ok else "the order of the images in the batch should not matter"

    def gradient(f: Answer) -> str | None:
        views = [first.clone().requires_grad_(), second.clone().requires_grad_()]
        loss = f(*views, 0.2)
        assert isinstance(loss, Tensor)
        grads = torch.autograd.grad(loss, views, allow_unused=True)
        ok = all(g is not None and g.abs().sum() > 0 for g in grads)
        return None if ok else "no gradient reaches one of the views: nothing is detached in SimCLR"

    return judge(answer, [chance, hand, temperature, symmetric, order, gradient])


def check_info_nce(answer: Answer) -> Verdict:
    """Check `answer(query, key, queue, temperature) -> scalar` on unit vectors, queue (size, dim) (MoCo, eq. 1)."""
    query, key, queue = unit(5, 8, seed=2), unit(5, 8, seed=3), unit(7, 8, seed=4)
    hand_case = torch.eye(4)[:1], torch.eye(4)[:1], torch.eye(4)[1:]

    def chance(f: Answer) -> str | None:
        same = F.normalize(torch.ones(5, 4), dim=1)
        value = number(f(same, same, same[:3], 0.2))
        words = f"features that say nothing: should be ln(1+K) = {math.log(4):.4f}, is {value:.4f}"
        return None if near(value, math.log(4)) else words

    def hand(f: Answer) -> str | None:
        value, expected = number(f(*hand_case, 0.5)), math.log(1 + 3 * math.exp(-2))
        words = f"a perfect key and 3 orthogonal negatives give ln(1+3e^-2) = {expected:.4f}, not {value:.4f}"
        return None if near(value, expected) else words

    def temperature(f: Answer) -> str | None:
        value, expected = number(f(*hand_case, 0.2)), math.log(1 + 3 * math.exp(-5))
        words = f"the same at temperature .2 give ln(1+3e^-5) = {expected:.4f}, not {value:.4f}"
        return None if near(value, expected) else f"{words}: similarities are divided by the temperature"

    def positive(f: Answer) -> str | None:
        value = number(f(torch.eye(5)[:1], torch.eye(5)[4:], torch.eye(5)[1:4], 0.5))
        words = "the positive's logit is the similarity of query and key"
        ok = near(value, math.log(4))
        return None if ok else f"a key as far away as 3 negatives gives ln 4 = 1.3863, not {value:.4f}: {words}"

    def batch(f: Answer) -> str | None:
        rows = [number(f(query[i : i + 1], key[i : i + 1], queue, 0.2)) for i in range(5)]
        ok = near(number(f(query, key, queue, 0.2)), sum(rows) / 5)
        return None if ok else "each query should meet its own key and the queue only, not the keys of other images"

    def forgetful(f: Answer) -> str | None:
        ok = near(number(f(query, key, queue.flip(0), 0.2)), number(f(query, key, queue, 0.2)))
        return None if ok else "the order of the queue should not matter"

    def gradient(f: Answer) -> str | None:
        loss = f(query.clone().requires_grad_(), key, queue, 0.2)
        ok = isinstance(loss, Tensor) and loss.requires_grad
        return None if ok else "no gradient reaches the query: return a tensor, with nothing detached on its way"

    return judge(answer, [chance, hand, temperature, positive, batch, forgetful, gradient])


def check_gradcam(answer: Answer) -> Verdict:
    """Check `answer(score, feature_map) -> (B, h, w)`: Grad-CAM of a score, weights = mean gradient, rectified."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randn(2, 3, 4, 4, generator=generator)
    weight = torch.tensor([1.0, -2.0, 0.5])

    def shape(f: Answer) -> str | None:
        maps = pixels.clone().requires_grad_()  # anew, for an answer that calls backward
        cam = f((maps.mean(dim=(2, 3)) @ weight).sum(), maps)
        ok = isinstance(cam, Tensor) and cam.shape == (2, 4, 4)
        return None if ok else "should return one map an image, shape (B, h, w)"

    def positive(f: Answer) -> str | None:
        maps = pixels.clone().requires_grad_()
        cam = f((maps.mean(dim=(2, 3)) @ weight).sum(), maps)
        assert isinstance(cam, Tensor)
        return None if bool((cam >= 0).all()) else "negative values left: Grad-CAM keeps what raises the score (ReLU)"

    def linear(f: Answer) -> str | None:
        maps = pixels.clone().requires_grad_()
        ok = _same_map(f((maps.mean(dim=(2, 3)) @ weight).sum(), maps), weight.expand(2, 3), maps)
        words = "on a linear head the map should be the head's weights times the channels, negative parts cut off"
        return None if ok else words

    def pooled(f: Answer) -> str | None:
        maps = pixels.clone().requires_grad_()
        corner = maps[:, :, 0, 0] @ weight  # (2,)
        ok = _same_map(f(corner.sum(), maps), weight.expand(2, 3), maps)
        words = "a channel weighs by the mean of its gradient over all places"
        return None if ok else f"a score made from one corner should still weigh whole channels: {words}"

    def batch(f: Answer) -> str | None:
        maps = pixels.clone().requires_grad_()
        each = torch.stack([weight, -weight])  # (2, 3)
        ok = _same_map(f((maps.mean(dim=(2, 3)) * each).sum(), maps), each, maps)
        return None if ok else "each image has weights of its own: do not average the gradient over the batch"

    return judge(answer, [shape, positive, linear, pooled, batch])


def _same_map(cam: object, weights: Tensor, maps: Tensor) -> bool:
    """Whether a map is the rectified sum of channels under weights (B, C), up to one factor."""
    assert isinstance(cam, Tensor)
    expected, cam = F.relu(torch.einsum("bchw,bc->bhw", maps, weights)).detach(), cam.detach()
    return torch.allclose(cam * (expected.max() / cam.max().clamp(min=1e-12)), expected, atol=TOLERANCE)


def check_edit_score(answer: Answer) -> Verdict:
    """Check `answer(original, edited, elsewhere) -> float`: features (N, D): birds, edited, elsewhere."""
    original = unit(8, 6, seed=6)
    small = F.normalize(original + 0.1 * unit(8, 6, seed=7), dim=1)
    large = F.normalize(original + 0.8 * unit(8, 6, seed=8), dim=1)

    def blind(f: Answer) -> str | None:
        value = number(f(original, original, large))
        words = f"an encoder that does not move when the beak changes should score 0, not {value:.4f}"
        return None if near(value, 0) else words

    def equal(f: Answer) -> str | None:
        value = number(f(original, large, large))
        return None if near(value, 1) else f"equal moves should score 1, not {value:.4f}"

    def scale(f: Answer) -> str | None:
        ok = near(number(f(3 * original, 5 * small, 2 * large)), number(f(original, small, large)))
        return None if ok else "the length of a feature vector should not matter: use 1 - cosine"

    def ratio(f: Answer) -> str | None:
        turned = torch.tensor([[1.0, 0], [0.5, 0.75**0.5], [0, 1], [-1, 0]])  # 1 - cos to the first: 0, .5, 1, 2
        value = number(f(turned[[0, 0]], turned[[2, 1]], turned[[1, 3]]))
        words = f"edits that move two birds by 1 and .5, and skies by .5 and 2, give .75 / 1.25 = .6, not {value:.4f}"
        hint = "the ratio of the means over all birds of 1 - cosine, not the mean of each bird's ratio"
        return None if near(value, 0.6) else f"{words}: {hint}"

    def above(f: Answer) -> str | None:
        value = number(f(original, large, small))
        return None if value > 1 else f"an edit that moves more than a sky should score above 1, not {value:.4f}"

    return judge(answer, [blind, equal, scale, ratio, above])
