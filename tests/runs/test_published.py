"""At scale full every arm is what its paper prints: fields, recipe and views; what is not is called so."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from fgssl_edu import config
from fgssl_edu.methods import PRESETS
from fgssl_edu.runs import arms, experiment, likeness, parameters
from fgssl_edu.views.presets import VIEWS, named

TRAINED = [(slug, name) for slug, each in arms.ARMS.items() for name, arm in each.items() if arm.method is not None]
# optimiser, rate, weight decay, momentum, batch: once more from the papers and their code, for the batch of one GPU
PRINTED = {
    "byol": ("lars", 0.2, 1.5e-6, 0.9, 256),
    "simsiam": ("sgd", 0.05, 1e-4, 0.9, 256),
    "barlow": ("lars", 0.2, 1e-6, 0.9, 256),
    "vicreg": ("lars", 0.2, 1e-6, 0.9, 256),
    "simclr": ("lars", 0.3, 1e-6, 0.9, 256),
    "moco": ("sgd", 0.03, 1e-4, 0.9, 256),
    "moco_cub": ("sgd", 0.03, 1e-4, 0.9, 128),
    "simsiam_cub": ("sgd", 0.05, 1e-4, 0.9, 128),
    "rationale": ("sgd", 0.03, 1e-4, 0.9, 128),
    "pairs": ("sgd", 0.03, 1e-4, 0.9, 128),
    "swav": ("lars", 0.6, 1e-6, 0.9, 256),
    "sela": ("sgd", 0.08, 1e-5, 0.9, 256),
    "deepcluster": ("lars", 0.3, 1e-6, 0.9, 256),
    "dino": ("adamw", 5e-4, 0.04, 0.9, 256),
    "mae": ("adamw", 1.5e-4, 0.05, 0.9, 256),
    "simmim": ("adamw", 5e-5, 0.05, 0.9, 256),
    "rotation": ("sgd", 0.01, 5e-4, 0.9, 192),
    "jigsaw": ("sgd", 0.01, 5e-4, 0.9, 256),
    "inpainting": ("adamw", 2e-3, 0.0, 0.9, 64),
    "colorization": ("adamw", 3e-5, 1e-3, 0.9, 256),
    "simcore": ("sgd", 0.1, 1e-4, 0.9, 512),
}
VIEW = ("views", "other_views")
# The fields of its paper that an arm changes, for it is about them; DINO's momentum is the code's for this batch
ABOUT = {
    "moco_ema_0": {"ema"},
    "moco_queue_128": {"queue"},
    **dict.fromkeys(("strength_0", "strength_0.25", "strength_0.5", "strength_2"), {"views"}),
    **dict.fromkeys(("crop_only", "colour_only"), {"views"}),
    **dict.fromkeys(("tau_0.05", "tau_1"), {"temperature"}),
    "no_head": {"head"},
    **dict.fromkeys(("rotation_2", "rotation_8"), {"angles"}),
    "jigsaw_open": {"gap"},
    "jigsaw_few": {"permutations"},
    **dict.fromkeys(("hole_small", "hole_large"), {"hole"}),
    "random_place": {"place"},
    "barlow_no_redundancy": {"redundancy"},
    "vicreg_no_variance": {"variance"},
    **dict.fromkeys(("swav_no_multicrop", "swav_fewer_steps", "deepcluster"), {"local_views"}),
    **dict.fromkeys(("dino", "dino_sinkhorn", "dino_no_centring", "dino_vit"), {"ema"}),
    **dict.fromkeys(("dino_x", "dino_open", "dino_stop"), {"ema"}),
    "dino_no_multicrop": {"ema", "local_views", "views"},
    "dino_no_sharpening": {"ema", "teacher_temperature"},
    **dict.fromkeys(("mae_ratio_0.25", "mae_ratio_0.9"), {"mask_ratio"}),
    "mae_raw": {"normalize"},
    **dict.fromkeys(("pairs_strong", "pairs_corrected"), {"sigma_cam", "sigma_var"}),
}
PAPERS_OWN = {(slug, "moco") for slug in ("coarse-bias", "common-rationale", "synthesised-pairs")}
PAPERS_OWN |= {("synthesised-pairs", "simsiam"), ("common-rationale", "simsiam"), ("scoreboard", "moco")}


def settled(slug: str, name: str, **given: object) -> config.Settings:
    """An arm at full, with the data and the weights that the scale names."""
    of_arm = partial(parameters.changed, slug)
    return config.resolve(slug, {"scale": "full", "method": name, **given}, {}, of_arm).settings


def published_views(value: object, other: object) -> list[object]:
    names = [value] if isinstance(value, str) else [*value]  # type: ignore[misc]
    return [VIEWS[each] for each in [*names, *([other] if other else [])]]


@pytest.mark.parametrize(("slug", "name"), TRAINED)
def test_at_full_an_arm_has_the_fields_of_its_paper_but_for_what_it_is_about(slug: str, name: str):
    arm, settings = arms.ARMS[slug][name], settled(slug, name)
    known = {field: value for field, (value, _) in PRESETS[arm.method].get(arm.paper().preset, {}).items()}
    fields = arms.fields_of(arm, settings) | {"decoder_size": settings.eval_size}
    changed = {field for field, value in known.items() if field not in VIEW and fields[field] != value}
    if "views" in known:
        views = arms.view_presets(arm, settings)
        changed |= {"views"} if views != published_views(known["views"], known.get("other_views")) else set()
    assert changed == (ABOUT.get(name, set()) if (slug, name) != ("rotation", "colour") else {"views"})


@pytest.mark.parametrize(("slug", "name"), TRAINED)
def test_at_full_an_arm_trains_as_its_paper_and_nothing_tuned_for_the_lecture_is_left(slug: str, name: str):
    arm, settings = arms.ARMS[slug][name], settled(slug, name)
    found = (settings.optimizer, settings.lr, settings.weight_decay, settings.momentum, settings.batch)
    printed = PRINTED.get(arm.published or str(arm.method))
    if printed is not None and name != "batch_32":
        assert found == printed
    alone = arm.at("full")
    assert alone.longer == 1.0 and not alone.tuned and alone.at("full") == alone
    assert arms.arm_settings(arm, config.resolve(slug, {"scale": "full"}, {}).settings, 0).steps == settings.steps


def test_a_thousand_epochs_of_whole_batches_and_ten_to_warm_up():
    settings = settled("no-negatives", "byol")
    assert (settings.steps, settings.warmup) == (23_000, 230)
    assert settled("coarse-bias", "moco").steps == 4600 and settled("simcore", "simcore").steps == 55_000


@pytest.mark.parametrize(("slug", "name"), TRAINED)
def test_only_the_papers_own_settings_go_without_a_mark(slug: str, name: str):
    found = likeness.differs(arms.ARMS[slug][name], settled(slug, name))
    assert (not found) == ((slug, name) in PAPERS_OWN), found


def test_the_papers_other_data_sets_are_its_own_for_as_many_epochs():
    run = partial(settled, "synthesised-pairs", "moco")
    arm = arms.ARMS["synthesised-pairs"]["moco"]
    assert likeness.differs(arm, run(dataset="cars", steps=6300)) == []  # 100 epochs of 63 batches
    assert likeness.differs(arm, run(dataset="aircraft", steps=5200)) == []
    assert likeness.differs(arm, run(dataset="cars", steps=4600)) == ["4,600 updates for 100 epochs"]
    assert likeness.differs(arm, run(dataset="pets", steps=2800))[0] == "pets for cub200"


def test_what_differs_is_told_in_words():
    arm = arms.ARMS["synthesised-pairs"]["moco"]
    run = partial(settled, "synthesised-pairs", "moco")
    assert likeness.differs(arm, run(temperature=0.5)) == ["temperature 0.5 for 0.2"]
    assert likeness.differs(arm, run(queue=2048)) == ["queue 2,048 for 65,536"]
    assert likeness.differs(arm, run(dataset="birds")) == ["birds for cub200"]
    assert likeness.differs(arm, run(init="random")) == ["random weights for ImageNet weights"]
    assert likeness.differs(arm, run(batch=64)) == ["batch 64 for 128"]
    assert likeness.differs(arm, run(steps=10)) == ["10 updates for 100 epochs"]
    assert likeness.differs(arm, run(strength=0.5)) == ["other views"]
    pairs = likeness.differs(arms.ARMS["synthesised-pairs"]["pairs"], settled("synthesised-pairs", "pairs"))
    assert pairs[0].startswith("alpha, sigma_cam, sigma_var, memory, decoder_size: ours")
    assert likeness.unlike("contrast", config.resolve("contrast", {"scale": "lecture"}, {}).settings) == []


def test_what_the_user_gives_stands_above_an_arm_also_in_the_whole_experiment():
    base = config.resolve("no-negatives", {"scale": "full", "steps": 3, "batch": 8}, {}).settings
    own = arms.arm_settings(arms.ARMS["no-negatives"]["byol"], base, seed=1, given=("steps", "batch"))
    assert (own.steps, own.batch, own.lr, own.warmup, own.seed) == (3, 8, 0.2, 3, 1)


def test_views_of_two_and_three_kinds_reach_their_methods():
    byol, settings = arms.ARMS["no-negatives"]["byol"], settled("no-negatives", "byol", strength=0.5)
    first, second = arms.view_presets(byol, settings)
    assert arms.view_fields(byol, settings) == {"views": first, "other_views": second} and second.solarize == 0.1
    simsiam = arms.ARMS["no-negatives"]["simsiam"]
    assert arms.view_fields(simsiam, settings) == {"views": first}  # takes one kind
    dino = arms.view_fields(arms.ARMS["dino"]["dino"], settled("dino", "dino"))
    assert dino == {"views": [*named("dino_global_1+dino_global_2+dino_local")]}


@pytest.mark.parametrize(
    ("slug", "name"),
    [("no-negatives", "byol"), ("dino", "dino"), ("rotation", "rotation"), ("common-rationale", "lcr_paper")],
)
def test_an_arm_at_full_takes_a_step(slug: str, name: str):
    tiny = {"dataset": "birds", "init": "random", "train_images": 8, "test_images": 2, "species": 8, "image_size": 64}
    settings = settled(slug, name, **tiny, steps=1, batch=4, crop_size=64, accelerator="cpu")
    if slug == "dino":
        settings = dataclasses.replace(settings, prototypes=256, local_views=2)  # the head's size is no matter here
    method, history = experiment.train_arm(arms.ARMS[slug][name], settings, arms.load(settings).train)
    assert history.images == 4 and method.encoder.name == settings.encoder
    assert "size=64" in repr(method) or slug == "dino"  # what is given stands above the paper's side
