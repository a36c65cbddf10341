"""LCR: what the branch can and cannot learn, where gradients go, and what is MoCo to the last bit."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgssl_edu import draws
from fgssl_edu.data.image_set import Batch
from fgssl_edu.evaluate.attention import class_maps
from fgssl_edu.evaluate.features import extract
from fgssl_edu.evaluate.probe import fit_linear
from fgssl_edu.gradcam import gradcam, normalize_map
from fgssl_edu.methods.contrastive.moco import MoCo
from fgssl_edu.methods.finegrained.common_rationale import CommonRationale
from fgssl_edu.methods.finegrained.rationale_branch import (
    AttentionPooled,
    Branch,
    attention_pool,
    misfit,
    normalized,
    target_entropy,
)
from fgssl_edu.nets import SplitBatchNorm, build_encoder
from fgssl_edu.recipe import Recipe
from fgssl_edu.train import pretrain
from fgssl_edu.views.presets import VIEWS

SIDE = 24
COUNT = 8
PLAIN = replace(VIEWS["mild"], jitter=0.0, gray=0.0, blur=0.0)  # crops and flips only


def pictures(count: int = COUNT) -> Tensor:
    coarse = draws.uniform(1, 0, torch.arange(count), "pictures", 3 * 16).view(-1, 3, 4, 4)
    return (F.interpolate(coarse, size=SIDE, mode="bilinear") * 255).byte()


def batch() -> Batch:
    return Batch(pictures(), torch.arange(COUNT))


def truth() -> Tensor:
    """A bright square somewhere else in each picture, (8, SIDE, SIDE)."""
    maps = torch.zeros(COUNT, SIDE, SIDE)
    for i in range(COUNT):
        maps[i, 2 * i : 2 * i + 8, 14 - 2 * i : 22 - 2 * i] = 1
    return maps


def rationale(**fields) -> CommonRationale:
    encoder = build_encoder("resnet10", norm=fields.pop("norm", "batch"), seed=0)
    return CommonRationale(encoder, **{"size": 16, "queue": 20, "ema": 0.9, **fields})


def train(method: MoCo, steps: int = 5) -> list[dict[str, float]]:
    recipe = Recipe(steps=steps, batch=8, warmup=0, accelerator="cpu")
    return pretrain(method, pictures(), recipe, progress=False).rows


def feature_map(count: int = 5, channels: int = 6, side: int = 4) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


# --- the target ---


@pytest.mark.parametrize("bias", [False, True])
def test_the_loss_pulls_features_up_as_much_as_down_if_the_head_has_no_bias(bias: bool):
    """A loss of directions is homogeneous of degree 0 in the features: Euler's theorem. A bias ends that."""
    method = rationale(head=nn.Linear(128, 32, bias=bias), out=32, norm="group")
    with torch.no_grad():
        seen = method.encoder.feature_map(method.views(batch(), 0)[0])
    seen.requires_grad_()
    loss = F.cross_entropy(F.normalize(method.head(method.encoder.pool(seen)), dim=1) / 0.2, torch.arange(COUNT))
    maps = gradcam(loss * COUNT, seen, "helps", pooled=False, rectify=False)
    share = maps.sum(dim=(1, 2)).abs() / maps.abs().sum(dim=(1, 2))
    if bias:
        assert share.mean() > 1e-2  # of a single image they may cancel by chance
    else:
        assert share.max() < 1e-5  # float32
        helps, hurts = maps.relu().sum(), (-maps).relu().sum()
        assert torch.allclose(helps, hurts, rtol=1e-5)


def target_of(method: CommonRationale) -> tuple[Tensor, Tensor]:
    views = method.views(batch(), 0)
    seen = method.encoder.feature_map(views[0])
    query = method.head(method.encoder.pool(seen))
    loss = F.cross_entropy(query @ method.queue.read().T, torch.arange(COUNT))
    return method.target_map(loss, seen), seen


def test_the_target_is_the_gradcam_of_the_loss_scaled_to_each_image():
    helps, hurts = (target_of(rationale(sign=sign, size=32))[0] for sign in ("helps", "hurts"))
    for maps in (helps, hurts):
        assert maps.shape == (COUNT, 4, 4) and not maps.requires_grad
        assert torch.equal(maps.amax(dim=(1, 2)), torch.ones(COUNT)) and (maps.amin(dim=(1, 2)) == 0).all()
    assert (helps - hurts).abs().mean() > 0.3


def test_the_released_target_says_nothing_and_the_corrected_one_something():
    raw, corrected = (target_of(rationale(paper_code=released, size=32))[0] for released in (True, False))
    assert (target_entropy(raw, 1.0, paper_code=True) > 1 - 1e-4).all()
    assert (target_entropy(corrected, 0.4) < 0.95).all()
    assert target_entropy(torch.ones(1, 4, 4), 0.4).item() == pytest.approx(1)
    one_hot = F.one_hot(torch.tensor([5]), 16).float().view(1, 4, 4)
    assert target_entropy(one_hot, 0.01).item() == pytest.approx(0, abs=1e-6)
    first, second = math.e / (math.e + 1), 1 / (math.e + 1)  # by hand: softmax of a row (1, 0)
    entropy = -(first * math.log(first) + second * math.log(second)) / math.log(2)
    assert target_entropy(torch.tensor([[[1.0, 0.0]]]), 1.0, paper_code=True).item() == pytest.approx(entropy)


def test_the_released_target_is_not_detached_and_pulls_at_the_features():
    for paper_code in (True, False):
        method = rationale(paper_code=paper_code)
        target, seen = target_of(method)
        assert target.requires_grad == paper_code
        flat = torch.zeros_like(target).requires_grad_()
        (pull,) = torch.autograd.grad(
            misfit(flat, target, paper_code=paper_code).sum(), seen, allow_unused=True, materialize_grads=True
        )
        assert bool(pull.abs().sum() > 0) == paper_code


@pytest.mark.parametrize("align", ["kl", "mse", "cosine"])
def test_a_map_fits_itself_and_nothing_fits_better(align: str):
    maps = normalize_map(feature_map(count=6)[:, 0])
    assert misfit(maps, maps, align).abs().max() < 1e-6
    assert (misfit(maps, maps.flip(0), align) > 1e-3).all()


def test_the_released_misfit_sums_the_divergences_of_rows():
    fitted, target = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    first, second = math.e / (math.e + 1), 1 / (math.e + 1)
    row = first * math.log(2 * first) + second * math.log(2 * second)  # from the flat row; the other row fits
    assert misfit(fitted, target, paper_code=True).item() == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_true_map_is_cropped_and_mirrored_as_the_query_view_is(symmetric: bool):
    maps = truth()
    painted = (maps[:, None].expand(-1, 3, -1, -1) * 255).byte()
    method = rationale(views=PLAIN, target="foreground", truth=maps, symmetric=symmetric)
    first, second, *shown = method.views(Batch(painted, torch.arange(COUNT)), 3)
    assert len(shown) == 1 + symmetric
    for view, seen in zip((first, second), shown, strict=False):
        assert torch.allclose(seen[:, 0], view[:, 0], atol=1e-6)
    assert (first - second).abs().max() > 0.1  # the control: two views differ


def test_the_oracle_is_fitted_to_the_share_of_each_cell_that_is_true():
    method = rationale(target="discriminative", truth=truth())
    seen, shown = torch.zeros(1, 128, 2, 2), torch.zeros(1, 1, 16, 16)
    shown[0, 0, :8, :8], shown[0, 0, 8:, 8:12] = 1, 1  # one cell whole, one half
    target = method.target_map(torch.tensor(0.0), seen, shown)
    assert torch.equal(target, torch.tensor([[[1.0, 0.0], [0.0, 0.5]]]))


# --- the branch ---


def test_one_projection_is_a_rectified_normalised_convolution():
    branch, x = Branch(6, 1), feature_map()
    assert torch.allclose(branch(x), torch.relu(branch.norm(branch.project(x)))[:, 0])


def test_the_order_of_projections_does_not_matter_and_maps_are_not_negative():
    branch, order = Branch(6, 8).eval(), torch.randperm(8, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(branch.norm.weight), nn.init.normal_(branch.norm.bias)
    permuted = pickle.loads(pickle.dumps(branch))
    permuted.project.weight.data = branch.project.weight.data[order]
    for name in ("weight", "bias"):
        getattr(permuted.norm, name).data = getattr(branch.norm, name).data[order]
    assert torch.allclose(branch(feature_map()), permuted(feature_map()), atol=1e-6)
    assert (branch(feature_map()) >= 0).all() and (branch(feature_map()) > 0).any()


def test_maps_go_from_0_to_1_in_each_image_and_a_constant_one_to_zeros():
    maps = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 5, 0])[:, None, None]
    scaled = normalized(maps)
    assert scaled.amax(dim=(1, 2)).tolist() == [1, 1, 0] and (scaled.amin(dim=(1, 2)) == 0).all()
    released = normalized(maps, paper_code=True)
    assert released[0].max() < 0.3 and released[1].max() == pytest.approx(1)


def test_pooling_by_a_constant_map_is_the_average_and_by_one_position_that_position():
    x = feature_map()
    for constant in (0.0, 0.7):
        pooled = attention_pool(x, torch.full((5, 4, 4), constant))
        assert torch.allclose(pooled, x.mean(dim=(2, 3)), atol=1e-6)
    spot = torch.zeros(5, 4, 4)
    spot[:, 1, 2] = 0.3
    assert torch.allclose(attention_pool(x, spot), x[:, :, 1, 2], atol=1e-6)
    weights = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(2))
    paper = F.normalize((x * weights[:, None]).mean(dim=(2, 3)), dim=1)
    assert torch.allclose(F.normalize(attention_pool(x, weights), dim=1), paper, atol=1e-6)


def mass_on_cues(kernels: int) -> tuple[float, float]:
    """Fit a branch to maps of two cues among noise, one that all 64 images share and one of each image's own."""
    draw = torch.Generator().manual_seed(0)
    flat = 0.3 * torch.randn(64, 16, 49, generator=draw)  # (B, C, positions)
    shared = F.normalize(torch.randn(16, generator=draw), dim=0)
    unique = F.normalize(torch.randn(64, 16, generator=draw), dim=1)
    place, rows = torch.rand(64, 49, generator=draw).argsort(dim=1)[:, :2], torch.arange(64)
    flat[rows, :, place[:, 0]] += shared
    flat[rows, :, place[:, 1]] += unique
    target = torch.zeros(64, 49).scatter(1, place, 1.0).view(64, 7, 7)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        branch = Branch(16, kernels)
    descent = torch.optim.Adam(branch.parameters(), lr=1e-2)
    for _ in range(300):
        misfit(normalized(branch(flat.view(64, 16, 7, 7))), target).mean().backward()
        descent.step()
        descent.zero_grad()
    maps = normalized(branch(flat.view(64, 16, 7, 7))).flatten(1).detach()
    return maps[rows, place[:, 0]].mean().item(), maps[rows, place[:, 1]].mean().item()


def test_a_small_branch_keeps_what_images_share_and_a_large_one_knows_each():
    ratios = {kernels: shared / unique for kernels in (1, 4, 64) for shared, unique in [mass_on_cues(kernels)]}
    assert ratios[1] > ratios[4] > 2  # three seeds: 10 to 20, 2.8 to 3.5, 1.0 to 1.1
    assert ratios[64] < 1.3


# --- the method ---


def state(method: MoCo) -> dict[str, Tensor]:
    ours = ("branch.", "truth")
    return {name: value.clone() for name, value in method.state_dict().items() if not name.startswith(ours)}


@pytest.mark.parametrize("shape", [{}, {"symmetric": True}, {"splits": 2}])
def test_without_weight_it_is_moco_to_the_last_bit(shape: dict):
    base = MoCo(build_encoder("resnet10", seed=0), size=16, queue=20, ema=0.9, **shape)
    method = rationale(weight=0.0, target="foreground", truth=truth(), **shape)
    losses = [[row["loss"] for row in train(each)] for each in (base, method)]
    assert losses[0] == losses[1]
    expected, got = state(base), state(method)
    assert expected.keys() == got.keys() and any("running_mean" in name for name in got)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert not any(value.requires_grad for value in method.branch.parameters())
    assert method.evaluated() is method.encoder


@pytest.mark.parametrize("shape", [{}, {"symmetric": True}, {"splits": 2}])
def test_a_branch_that_only_watches_leaves_moco_as_it_is(shape: dict):
    base = MoCo(build_encoder("resnet10", seed=0), size=16, queue=20, ema=0.9, **shape)
    watching, pulling = rationale(branch_stopgrad=True, **shape), rationale(**shape)
    train(base), train(watching), train(pulling)
    expected, got, moved = state(base), state(watching), state(pulling)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert any((expected[name] - moved[name]).abs().max() > 1e-4 for name in expected)
    if "splits" in shape:
        assert isinstance(watching.branch.norm, SplitBatchNorm)


@pytest.mark.parametrize(
    "fields",
    [{}, {"paper_code": True}, {"align": "mse"}, {"align": "cosine"}, {"target": "uniform"}, {"sign": "hurts"}],
)
def test_every_form_trains_every_weight_it_has(fields: dict):
    method = rationale(**fields)
    output = method(batch(), method.views(batch(), 0))
    output["loss"].backward()
    trained = [value for value in method.parameters() if value.requires_grad]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in trained)
    assert method.branch.project.weight.grad.abs().sum() > 0
    expected = output["contrast"] + 0.01 * COUNT * output["fit"]
    assert output["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert [name for name, value in output.items() if value.requires_grad] == ["loss"]


def test_the_branch_learns_where_the_true_square_lies():
    method = rationale(views=PLAIN, target="foreground", truth=truth(), weight=0.1)
    rows = train(method, steps=60)
    assert rows[-1]["fit"] < 0.5 * rows[-1]["fit_flat"] < rows[0]["fit"]
    assert rows[-1]["fit_flat"] == pytest.approx((1 - rows[-1]["target_entropy"]) * math.log(4), abs=1e-5)


def test_true_maps_of_another_set_are_refused_before_training():
    with pytest.raises(ValueError, match=r"truth: \(8, 12, 12\) for images \(8, 24, 24\)"):
        train(rationale(target="foreground", truth=torch.zeros(8, 12, 12)))


# --- what is scored ---


@pytest.fixture(scope="module")
def scored() -> dict[bool, AttentionPooled]:
    """Of the corrected and of the released form, a few steps on."""
    made = {}
    for paper_code in (False, True):
        method = rationale(paper_code=paper_code)
        train(method)
        made[paper_code] = method.evaluated().eval()
    return made


def test_features_do_not_depend_on_the_images_beside_but_in_the_released_form(scored: dict):
    images, moved = pictures(64), {}
    for paper_code, encoder in scored.items():
        whole = extract(encoder, images, batch=64)
        moved[paper_code] = max((extract(encoder, images, batch=size) - whole).abs().max() for size in (1, 2))
    assert moved[False] < 1e-5  # convolutions of other batch sizes sum in another order
    assert moved[True] > 1e-3


def test_the_scored_encoder_serves_probes_maps_and_pickles(scored: dict):
    encoder, images, labels = scored[False], pictures(24), torch.arange(24) % 3
    features = extract(encoder, images)
    assert features.shape == (24, encoder.dim) == (24, 128) and encoder.stem == "3x3 stride 2"
    assert encoder.name == "resnet10, attention-pooled"
    average = extract(encoder.encoder, images)
    assert (features - average).abs().max() > 1e-3  # the map weighs
    probe = fit_linear(features, labels, 3, strength=1.0)
    maps = class_maps(encoder, probe, images, labels)
    assert maps.shape == (24, 3, 3) and (maps >= 0).all() and maps.max() > 0
    assert torch.equal(extract(pickle.loads(pickle.dumps(encoder)), images), features)


def test_the_map_of_the_branch_is_the_one_that_pools_and_leaves_the_mode_alone():
    method = rationale().train()
    method.head.eval()
    images = pictures().float() / 255
    before = {name: value.clone() for name, value in method.state_dict().items()}
    maps = method.branch_map(images)
    assert maps.shape == (COUNT, 3, 3) and maps.min() >= 0 and maps.max() == 1
    assert method.branch.training and not method.head.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    encoder = method.evaluated().eval()
    pooled = attention_pool(encoder.feature_map(images), maps)
    assert torch.allclose(encoder(images), pooled, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"kernels": 0}, "kernels=0"),
        ({"weight": -1.0}, "weight=-1.0"),
        ({"softness": 0.0}, "softness=0.0"),
        ({"target": "bird"}, "target='bird'"),
        ({"align": "l1"}, "align='l1'"),
        ({"sign": "score"}, "sign='score'"),
        ({"target": "foreground"}, "`truth` goes with"),
        ({"truth": torch.zeros(8, 4, 4)}, "`truth` goes with"),
        ({"target": "foreground", "truth": torch.full((8, 4, 4), 255.0)}, r"in \[0, 1\]"),
        ({"paper_code": True, "align": "mse"}, "paper_code=True"),
    ],
)
def test_mistakes_are_refused_at_construction(fields: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        rationale(**fields)
