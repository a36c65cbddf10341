"""One run's settings: what each means, its value at each scale and in each lesson, and where a value came from.

A notebook's parameters are fields of `Settings`. What a run does not give is taken from the arm that it names, from the
lesson at its scale, from the scale, or else is the field's default; `resolve` says for each value which it was.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import reprlib
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from fgssl_edu.scales import LESSONS, SCALES

# Names and ranges that can be checked before anything heavy is imported. Methods, views and encoders are checked by
# name where they are defined.
CHOICES: dict[str, tuple[str, ...]] = {
    "scale": ("ci", "lecture", "full"),
    "optimizer": ("adamw", "sgd", "lars"),
    "lr_schedule": ("cosine", "steps"),
    "init": ("random", "imagenet", "birds"),
    "target": ("gradcam", "foreground", "discriminative", "uniform"),
    "decoder": ("learned", "renderer", "nearest", "identity"),
    "probe": ("none", "eccv24", "lcr", "simcore"),
    "precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    "accelerator": ("auto", "cpu", "cuda", "mps"),
    "norm": ("batch", "group"),
}
# Settings of the machine, which no notebook declares: FGSSL_DEVICES=2 and so on, or `fgssl run -p devices=2`.
OF_THE_MACHINE = ("devices", "nodes", "precision", "accelerator", "norm")
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "steps": (1, 10**8),
    "batch": (2, 10**6),  # a contrast needs two images
    "lr": (1e-8, 1000.0),
    "weight_decay": (0.0, 10.0),
    "momentum": (0.0, 0.9999),
    "warmup": (0, 10**7),
    "temperature": (1e-3, 100.0),
    "strength": (0.0, 2.0),
    "queue": (1, 10**7),
    "ema": (0.0, 1.0),
    "image_size": (16, 1024),
    "crop_size": (16, 1024),
    "eval_size": (16, 1024),
    "train_images": (2, 10**8),
    "test_images": (1, 10**8),
    "background": (0.0, 1.0),
    "pose": (0.0, 1.0),
    "correlation": (0.0, 1.0),
    "species": (2, 200),  # as many as the rendered birds can be told apart
    "devices": (1, 1024),
    "nodes": (1, 1024),
    "checkpoint_every": (1, 10**7),
    "neighbours": (1, 10**6),
    "finetune_epochs": (0, 10**5),
    "kernels": (1, 4096),
    "decoder_steps": (0, 10**8),
    "alpha": (0.0, 1000.0),
    "nu": (0.0, 1000.0),
    "sigma_cam": (0.0, 100.0),
    "sigma_var": (0.0, 100.0),
    "threshold": (0.0, 100.0),
    "target_images": (2, 10**8),
    "open_images": (2, 10**10),
    "budget": (1e-6, 1.0),
    "centroids": (1, 10**6),
    "tau": (1e-3, 1.0),
    "permutations": (2, 362880),
    "gap": (0, 64),
    "hole": (0.01, 0.9),
    "prototypes": (2, 10**6),
    "local_views": (0, 16),
    "mask_ratio": (0.05, 0.95),
    "crops": (2, 10**8),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of one run; each may be injected into a notebook under its own name."""

    scale: str = "lecture"  # ci: does it run; lecture: is the effect there, on a laptop; full: the paper's setting
    dataset: str = "birds"  # birds (rendered), a catalogued name such as cub200, or folder:PATH
    seed: int = 0  # of initial weights, order and views; rendered birds and draws of the scores are the same for all
    method: str = "simclr"  # an arm of the lesson, a name in fgssl_edu.runs.arms.ARMS
    steps: int = 300  # optimiser updates
    batch: int = 128  # images an update, summed over devices; more negatives for SimCLR, and more memory
    lr: float = 2e-3  # peak learning rate; lower it if the loss is NaN or jumps
    optimizer: str = "adamw"  # adamw for short runs; sgd for the papers' long ones, lars where their batch is large
    weight_decay: float = 0.05  # sgd wants about 1e-4, lars 1e-6
    momentum: float = 0.9  # of sgd and lars
    warmup: int = 10  # steps over which lr rises from 0; more where the first steps diverge
    lr_schedule: str = "cosine"  # to 0; steps: a tenth of lr after 60 and after 80 % of the steps, as MoCo v1
    temperature: float = 0.2  # divides cosine similarities; smaller attends to the hardest negatives
    strength: float = 1.0  # of the views' colours and crops: 0 none, 1 as the preset, 2 twice
    views: str = "mild"  # of fgssl_edu.views.presets.VIEWS; "first+second" where views differ in kind
    queue: int = 1024  # keys that MoCo remembers; above half the training images it meets its own copies
    ema: float = 0.99  # of slow copies (MoCo's key encoder, BYOL's target); nearer 1 for longer runs
    encoder: str = "resnet10"  # a name that fgssl_edu.nets.build_encoder knows
    norm: str = "batch"  # of the encoder; group, where no image may depend on its batch, or on several CPU processes
    init: str = "random"  # imagenet: weights on disk, resnet18 or resnet50; birds: shipped, resnet10 or vit_mini
    image_size: int = 64  # px, side of stored images
    crop_size: int = 32  # px, side of training views; cost grows with its square
    eval_size: int = 40  # px, side at which encoders are scored; about 1.2 times crop_size, where objects look as large
    train_images: int = 3000
    test_images: int = 960
    background: float = 1.0  # of rendered birds: 0 plain sky .. 1 textured; plain is easy
    pose: float = 1.0  # of rendered birds: how much they turn and shift; some look left above .5
    correlation: float = 0.0  # of rendered birds: share of training images whose background gives the species away
    species: int = 24  # of rendered birds, four to a genus
    precision: str = "auto"  # auto: bf16-mixed where the device is good at it, else 32-true
    accelerator: str = "auto"
    devices: int = 1  # GPUs a node; several train in processes of their own, never inside a notebook
    nodes: int = 1
    checkpoint_every: int = 100  # steps a killed run may lose
    neighbours: int = 20  # k of the kNN score
    probe: str = "none"  # a paper's linear probe by SGD, beside our own: eccv24, lcr or simcore
    finetune_epochs: int = 0  # of training all weights on the labels, beside the frozen scores; 0 leaves it out
    target: str = "gradcam"  # what the common-rationale branch is fitted to; the others know the truth, or nothing
    kernels: int = 32  # of that branch; fewer see less, and only what many pictures share
    decoder: str = "learned"  # what draws the pairs: learned, renderer (knows the truth), nearest picture, identity
    alpha: float = 1.0  # weight of the decoder's loss, whose gradient reaches the encoder; more wants details kept
    nu: float = 0.5  # weight of the pairs' loss; 0 trains without them
    sigma_cam: float = 0.2  # noise where Grad-CAM is low, in root mean squares of a feature; 0 none, 1 no bird left
    sigma_var: float = 0.2  # noise in dimensions of low variance, in the same unit
    decoder_steps: int = 1000  # updates of the decoder before the first step, where none is shipped
    threshold: float = 0.02  # standard deviation over unit features below which a dimension counts as low-variance
    target_images: int = 480  # X of a coreset: pictures of the kind that is wanted
    open_set: str = "birds_open"  # rendered, folder:PATH with groups, a fetched set, shards:PATH or coreset:LIST
    open_images: int = 6000  # rendered pictures of anything, that a coreset is chosen from
    budget: float = 0.12  # share of the open set that is chosen
    centroids: int = 100  # k, means of X that choose; 1 sees only the average picture
    tau: float = 0.95  # choosing stops where a round falls below this share of the first
    permutations: int = 64  # of a jigsaw's tiles; more are harder to tell by one tile, and cost nothing
    gap: int = 2  # px between neighbouring tiles; without it edges that go on give the answer away
    hole: float = 0.25  # share of the picture's area that inpainting cuts out
    prototypes: int = 128  # cluster centres; a few times the number of classes
    local_views: int = 4  # small crops an image beside the two large ones; 0 switches multi-crop off
    mask_ratio: float = 0.75  # share of a picture's patches that is hidden
    photograph: str = "china"  # the one image: china, flower (scikit-learn's), or the path of a picture
    crops: int = 3000  # pictures made of the one image

    def __post_init__(self) -> None:
        mistakes = _mistakes(asdict(self))
        if mistakes:
            raise ValueError("; ".join(mistakes))
        for field in fields(self):  # lr=1 and lr=1.0 are one setting and must have one key
            if field.type == "float":
                object.__setattr__(self, field.name, float(getattr(self, field.name)))

    def key(self) -> str:
        """12 hex digits over all values: the same for the same settings, on every machine."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Resolved:
    """Settings, and for each field where its value came from."""

    settings: Settings
    sources: dict[str, str]


def resolve(
    slug: str,
    given: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    of_arm: Callable[[str, str, int], Mapping[str, object]] | None = None,
) -> Resolved:
    """Every setting of a run of a lesson, and where each value came from.

    Args:
        slug: the lesson, a key of `LESSONS`.
        given: what the user set, by field name; None counts as not given.
        environment: `FGSSL_SCALE` and `FGSSL_` with a name of `OF_THE_MACHINE` count where `given` does not name them.
        of_arm: (method, scale, the lesson's steps) -> the settings that make a method of the lesson what it is; asked
            when `given` is known to be right.

    Raises:
        ValueError: names every unknown lesson or name, wrong type and value out of range, and what would do instead.
    """
    if slug not in LESSONS:
        raise ValueError(f"no lesson {slug!r}{suggestion(slug, LESSONS)}; lessons are {', '.join(LESSONS)}")
    wanted = {name: value for name, value in given.items() if value is not None}
    mistakes, machine = _mistakes(wanted), of_the_machine(environment)
    mistakes += [f"the environment variable {v}: {m}" for v, each in machine.items() for m in _mistakes(each)]
    named = {"scale": wanted["scale"]} if "scale" in wanted else {"scale": environment.get("FGSSL_SCALE") or "lecture"}
    if "scale" not in wanted and _mistakes(named):
        mistakes.append(f"the environment variable FGSSL_SCALE: {_mistakes(named)[0]}")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    scale = str(named["scale"])
    layers: list[tuple[str, Mapping[str, object]]] = [
        ("FGSSL_SCALE" if environment.get("FGSSL_SCALE") else "default", {"scale": scale}),
        (f"scale {scale}", SCALES[scale]),
        (f"lesson {slug} at {scale}", LESSONS[slug].get(scale, {})),
    ]
    layers += list(machine.items())
    lesson = ChainMap(*(dict(layer) for _, layer in reversed(layers)))
    method = str(wanted.get("method", lesson.get("method", Settings.method)))
    own = of_arm(method, scale, int(str(lesson["steps"]))) if of_arm else {}
    layers += [(f"arm {method}", own), ("given", wanted)]
    values: dict[str, object] = {}
    sources = {field.name: "default" for field in fields(Settings)}
    for source, layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    steps, warmup = values["steps"], values.get("warmup", Settings.warmup)
    if "warmup" not in wanted and warmup > steps:  # type: ignore[operator]  # both are numbers: checked above
        values["warmup"], sources["warmup"] = steps, "at most steps"
    return Resolved(Settings(**values), sources)  # type: ignore[arg-type]  # checked above


def of_the_machine(environment: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Variable -> the setting that it gives: {"FGSSL_DEVICES": {"devices": 2}}; an empty one gives none."""
    found = {f"FGSSL_{name.upper()}": name for name in OF_THE_MACHINE}
    given = {variable: environment[variable] for variable in found if environment.get(variable)}
    return {each: {found[each]: int(text) if text.isdecimal() else text} for each, text in given.items()}


def suggestion(name: str, known: Mapping[str, object] | list[str]) -> str:
    """' (did you mean ...?)' where a known name is close to a mistyped one, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a dict.

    Raises:
        ValueError: a word without `=`, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"-p {text}: write it as -p name=value")
        if name in found:
            raise ValueError(f"-p {name} is given twice: {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _mistakes(values: Mapping[str, object]) -> list[str]:
    """One sentence for each unknown name, wrong type and value out of range; if none, for each contradicting pair."""
    kinds = {field.name: str(field.type) for field in fields(Settings)}
    unknown = [
        f"there is no setting {name!r}{suggestion(name, kinds)}; settings are {', '.join(kinds)}"
        for name in values
        if name not in kinds
    ]
    wrong = [_mistake(name, kinds[name], value) for name, value in values.items() if name in kinds]
    found = unknown + [sentence for sentence in wrong if sentence]
    return found or _contradictions(values)


def _mistake(name: str, kind: str, value: object) -> str | None:
    allowed = {"int": (int,), "float": (int, float), "str": (str,)}[kind]
    if isinstance(value, bool) or not isinstance(value, allowed):
        wanted = {"int": "a whole number", "float": "a number", "str": "text"}[kind]
        return f"{name}={reprlib.repr(value)} is of type {type(value).__name__}; it should be {wanted} ({kind})"
    if name in CHOICES and value not in CHOICES[name]:
        options = list(CHOICES[name])
        return f"{name}={value!r}{suggestion(str(value), options)} should be one of {', '.join(options)}"
    if name in RANGES:
        low, high = RANGES[name]
        if not low <= value <= high:  # type: ignore[operator]  # a number: checked above; NaN fails this comparison too
            return f"{name}={value!r} is out of range; it should be {low:,} to {high:,}"
    if value == "":
        return f"{name} is empty; leave it out to take the lesson's value"
    return None


def _contradictions(values: Mapping[str, object]) -> list[str]:
    """Pairs of settings that cannot both hold; checked only where both are known."""
    found = []
    batch, images, steps = (values.get(name) for name in ("batch", "train_images", "steps"))
    if isinstance(batch, int) and isinstance(images, int) and batch > images:
        found.append(f"batch={batch} is more than train_images={images}; lower batch or raise train_images")
    devices, nodes = values.get("devices", 1), values.get("nodes", 1)
    if isinstance(batch, int) and isinstance(devices, int) and isinstance(nodes, int) and batch % (devices * nodes):
        found.append(f"batch={batch} does not divide by devices x nodes = {devices * nodes}; choose a multiple")
    warmup = values.get("warmup")
    if isinstance(warmup, int) and isinstance(steps, int) and warmup > steps:
        found.append(f"warmup={warmup} is more than steps={steps}; lower warmup or raise steps")
    return found
