"""Every preset against the published numbers, written out once more; a slip of one digit is a failed test."""

from __future__ import annotations

from dataclasses import fields

import pytest

from fgssl_edu.views.presets import VIEWS, ViewPreset, named

FULL, FIFTH, SIGMA = (0.08, 1.0), (0.2, 1.0), (0.1, 2.0)
NONE = (0, 0, 0, 0)
SQUARE, UNMIRRORED = ("context_encoder", "jigsaw", "context"), ("upright", "jigsaw", "context")
STRONG, WEAK, BYOL = (0.8, 0.8, 0.8, 0.2), (0.4, 0.4, 0.4, 0.1), (0.4, 0.4, 0.2, 0.1)
# crop area; brightness, contrast, saturation, hue; their probability; grey; blur; solarise
PUBLISHED = {
    "simclr": (FULL, STRONG, 0.8, 0.2, 0.5, 0),
    "simclr_cifar": (FULL, WEAK, 0.8, 0.2, 0, 0),
    "simcore": (FIFTH, STRONG, 0.8, 0.2, 0, 0),
    "swav": ((0.14, 1.0), STRONG, 0.8, 0.2, 0.5, 0),
    "moco_v1": (FIFTH, (0.4, 0.4, 0.4, 0.4), 1.0, 0.2, 0, 0),
    "moco_v2": (FIFTH, WEAK, 0.8, 0.2, 0.5, 0),
    "byol_a": (FULL, BYOL, 0.8, 0.2, 1.0, 0),
    "byol_b": (FULL, BYOL, 0.8, 0.2, 0.1, 0.2),
    "dino_global_1": ((0.4, 1.0), BYOL, 0.8, 0.2, 1.0, 0),
    "dino_global_2": ((0.4, 1.0), BYOL, 0.8, 0.2, 0.1, 0.2),
    "dino_local": ((0.05, 0.4), BYOL, 0.8, 0.2, 0.5, 0),
    "dino_alone_1": ((0.14, 1.0), BYOL, 0.8, 0.2, 1.0, 0),
    "dino_alone_2": ((0.14, 1.0), BYOL, 0.8, 0.2, 0.1, 0.2),
    "ibot_global_1": ((0.25, 1.0), BYOL, 0.8, 0.2, 1.0, 0),
    "ibot_global_2": ((0.25, 1.0), BYOL, 0.8, 0.2, 0.1, 0.2),
    "ibot_local": ((0.05, 0.25), BYOL, 0.8, 0.2, 0.5, 0),
    "vicreg": (FULL, BYOL, 0.8, 0.2, 0.5, 0.1),
    "rotnet": (FULL, NONE, 0, 0, 0, 0),
    "context_encoder": ((0.13, 0.13), NONE, 0, 0, 0, 0),
    "jigsaw": ((0.77, 0.78), NONE, 0, 0, 0, 0),
    "context": ((1.0, 1.0), NONE, 0, 0, 0, 0),
    "mae": (FIFTH, (0, 0, 0, 0), 0, 0, 0, 0),
    "simmim": ((0.67, 1.0), (0, 0, 0, 0), 0, 0, 0, 0),
    "beit": (FULL, (0.4, 0.4, 0.4, 0), 1.0, 0, 0, 0),
    "solo_cifar": (FULL, STRONG, 0.8, 0.2, 0.5, 0),
    "solo_cifar_weak": (FULL, WEAK, 0.8, 0.2, 0.5, 0),
    "solo_cifar_1": (FULL, BYOL, 0.8, 0.2, 0, 0),
    "solo_cifar_2": (FULL, BYOL, 0.8, 0.2, 0, 0.2),
}
OURS = dict.fromkeys(("mild", "upright"), ((0.4, 1.0), (0.4, 0.4, 0.3, 0.04), 0.8, 0.1, 0, 0))


@pytest.mark.parametrize("name", VIEWS)
def test_a_preset_has_the_published_numbers(name: str):
    crop, colours, jitter, gray, blur, solarize = {**PUBLISHED, **OURS}[name]
    expected = ViewPreset(
        name,
        VIEWS[name].source,
        crop,
        (1.0, 1.0) if name in SQUARE else (3 / 4, 4 / 3),
        0.0 if name in UNMIRRORED else 0.5,
        *colours,
        jitter,
        gray,
        blur,
        SIGMA,
        solarize,
        jitter_after_gray=name == "moco_v1",
    )
    differing = [
        field.name for field in fields(expected) if getattr(expected, field.name) != getattr(VIEWS[name], field.name)
    ]
    assert differing == []


def test_every_preset_of_the_table_is_there_and_two_sources_are_never_the_same():
    assert set(VIEWS) == {*PUBLISHED, *OURS}
    assert len({preset.source for preset in VIEWS.values()}) == len(VIEWS)


def test_views_of_several_kinds_are_named_together_and_a_mistyped_one_is_told_the_names():
    assert named("byol_a+byol_b") == (VIEWS["byol_a"], VIEWS["byol_b"]) and named("mae") == (VIEWS["mae"],)
    with pytest.raises(ValueError, match=r"views='byol_a\+byol_c' \(did you mean 'byol_.'\?\) should be one of mild"):
        named("byol_a+byol_c")
