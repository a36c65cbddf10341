"""How strong the views of each method are, with the source of every number, and one knob that turns them all.

Order in every preset: crop, flip, jitter, grey, blur, solarise (MoCo v1 greys first). Jitter runs brightness, contrast,
saturation, hue. Deviation: torchvision draws the order of these four anew for each image; a fixed order lets the whole
batch be computed at once. Deviation: MAE and BEiT resize bicubically; here all views are bilinear with antialiasing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fgssl_edu.config import suggestion

STRONGEST = 2.0  # of the knob: twice the preset's colour strengths
HUE_LIMIT = 0.5  # half a turn of the colour circle is as far as hue goes
SQUARE = (1.0, 1.0)
JOIN = "+"  # between the names of presets, where the views of a picture are not all alike


@dataclass(frozen=True)
class ViewPreset:
    """Strengths of one kind of view; shares and probabilities are 0..1."""

    name: str
    source: str
    crop: tuple[float, float] = (0.08, 1.0)  # share of the picture's area
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width over height
    flip: float = 0.5  # probability
    brightness: float = 0.0  # factors are drawn from 1 - x to 1 + x
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # turns of the colour circle, -x to x
    jitter: float = 0.0  # probability of the four above
    gray: float = 0.0  # probability
    blur: float = 0.0  # probability; switch it off below 64 px, where it is a no-op or too strong
    sigma: tuple[float, float] = (0.1, 2.0)  # pixels
    solarize: float = 0.0  # probability
    jitter_after_gray: bool = False


SIMCLR = ViewPreset(
    "simclr",
    "google-research/simclr data_util, colour strength 1",
    brightness=0.8,
    contrast=0.8,
    saturation=0.8,
    hue=0.2,
    jitter=0.8,
    gray=0.2,
    blur=0.5,
)
BYOL_A = ViewPreset(
    "byol_a",
    "BYOL, arXiv 2006.07733, table 6, view 1; the same in barlowtwins, vicreg and moco-v3",
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    jitter=0.8,
    gray=0.2,
    blur=1.0,
)
BYOL_B = replace(BYOL_A, name="byol_b", source=BYOL_A.source.replace("view 1", "view 2"), blur=0.1, solarize=0.2)
DINO, IBOT = "facebookresearch/dino, multi-crop", "bytedance/ibot README, ResNet-50 and long ViT runs"
SOLO = "vturrisi/solo-learn, CIFAR"
MOCO_V2 = ViewPreset(
    "moco_v2",
    "facebookresearch/moco --aug-plus; SimSiam and LCR use the same",
    crop=(0.2, 1.0),
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    jitter=0.8,
    gray=0.2,
    blur=0.5,
)
MILD = ViewPreset(
    "mild",
    "ours (measured): on 64-px birds colour is class evidence; jitter .6/.6/.6/.15 takes kNN from 17 to 7",
    crop=(0.4, 1.0),
    brightness=0.4,
    contrast=0.4,
    saturation=0.3,
    hue=0.04,
    jitter=0.8,
    gray=0.1,
)

_PRESETS = (
    MILD,
    replace(MILD, name="upright", source="mild without flips, for birds that all look right", flip=0.0),
    SIMCLR,
    replace(
        SIMCLR,
        name="simclr_cifar",
        source="google-research/simclr README, CIFAR: colour strength .5, no blur",
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        blur=0.0,
    ),
    replace(SIMCLR, name="simcore", source="sungnyun/openssl-simcore, SimCLR", crop=(0.2, 1.0), blur=0.0),
    replace(SIMCLR, name="swav", source="facebookresearch/swav, large views; DeepCluster-v2 too", crop=(0.14, 1.0)),
    replace(
        MOCO_V2,
        name="moco_v1",
        source="facebookresearch/moco, default",
        hue=0.4,
        jitter=1.0,
        blur=0.0,
        jitter_after_gray=True,
    ),
    MOCO_V2,
    BYOL_A,
    BYOL_B,
    replace(BYOL_A, name="dino_global_1", source=f"{DINO}, global view 1", crop=(0.4, 1.0)),
    replace(BYOL_B, name="dino_global_2", source=f"{DINO}, global view 2", crop=(0.4, 1.0)),
    replace(BYOL_A, name="dino_local", source=f"{DINO}, local views", crop=(0.05, 0.4), blur=0.5),
    replace(BYOL_A, name="dino_alone_1", source=f"{DINO} off, view 1", crop=(0.14, 1.0)),
    replace(BYOL_B, name="dino_alone_2", source=f"{DINO} off, view 2", crop=(0.14, 1.0)),
    replace(BYOL_A, name="ibot_global_1", source=f"{IBOT}, global view 1", crop=(0.25, 1.0)),
    replace(BYOL_B, name="ibot_global_2", source=f"{IBOT}, global view 2", crop=(0.25, 1.0)),
    replace(BYOL_A, name="ibot_local", source=f"{IBOT}, 10 local views", crop=(0.05, 0.25), blur=0.5),
    replace(SIMCLR, name="solo_cifar", source=f"{SOLO}, symmetric: SimCLR"),
    replace(MOCO_V2, name="solo_cifar_weak", source=f"{SOLO}, symmetric_weak: MoCo v2+, SimSiam", crop=(0.08, 1.0)),
    replace(BYOL_A, name="solo_cifar_1", source=f"{SOLO}, asymmetric, view 1: BYOL, Barlow Twins, DINO", blur=0.0),
    replace(BYOL_B, name="solo_cifar_2", source=f"{SOLO}, asymmetric, view 2: BYOL, Barlow Twins, DINO", blur=0.0),
    replace(BYOL_A, name="vicreg", source="lightly VICRegTransform (symmetric)", blur=0.5, solarize=0.1),
    ViewPreset("rotnet", "gidariss/FeatureLearningRotNet, ImageNet_RotNet_AlexNet"),
    # 128 of 350 px
    ViewPreset("context_encoder", "pathak22/context-encoder, train.lua", crop=(0.13, 0.13), ratio=SQUARE),
    # 225 of 256 px, not mirrored
    ViewPreset("jigsaw", "arXiv 1603.09246, section 4", crop=(0.77, 0.78), ratio=SQUARE, flip=0.0),
    ViewPreset("context", "arXiv 1505.05192, section 3", crop=(1.0, 1.0), ratio=SQUARE, flip=0.0),
    ViewPreset("mae", "facebookresearch/mae (bicubic there)", crop=(0.2, 1.0)),
    ViewPreset("simmim", "microsoft/SimMIM", crop=(0.67, 1.0)),
    ViewPreset(
        "beit", "microsoft/unilm beit (bicubic there)", brightness=0.4, contrast=0.4, saturation=0.4, jitter=1.0
    ),
)
VIEWS: dict[str, ViewPreset] = {preset.name: preset for preset in _PRESETS}


def named(views: str) -> tuple[ViewPreset, ...]:
    """The presets that a setting names: one, or "first+second", or "large+other large+small"; ValueError if unknown."""
    names = views.split(JOIN)
    if unknown := [name for name in names if name not in VIEWS]:
        raise ValueError(f"views={views!r}{suggestion(unknown[0], list(VIEWS))} should be one of {', '.join(VIEWS)}")
    return tuple(VIEWS[name] for name in names)


def scaled(preset: ViewPreset, strength: float) -> ViewPreset:
    """Turn one knob over a whole preset; every strength grows with it.

    Args:
        preset: what strength 1 means.
        strength: 0 shows the whole picture unchanged; up to 1 everything grows in proportion; from 1 to 2 the colour
            strengths go on to twice the preset's while crop, flip, blur and solarise stay.
    """
    if not 0 <= strength <= STRONGEST:
        raise ValueError(f"strength={strength} must be in [0, {STRONGEST:g}]: 0 is the picture itself, 1 the preset")
    if strength == 1:
        return preset
    share = min(strength, 1.0)
    low, high = (area + (1 - share) * (1 - area) for area in preset.crop)
    return replace(
        preset,
        crop=(low, high),
        ratio=(preset.ratio[0] ** share, preset.ratio[1] ** share),
        flip=preset.flip * share,
        brightness=preset.brightness * strength,
        contrast=preset.contrast * strength,
        saturation=preset.saturation * strength,
        hue=min(preset.hue * strength, HUE_LIMIT),
        gray=min(preset.gray * strength, 1.0),
        blur=preset.blur * share,
        solarize=preset.solarize * share,
    )
