"""Sinkhorn-Knopp and swapped prediction: closed forms, limits, symmetries, what three iterations do not do."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fgssl_edu import draws
from fgssl_edu.losses import sinkhorn_knopp, swav_loss

LONG = 2000  # iterations after which nothing moves


def cosines(samples: int = 24, prototypes: int = 6, seed: int = 0) -> Tensor:
    """Scores of random unit embeddings for random unit prototypes, float64."""
    rows = draws.normal(seed, 0, torch.arange(samples + prototypes), "cosines", 8).double()
    rows = F.normalize(rows, dim=1)
    return rows[:samples] @ rows[samples:].T


@pytest.mark.parametrize("iterations", [1, 3, LONG])
def test_every_sample_has_one_unit_to_give(iterations: int):
    codes = sinkhorn_knopp(cosines(), 0.05, iterations)
    assert (codes >= 0).all() and torch.allclose(codes.sum(dim=1), torch.ones(24).double(), atol=1e-14)


def test_in_the_limit_every_prototype_gets_its_share():
    codes = sinkhorn_knopp(cosines(), 0.05, LONG)
    assert torch.allclose(codes.sum(dim=0), torch.full((6,), 24 / 6).double(), atol=1e-6)
    assert (sinkhorn_knopp(cosines(), 0.05, 3).sum(dim=0) - 4).abs().max() > 1e-3  # the control


def test_a_matrix_of_two_by_two_has_a_closed_form():
    """Scaled to be doubly stochastic its odds are the root of a d / (b c)."""
    codes = sinkhorn_knopp(torch.tensor([[4.0, 1.0], [1.0, 1.0]]).log(), 1.0, 200)
    assert torch.allclose(codes, torch.tensor([[2 / 3, 1 / 3], [1 / 3, 2 / 3]]), atol=1e-6)


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [(0.5, [0.64566, 0.54983, 0.45017, 0.35434]), (0.05, [0.99753, 0.88080, 0.11920, 0.00247])],
)
def test_two_prototypes_share_by_the_sigmoid_of_the_difference(epsilon: float, expected: list[float]):
    scores = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    codes = sinkhorn_knopp(scores, epsilon, 500)
    assert codes[:, 0].tolist() == pytest.approx(expected, abs=2e-5)
    assert torch.allclose(codes[:, 0], torch.sigmoid((scores[:, 0] - scores[:, 1] - 0.7) / epsilon), atol=2e-5)


def test_selas_labels_of_two_clusters_part_at_the_middle_gap():
    gaps = torch.tensor([3.0, 2.0, 1.0, 0.0]).double()
    log_p = torch.stack([gaps, torch.zeros(4)], dim=1).log_softmax(dim=1)
    codes = sinkhorn_knopp(log_p, 1 / 5, LONG)  # lambda 5: the paper's 25 takes far more iterations
    assert torch.allclose(codes[:, 0], torch.sigmoid(5 * (gaps - 1.5)), atol=1e-6)


def test_the_order_of_samples_and_of_prototypes_does_not_matter():
    scores = cosines()
    rows, columns = torch.randperm(24), torch.randperm(6)
    codes = sinkhorn_knopp(scores[rows][:, columns])
    assert torch.allclose(codes, sinkhorn_knopp(scores)[rows][:, columns], atol=1e-14)


def test_a_prototype_that_all_like_more_gains_nothing():
    shift = 10 * draws.normal(2, 0, torch.arange(6), "shift", 1)[:, 0].double()
    for iterations in (1, 3):
        moved = sinkhorn_knopp(cosines() + shift, 0.05, iterations)
        assert torch.allclose(moved, sinkhorn_knopp(cosines(), 0.05, iterations), atol=1e-12)


def test_a_sample_that_likes_all_more_gains_nothing_but_only_in_the_limit():
    shift = 0.2 * draws.normal(2, 0, torch.arange(24), "shift", 1).double()
    changes = [
        (sinkhorn_knopp(cosines() + shift, 0.05, n) - sinkhorn_knopp(cosines(), 0.05, n)).abs().max() for n in (3, LONG)
    ]
    assert changes[0] > 0.01 and changes[1] < 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_towards_no_entropy_it_is_the_best_balanced_assignment(seed: int):
    scores = cosines(12, 3, seed)
    copies = scores.repeat_interleave(4, dim=1)  # each prototype takes four samples
    _, best = linear_sum_assignment(copies.numpy(), maximize=True)
    assert sinkhorn_knopp(scores, 1 / 400, 20000).argmax(dim=1).tolist() == [column // 4 for column in best]


def test_with_much_entropy_codes_say_nothing():
    assert torch.allclose(sinkhorn_knopp(cosines(), 1e4), torch.full((24, 6), 1 / 6).double(), atol=1e-4)


def test_logarithms_give_what_the_released_form_gives_and_do_not_overflow():
    scores = cosines()
    q = (scores / 0.05).exp().T  # (K, B): the released code
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(dim=1, keepdim=True) * len(q)
        q /= q.sum(dim=0, keepdim=True) * q.shape[1]
    assert torch.allclose(sinkhorn_knopp(scores, 0.05, 3), (q * q.shape[1]).T, atol=1e-14)
    sharp = sinkhorn_knopp(scores.float(), 0.01, 3)
    assert not (1 / torch.tensor(0.01)).exp().isfinite() and sharp.isfinite().all()
    assert torch.allclose(sharp.sum(dim=1), torch.ones(24), atol=1e-5)


def test_float32_is_enough():
    scores = cosines(128, 60)
    single = sinkhorn_knopp(scores.float(), 0.05, 3)
    assert single.dtype == torch.float32
    assert (single - sinkhorn_knopp(scores, 0.05, 3)).abs().max() < 1e-5


def test_half_precision_is_left_inside_autocast():
    scores = cosines().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = sinkhorn_knopp(scores.bfloat16(), 0.05, 3)
    assert codes.dtype == torch.float32
    assert torch.equal(codes, sinkhorn_knopp(scores.bfloat16().float(), 0.05, 3))


def test_samples_that_are_all_alike_belong_to_all_prototypes():
    codes = sinkhorn_knopp(cosines()[:1].expand(10, -1))
    assert torch.allclose(codes, torch.full((10, 6), 1 / 6).double(), atol=1e-12)


def test_there_may_be_more_prototypes_than_samples():
    codes = sinkhorn_knopp(cosines(4, 9), 0.05, LONG)
    assert torch.allclose(codes.sum(dim=0), torch.full((9,), 4 / 9).double(), atol=1e-6)


def test_two_shards_that_add_up_their_sums_have_the_codes_of_one():
    log_q = cosines() / 0.05
    shards = list(log_q.chunk(2))
    for _ in range(3):
        mass = torch.stack([shard.logsumexp(dim=0) for shard in shards]).logsumexp(dim=0)  # the all-reduce
        shards = [shard - mass for shard in shards]
        shards = [shard - shard.logsumexp(dim=1, keepdim=True) for shard in shards]
    assert torch.allclose(torch.cat(shards).exp(), sinkhorn_knopp(cosines(), 0.05, 3), atol=1e-13)
    alone = torch.cat([sinkhorn_knopp(half, 0.05, 3) for half in cosines().chunk(2)])
    assert (alone - sinkhorn_knopp(cosines(), 0.05, 3)).abs().max() > 0.01  # the control


def test_three_iterations_do_not_balance_blobs_of_unlike_size():
    blobs = torch.cat([torch.full((n,), i) for i, n in enumerate((500, 60, 40))])
    noise = 0.1 * draws.normal(0, 0, torch.arange(600), "blobs", 3).double()
    scores = F.one_hot(blobs, 3).double() + noise
    few, many = (sinkhorn_knopp(scores, 0.05, n).sum(dim=0) for n in (3, LONG))
    assert few[0] > 480 and few[2] < 60
    assert torch.allclose(many, torch.full((3,), 200.0).double(), atol=1)
    soft = sinkhorn_knopp(scores, 0.5, 3).sum(dim=0)
    assert (soft - 200).abs().max() < 15


def test_sela_and_swav_solve_one_problem():
    """The softmax's normaliser is a scale a sample: log-probabilities at 1 / lambda, cosines at tau / lambda."""
    scores, tau, sharpness = cosines(), 0.1, 2.0
    log_p = (scores / tau).log_softmax(dim=1)
    apart = [
        (sinkhorn_knopp(log_p, 1 / sharpness, n) - sinkhorn_knopp(scores, tau / sharpness, n)).abs().max()
        for n in (3, LONG)
    ]
    assert apart[0] > 0.005 and apart[1] < 1e-9


@pytest.mark.parametrize(("fields", "complaint"), [({"epsilon": 0}, "epsilon=0"), ({"iterations": 0}, "iterations=0")])
def test_a_sharing_out_that_cannot_be_is_refused(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        sinkhorn_knopp(cosines(), **fields)


def views(count: int, prototypes: int = 6) -> list[Tensor]:
    return [cosines(5, prototypes, seed) for seed in range(count)]


def test_each_code_is_predicted_by_all_other_views():
    scores, large = views(6), 2
    codes = [sinkhorn_knopp(each) for each in scores[:large]]
    pairs = [
        -(codes[i] * (scores[v] / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
        for i in range(large)
        for v in range(6)
        if v != i
    ]
    assert len(pairs) == 2 * (4 + 1)  # 2 (V + 1), V small views
    assert swav_loss(scores, codes, 0.1).item() == pytest.approx(torch.stack(pairs).mean().item(), abs=1e-12)


def test_no_view_is_special():
    scores = views(2)
    codes = [sinkhorn_knopp(each) for each in scores]
    assert torch.allclose(swav_loss(scores, codes), swav_loss(scores[::-1], codes[::-1]), atol=1e-14)


def test_scores_that_say_nothing_cost_log_k():
    flat = [torch.zeros(5, 6)] * 2
    assert swav_loss(flat, [sinkhorn_knopp(each) for each in flat]).item() == pytest.approx(math.log(6), abs=1e-6)
    told = [sinkhorn_knopp(each) for each in views(2)]
    assert swav_loss(flat, told).item() == pytest.approx(math.log(6), abs=1e-6)


def test_sure_codes_that_are_met_cost_nothing():
    sure = torch.eye(4)
    assert swav_loss([sure, sure], [sure, sure], 0.01).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("views_and_codes", "temperature", "complaint"),
    [((1, 1), 0.1, "1 codes for 1 views"), ((2, 3), 0.1, "3 codes"), ((2, 0), 0.1, "0 codes"), ((2, 2), 0, "above 0")],
)
def test_a_prediction_of_nothing_is_refused(views_and_codes: tuple[int, int], temperature: float, complaint: str):
    count, coded = views_and_codes
    with pytest.raises(ValueError, match=complaint):
        swav_loss(views(count), views(coded), temperature)
