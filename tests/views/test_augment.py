from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from fgssl_edu import views
from fgssl_edu.views import VIEWS, Augment

EXACT = 5e-6  # float32 through up to nine operations


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


INDEX = torch.arange(40)
EVERYTHING = replace(VIEWS["byol_b"], blur=0.5, solarize=0.5, hue=0.2)


@pytest.mark.parametrize("preset", [EVERYTHING, VIEWS["moco_v1"]], ids=["byol order", "gray before jitter"])
def test_views_are_the_tested_operations_one_after_the_other(images: Tensor, preset: views.ViewPreset) -> None:
    augment = Augment(preset, 24)
    drawn = augment.parameters(images, 0, 0, INDEX, "view0")
    ours = augment.apply(images, drawn)
    for i, image in enumerate(views.as_float(images)):
        values = {name: value[i] for name, value in drawn.items()}
        box = [int(edge) for edge in values["box"]]
        image = reference.resized_crop(image, *box, [24, 24], antialias=True)
        image = reference.horizontal_flip(image) if values["flip"] else image
        if preset.jitter_after_gray and values["gray"]:
            image = reference.rgb_to_grayscale(image, num_output_channels=3)
        for name in ("brightness", "contrast", "saturation", "hue"):
            image = getattr(reference, f"adjust_{name}")(image, values[name].item())
        if not preset.jitter_after_gray and values["gray"]:
            image = reference.rgb_to_grayscale(image, num_output_channels=3)
        if values.get("blur"):
            image = reference.gaussian_blur(image, [augment.kernel] * 2, [values["sigma"].item()] * 2)
        if values.get("solarize"):
            near = (image - 0.5).abs() < EXACT  # a rounding decides on which side of the threshold
            image = torch.where(near, ours[i], reference.solarize(image, 0.5))
        torch.testing.assert_close(ours[i], image, rtol=0, atol=EXACT)


def test_an_image_gets_the_same_view_in_any_batch_and_order(images: Tensor) -> None:
    augment = Augment(EVERYTHING, 24)
    whole = augment(images, 3, 7, INDEX, "view0")
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))[:11]
    part = augment(images[order], 3, 7, INDEX[order], "view0")
    torch.testing.assert_close(part, whole[order], rtol=0, atol=1e-6)  # matrix products may round otherwise


def test_purpose_step_seed_and_index_each_change_the_view_and_the_global_generator_does_not(images: Tensor) -> None:
    augment = Augment(VIEWS["mild"], 24)
    state = torch.random.get_rng_state()
    one = augment(images, 0, 0, INDEX, "view0")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(augment(images, 0, 0, INDEX, "view0"), one)
    for other in [(0, 0, INDEX, "view1"), (0, 1, INDEX, "view0"), (1, 0, INDEX, "view0"), (0, 0, INDEX + 1, "view0")]:
        changed = (augment(images, *other) - one).abs().flatten(1).max(dim=1).values > 0.01
        assert changed.float().mean() > 0.9


def test_a_stage_switched_on_does_not_move_the_other_draws(images: Tensor) -> None:
    plain = Augment(VIEWS["mild"], 24).parameters(images, 0, 0, INDEX, "view0")
    more = Augment(replace(VIEWS["mild"], blur=0.5, solarize=0.5), 24).parameters(images, 0, 0, INDEX, "view0")
    assert set(more) - set(plain) == {"blur", "sigma", "solarize"}
    assert all(torch.equal(plain[name], more[name]) for name in plain)


def test_boxes_follow_the_law_of_torchvisions_random_resized_crop() -> None:
    preset, count = replace(VIEWS["simclr"], crop=(0.2, 1.0)), 4000
    one = torch.zeros(1, 3, 48, 48, dtype=torch.uint8).expand(count, 3, 48, 48)
    ours = Augment(preset, 24).parameters(one, 0, 0, torch.arange(count), "view0")["box"]
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(24, scale=preset.crop, ratio=preset.ratio)
    drawn = [crop.make_params([one[0]]) for _ in range(count)]
    theirs = torch.tensor([[d["top"], d["left"], d["height"], d["width"]] for d in drawn], dtype=torch.float32)
    for quantity in (lambda box: box, lambda box: box[:, 2:].prod(dim=1, keepdim=True) / 48**2):
        a, b = quantity(ours), quantity(theirs)
        error = ((a.var(dim=0) + b.var(dim=0)) / count).sqrt()
        assert ((a.mean(dim=0) - b.mean(dim=0)).abs() < 4 * error).all()  # 4 standard errors
        torch.testing.assert_close(a.std(dim=0), b.std(dim=0), rtol=0.06, atol=0)  # 1 % expected at 4000 draws
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= 48).all() and (ours[:, 2:] >= 1).all()


def test_every_place_that_a_box_can_take_is_equally_likely() -> None:
    count, quarter = 3000, replace(VIEWS["mild"], crop=(0.25, 0.25), ratio=(1.0, 1.0))
    one = torch.zeros(1, 3, 4, 4, dtype=torch.uint8).expand(count, 3, 4, 4)
    box = Augment(quarter, 2).parameters(one, 0, 0, torch.arange(count), "v")["box"]
    assert (box[:, 2:] == 2).all()
    places = torch.bincount((3 * box[:, 0] + box[:, 1]).long(), minlength=9) / count
    assert (places - 1 / 9).abs().max() < 4 * (1 / 9 * 8 / 9 / count) ** 0.5  # 4 standard errors


def test_shares_and_ranges_of_the_other_draws() -> None:
    count, preset = 4000, EVERYTHING
    one = torch.zeros(1, 3, 8, 8, dtype=torch.uint8).expand(count, 3, 8, 8)
    drawn = Augment(preset, 8).parameters(one, 0, 0, torch.arange(count), "view0")
    for name, share in [("flip", 0.5), ("gray", 0.2), ("blur", 0.5), ("solarize", 0.5)]:
        assert abs(drawn[name].float().mean().item() - share) < 4 * (share * (1 - share) / count) ** 0.5
    jittered = drawn["hue"] != 0
    assert abs(jittered.float().mean().item() - preset.jitter) < 0.03
    assert (drawn["brightness"][~jittered] == 1).all()
    for name in ("brightness", "contrast", "saturation"):
        strength, factor = getattr(preset, name), drawn[name]
        assert 1 - strength <= factor.min() < 1 - 0.9 * strength and 1 + 0.9 * strength < factor.max() <= 1 + strength
    assert drawn["hue"].abs().max() <= preset.hue
    assert preset.sigma[0] <= drawn["sigma"].min() and drawn["sigma"].max() <= preset.sigma[1]


def test_a_picture_where_no_box_fits_is_taken_whole() -> None:
    tall = torch.zeros(5, 3, 64, 4, dtype=torch.uint8)
    box = Augment(replace(VIEWS["mild"], crop=(1.0, 1.0)), 8).parameters(tall, 0, 0, torch.arange(5), "v")["box"]
    assert box.tolist() == [[0, 0, 64, 4]] * 5


def test_strength_0_is_the_picture_itself_and_every_strength_grows_with_the_knob(images: Tensor) -> None:
    for preset in VIEWS.values():
        still = Augment(views.scaled(preset, 0), 32)(images, 0, 0, INDEX, "view0")
        torch.testing.assert_close(still, views.as_float(images), rtol=0, atol=1e-6)
        assert views.scaled(preset, 1) is preset
        knobs = [views.scaled(preset, strength) for strength in (0, 0.3, 0.8, 1, 1.5, 2)]
        for name in ("flip", "brightness", "contrast", "saturation", "hue", "gray", "blur", "solarize"):
            values = [getattr(knob, name) for knob in knobs]
            assert values == sorted(values), name
            assert max(values[:4]) <= getattr(preset, name)
        lows = [knob.crop[0] for knob in knobs]
        assert lows == sorted(lows, reverse=True) and knobs[-1].crop == preset.crop
    assert views.scaled(VIEWS["mild"], 2).brightness == 0.8


@pytest.mark.parametrize("strength", [-0.1, 2.1])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=str(strength)):
        views.scaled(VIEWS["mild"], strength)


def test_every_preset_names_itself_and_its_source_and_gives_finite_views(images: Tensor) -> None:
    for name, preset in VIEWS.items():
        assert preset.name == name and len(preset.source) > 10
        view = Augment(preset, 16)(images, 0, 0, INDEX, "view0")
        assert view.shape == (40, 3, 16, 16) and view.dtype == torch.float32
        assert view.min() >= -1e-6 and view.max() <= 1 + 1e-6 and view.isfinite().all()


def test_blocks_on_a_cpu_do_not_change_the_views(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    augment = Augment(EVERYTHING, 24)
    whole = augment(images, 0, 0, INDEX, "view0")
    monkeypatch.setattr("fgssl_edu.views.augment.CACHE_PIXELS", 7 * 32 * 32)  # 40 images: five blocks of 7 and one of 5
    torch.testing.assert_close(augment(images, 0, 0, INDEX, "view0"), whole, rtol=0, atol=1e-6)


def test_autocast_around_does_not_coarsen_the_views(images: Tensor) -> None:
    augment = Augment(EVERYTHING, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augment(images, 0, 0, INDEX, "view0")
    assert torch.equal(inside, augment(images, 0, 0, INDEX, "view0"))
