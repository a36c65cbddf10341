"""Render what the README shows from the package itself: `python .ci/readme.py` writes, `--check` compares.

The tables come from the shipped records (`fgssl reference`), the picture from the renderer.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import equal_compute

from fgssl_edu import records
from fgssl_edu.runs import scoreboard, tables
from fgssl_edu.runs.arm_tables.scoreboard import MEMBERS
from fgssl_edu.runs.arm_tables.scoreboard import SLUG as BOARD

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / ".github" / "birds.jpg"
GROWTH = ROOT / ".github" / "coreset.png"
REFERENCE = ROOT / "fgssl_edu" / "reference"
ARMS = ("random", "moco", "simclr", "swap", "genus", "supervised")
COLUMNS = {
    "species/knn": "species kNN",
    "species/linear": "species linear",
    "species/map": "species mAP",
    "species/nmi": "species NMI",
    "genus/knn": "genus kNN",
    "genus/linear": "genus linear",
    "genus/map": "genus mAP",
    "genus/nmi": "genus NMI",
    "edit/score": "edit score",
    "attention/discriminative_lift": "attention lift",
    "geometry/effective_rank": "effective rank",
}
PHOTOGRAPH_COLUMNS = {
    "species/knn": "kNN",
    "species/linear": "linear",
    "species/linear_20": "linear, 20 % of the labels",
    "species/map": "mAP",
    "species/nmi": "NMI",
}
FINE = ("common-rationale", "synthesised-pairs", "simcore")
FINE_COLUMNS = {
    "species/knn": "species kNN",
    "species/linear": "species linear",
    "species/map": "species mAP",
    "genus/linear": "genus linear",
    "edit/score": "edit score",
    "attention/discriminative_lift": "attention lift",
    "coreset/precision": "precision",
}
# Records beside a lesson's own: the name of the file after the lesson's and --, and what differs
TRIES = {
    "ten-times": "ten times the steps",
    "longer": "three times the steps",
    "trained-start": "from the shipped start, plainly posed birds",
    "plain": "plainer backgrounds",
}
FINE_PHOTOGRAPHS = {"photographs-birds": "CUB birds, 40 species", "photographs-signs": "GTSRB signs, 43 kinds"}
CONTESTANTS = {
    "ours": "this package: loader, views, step",
    "step": "the step alone, on views already made",
    "torchvision_loader": "torchvision v2 image by image, DataLoader with 2 workers",
    "lightly": "lightly's transform and loss, DataLoader with 2 workers",
}
SOURCES = {
    "memory": "in memory",
    "mapped": "mapped from disk",
    "stream": "streamed from shards",
    "decode": "the same JPEGs decoded, nothing else",
}
RATIOS = {
    "pipeline_to_step": "ours / step alone",
    "to_torchvision_loader": "ours / torchvision",
    "to_lightly": "ours / lightly",
}
START = {"random": "from scratch", "birds": "from the shipped start"}
COLOURS = "f5f5f5 c8c8c8 0072b2 c84600 008060 a4588c e6a000 222222"  # of background, body, tail, crown, ...
SHARES = ("knn", "linear", "linear_20", "map", "nmi", "precision")  # shown in percent


def cell(values: list[float], metric: str) -> str:
    """Mean and half the 95 % interval over seeds."""
    if not values:
        return ""
    scale, digits = (100, 1) if metric.split("/")[1] in SHARES else (1, 3 if metric == "edit/score" else 2)
    if metric == "geometry/effective_rank":
        digits = 0
    if len(values) == 1:
        return f"{scale * values[0]:.{digits}f}"
    mean, low, _ = records.interval(values)
    return f"{scale * mean:.{digits}f} ± {scale * (mean - low):.{digits}f}"


def table(rows: list[list[str]]) -> str:
    """Markdown of a table, its first row the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def birds() -> str:
    """The arms of the lesson `coarse-bias` on rendered birds."""
    record = records.load_reference("coarse-bias")
    rows = [["", *COLUMNS.values()]]
    for arm in ARMS:
        rows.append([tables.title(record, arm), *(cell(tables.values(record, arm, m), m) for m in COLUMNS)])
    return f"{table(rows)}\n\n{protocol(record)}"


def photographs() -> str:
    """Untrained, SimCLR and supervised encoders on three sets of photographs."""
    rows = [["photographs", "arm", *PHOTOGRAPH_COLUMNS.values()]]
    for name, title in scoreboard.PHOTOGRAPHS.items():
        record = records.load_reference(f"photographs-{name}")
        for arm in ("random", "simclr", "supervised"):
            numbers = [cell(tables.values(record, arm, metric), metric) for metric in PHOTOGRAPH_COLUMNS]
            rows.append([title if arm == "random" else "", tables.title(record, arm), *numbers])
    return f"{table(rows)}\n\n{protocol(record)}"


def fine(slug: str) -> str:
    """All arms of a fine-grained lesson, with their cost."""
    record = records.load_reference(slug)
    columns = {metric: title for metric, title in FINE_COLUMNS.items() if measured(record, metric)}
    rows = [["", *columns.values(), "CPU s"]]
    for arm in dict.fromkeys(run["arm"] for run in record["runs"]):
        numbers = [cell(tables.values(record, arm, metric), metric) for metric in columns]
        rows.append([tables.title(record, arm), *numbers, cost(record, arm)])
    return f"{table(rows)}\n\n{protocol(record)} CPU seconds of one run, scoring included."


def measured(record: tables.Record, metric: str) -> bool:
    """Whether any run of a record has a metric."""
    return any(metric in run["metrics"] for run in record["runs"])


def cost(record: tables.Record, arm: str) -> str:
    """Mean CPU seconds of an arm's runs."""
    seconds = [run["cpu_seconds"] for run in record["runs"] if run["arm"] == arm]
    return f"{sum(seconds) / len(seconds):.0f}"


def side_by_side(names: Mapping[str, str], head: str) -> str:
    """The arms of several records beside a lesson's own, one line an arm."""
    shown = ("species/knn", "species/linear", "species/map", "genus/linear", "edit/score", "coreset/precision")
    rows = [["lesson", head, "arm", "seeds", *(FINE_COLUMNS[metric] for metric in shown)]]
    for slug in FINE:
        for name, title in names.items():
            if not (REFERENCE / f"{slug}--{name}.json").is_file():
                continue
            record = records.load_reference(f"{slug}--{name}")
            for arm in dict.fromkeys(run["arm"] for run in record["runs"]):
                numbers = [cell(tables.values(record, arm, metric), metric) for metric in shown]
                seeds = len([run for run in record["runs"] if run["arm"] == arm])
                rows.append([f"`{slug}`", title, tables.title(record, arm), str(seeds), *numbers])
    return table(rows)


def tries() -> str:
    """What could make the published arms work, each tried with one seed."""
    return side_by_side(TRIES, "tried")


def fine_photographs() -> str:
    """The fine-grained lessons on real photographs."""
    return side_by_side(FINE_PHOTOGRAPHS, "photographs")


def coreset() -> str:
    """Seconds and memory of the selection, from the kept output of `fgssl bench coreset --json`."""
    bench = json.loads((ROOT / ".ci" / "bench-coreset.json").read_text(encoding="utf-8"))
    rows = [["open set, budget", "this package, s", "literal, s", "ratio", "this package, MB", "literal, MB"]]
    for size, found in bench["tables"].items():
        for share in ("1%", "5%") if size != "growth" else ():
            seconds = [found["milliseconds"][f"{who}, {share}"]["after"] / 1000 for who in ("ours", "literal")]
            memory = [found["megabytes"][f"{who}, {share}"] for who in ("ours", "literal")]
            ratio = found["ratios"][f"after similarities, {share}"]
            numbers = [*(f"{value:.2g}" for value in seconds), f"{ratio:.0f}", *(f"{value:,.0f}" for value in memory)]
            rows.append([f"{float(size):,.0f} pictures, {share}", *numbers])
    about = "K = 100, D = 128, one thread; CPU seconds after the similarities, memory above the input."
    return f"{table(rows)}\n\n{about}"


def speed() -> str:
    """Images a second of MoCo v2, from the kept output of `fgssl bench train --json`."""
    bench = json.loads((ROOT / ".ci" / "bench-train.json").read_text(encoding="utf-8"))
    rows = [["MoCo v2, images/s", *(f"{name.removeprefix('crop_')} px views" for name in bench["tables"])]]
    for key, title in CONTESTANTS.items():
        rows.append([title, *(f"{crop['images_per_second'][key]:.0f}" for crop in bench["tables"].values())])
    for key, title in RATIOS.items():
        rows.append([title, *(f"{crop['ratios'][key]:.2f}" for crop in bench["tables"].values())])
    about = bench["environment"]
    machine = f"{about['cores']} cores, {about['threads']} thread, {about['device']}"
    return f"{table(rows)}\n\nMedians of rounds that take turns; {machine}."


def stream() -> str:
    """Training from disk, from the kept output of `fgssl bench stream --json`: how fast, and in how much memory."""
    bench = json.loads((ROOT / ".ci" / "bench-stream.json").read_text(encoding="utf-8"))
    sizes = [name for name in bench["tables"] if name.endswith("px")]
    steps = bench["tables"][sizes[0]]["images_per_second"]
    rows = [["images a CPU second", *sizes, f"with the step of MoCo v2, images/s, {sizes[0]}"]]
    for key, title in SOURCES.items():
        rates = [f"{bench['tables'][size]['images_per_cpu_second'][key]:,.0f}" for size in sizes]
        rows.append([title, *rates, f"{steps[f'{key}, step']:,.0f}" if f"{key}, step" in steps else ""])
    growth = bench["tables"]["growth"]
    held = [["pictures streamed", "on disk, MB", "as pixels, MB", "held at most, MB", "images a CPU second"]]
    for size, rate in growth["images_per_cpu_second"].items():
        sizes_of = [growth["megabytes"][f"{size}, {what}"] for what in ("on disk", "as pixels", "held")]
        held.append([f"{float(size):,.0f}", *(f"{value:,.0f}" for value in sizes_of), f"{rate:,.0f}"])
    about = bench["environment"]
    machine = f"{about['cores']} cores, {about['threads']} thread, {about['device']}"
    note = "Above 10,000 the pictures are copies of ten shards of rendered birds, 32 px"
    return f"{table(rows)}\n\n{table(held)}\n\nMedians of rounds that take turns; {machine}. {note}."


def board() -> str:
    """Linear probe and kNN of every method on three sets of photographs, one protocol."""
    photographs = {name: records.load_reference(f"{BOARD}--{name}") for name in scoreboard.PHOTOGRAPHS}
    head = [f"{title}, {metric}" for title in scoreboard.PHOTOGRAPHS.values() for metric in ("linear", "kNN")]
    found: dict[str, list[list[float]]] = {}
    for arm in MEMBERS:
        found[arm] = [tables.values(r, arm, f"species/{m}") for r in photographs.values() for m in ("linear", "knn")]
    mean = {arm: [sum(each) / len(each) for each in values] for arm, values in found.items() if all(values)}
    rows = [["", *head]]
    for arm in sorted(mean, key=lambda arm: mean[arm][0]):
        rows.append([tables.title(photographs["birds"], arm), *(f"{100 * value:.1f}" for value in mean[arm])])
    seeds = sorted({len(each) for values in found.values() for each in values})
    apart = median(100 * (max(each) - min(each)) for values in found.values() for each in values if len(each) > 1)
    about = f"Percent, means of {' to '.join(map(str, seeds))} seeds, which lie {apart:.1f} points apart (median)"
    commands = f"`{photographs['birds']['command']}` and the same for flowers and signs"
    return f"{table(rows)}\n\n{about}. Steps and sizes as on rendered birds. Made by {commands}."


def protocol(record: Mapping[str, object]) -> str:
    """What stands behind the numbers of a record, in a line."""
    s: Mapping[str, object] = record["settings"]  # type: ignore[assignment]
    runs: list[Mapping[str, object]] = record["runs"]  # type: ignore[assignment]
    counts = sorted({len([run for run in runs if run["arm"] == arm]) for arm in {run["arm"] for run in runs}})
    seeds = " to ".join(str(count) for count in (counts if len(counts) == 1 else (counts[0], counts[-1])))
    return (
        f"Mean ± half the 95 % interval over {seeds} seeds; kNN to NMI in percent. Encoder {s['encoder']}, "
        f"{START[str(s['init'])]}, {s['steps']} steps of {s['batch']} images, {s['crop_size']} px views, scored at "
        f"{s['eval_size']} px; kNN k = {s['neighbours']}; mAP within the test set. Made by `{record['command']}`."
    )


def growth() -> None:
    """Seconds of the coreset selection against the size of the open set, both axes logarithmic."""
    from matplotlib.figure import Figure

    bench = json.loads((ROOT / ".ci" / "bench-coreset.json").read_text(encoding="utf-8"))
    sizes = [name for name in bench["tables"] if name != "growth"]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for who, title, colour in (("literal", "literal algorithm", "#c84600"), ("ours", "this package", "#0072b2")):
        for share, style in (("1%", "-o"), ("5%", "--s")):
            seconds = [bench["tables"][size]["milliseconds"][f"{who}, {share}"]["all"] / 1000 for size in sizes]
            axes.loglog([float(size) for size in sizes], seconds, style, color=colour, label=f"{title}, {share}")
    axes.set_xlabel("pictures in the open set", fontsize=13)
    axes.set_ylabel("CPU seconds, similarities included", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=12)
    figure.savefig(GROWTH, dpi=90)


def render(text: str) -> str:
    """The README with every marked block rendered anew."""
    blocks: dict[str, Callable[[], str]] = {"birds": birds, "photographs": photographs, "speed": speed}
    blocks |= {slug: partial(fine, slug) for slug in FINE}
    blocks |= {
        "equal-compute": lambda: table(equal_compute.equal()),
        "headlines": lambda: table(equal_compute.headlines()),
    }
    blocks |= {"tries": tries, "fine-photographs": fine_photographs, "coreset": coreset, "stream": stream}
    blocks |= {"board": board}
    for name, make in blocks.items():
        block = f"<!-- {name} -->\n{make()}\n<!-- end -->"
        text, found = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"README.md has {found} blocks <!-- {name} -->; it should have one")
    return text


def picture() -> None:
    """Six birds, each with another beak, before another sky, and with its true parts."""
    import torch
    from PIL import Image

    from fgssl_edu.data import birds as data
    from fgssl_edu.figures import contact_sheet

    world = data.World.make()
    species = torch.tensor([0, 1, 2, 3, 9, 14])
    first = data.sample(world, species, torch.arange(6), seed=4, knobs=data.Knobs(background=0.8))
    beak, sky = first.edit("beak_shape", (first.codes[:, 0] + 1) % 4), first.new_background(7)
    rows = {"a bird": first, "another beak": beak, "another sky": sky}
    drawn = {name: data.render(factors, size=160) for name, factors in rows.items()}
    colours = torch.tensor([int(digits, 16) for digits in re.findall("[0-9a-f]{2}", COLOURS)])
    parts = colours.view(-1, 3).to(torch.uint8)[drawn["a bird"].parts.long()].permute(0, 3, 1, 2)
    sheet = contact_sheet([*(r.images for r in drawn.values()), parts], rows=[*drawn, "its parts"])
    Image.open(io.BytesIO(sheet.png())).convert("RGB").save(PICTURE, quality=88)


def main() -> int:
    """Write, or with --check compare; the exit status."""
    readme = ROOT / "README.md"
    rendered = render(readme.read_text(encoding="utf-8"))
    if "--check" in sys.argv:
        same = rendered == readme.read_text(encoding="utf-8")
        print("README.md agrees with the records" if same else "README.md differs from the records: run .ci/readme.py")
        return 0 if same else 1
    readme.write_text(rendered, encoding="utf-8")
    picture()
    growth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
