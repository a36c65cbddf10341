"""What a parameters cell declares, what a run was given, and the settings that follow, checked before all else.

Everything is read by `ast` from the source. Papermill's own inspection loses a parameter whose comment holds a `=` or
whose type is a union, and then takes a mistyped name with a warning.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from fgssl_edu import config
from fgssl_edu.runs import named_data
from fgssl_edu.runs.absent import absent

if TYPE_CHECKING:
    from fgssl_edu.runs.arms import Arm

INJECTED = "# Parameters"  # how papermill heads the cell that it inserts
MARK = "scale"  # every lesson declares it: the cell that assigns it is the parameters cell
UNTRAINED = ("common-rationale", "synthesised-pairs", "simcore")  # lessons that also score an encoder as it is


def assigned(source: str, annotated: bool = False) -> dict[str, ast.expr | None]:
    """The names that a cell assigns at its top level, with the assigned expressions; nothing for what is no Python.

    Args:
        source: of the cell.
        annotated: leave out those without a type.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    found: dict[str, ast.expr | None] = {}
    for line in tree.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            found[line.target.id] = line.value
        elif isinstance(line, ast.Assign) and not annotated:
            found.update({target.id: line.value for target in line.targets if isinstance(target, ast.Name)})
    return found


def literals(source: str) -> dict[str, object]:
    """The parameters cell as names and values.

    Raises:
        ValueError: a value is not a literal; papermill puts a run's values after this cell, so nothing may be derived
        in it.
    """
    values: dict[str, object] = {}
    for name, expression in assigned(source).items():
        try:
            values[name] = None if expression is None else ast.literal_eval(expression)
        except ValueError as error:
            shown = ast.unparse(expression)  # type: ignore[arg-type]
            raise ValueError(f"the parameters cell sets {name} = {shown}; only literals may stand there") from error
    return values


def declared_by(notebook: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a notebook, from its first cell tagged `parameters`, without starting a kernel."""
    for cell in notebook["cells"]:  # type: ignore[attr-defined]
        if "parameters" in cell["metadata"].get("tags", []):
            return literals("".join(cell["source"]))  # one string, or on disk a list of lines
    raise ValueError("the notebook has no cell tagged `parameters`; tag the one that assigns scale")


def parse(name: str, text: str) -> object:
    """The value of `-p name=text`, by the type of the setting; what does not fit stays text and is refused later."""
    kinds = {"int": int, "float": float}
    kind = config.Settings.__dataclass_fields__[name].type if name in config.Settings.__dataclass_fields__ else "str"
    try:
        return None if text == "None" else kinds.get(str(kind), str)(text)
    except ValueError:
        return text


def check_declared(names: Mapping[str, object], declared: Mapping[str, object]) -> None:
    """Refuse names that the parameters cell does not declare, all at once.

    Raises:
        ValueError: names each of them, with the declared name that looks most like it.
    """
    variables = {name: f" (the environment variable FGSSL_{name.upper()} sets it)" for name in config.OF_THE_MACHINE}
    unknown = [
        f"{name!r}{variables.get(name) or config.suggestion(name, declared)}" for name in names if name not in declared
    ]
    if unknown:
        raise ValueError(f"this lesson has no parameter {', '.join(unknown)}; its parameters are {', '.join(declared)}")


def from_namespace(namespace: Mapping[str, object]) -> tuple[dict[str, object], set[str]]:
    """What a notebook's parameters are set to, or the settings among the names of a plain Python module.

    In a notebook, names are checked where they were declared and injected and nowhere else, so that the set-up cell can
    run again after the reader has made variables of his own; values are the namespace's. Of a parameters cell that ran
    more than once, the last counts: its reader may have changed it.

    Returns:
        Values by name, and the names whose value stands in the notebook and was not injected.
    """
    cells = namespace.get("In")
    if not isinstance(cells, list):
        plain = int | float | str
        known = [name for name in config.Settings.__dataclass_fields__ if isinstance(namespace.get(name), plain)]
        return {name: namespace[name] for name in known}, set()
    sources = [str(cell) for cell in cells]
    place = declaring(sources)
    declared = assigned(sources[place]) if place is not None else {}
    injected = next((source for source in sources[place or 0 :] if source.startswith(INJECTED)), "")
    check_declared(assigned(injected), declared)
    return {name: namespace.get(name) for name in declared}, set(declared) - set(assigned(injected))


def declaring(sources: Sequence[str]) -> int | None:
    """The place of the last parameters cell among the cells that ran; one that annotates the mark, where there is one.

    A cell of the reader's that only sets the mark (`scale = "ci"`) changes a value and declares nothing.
    """
    marked = [i for i, cell in enumerate(sources) if MARK in assigned(cell) and not cell.startswith(INJECTED)]
    annotated = [i for i in marked if MARK in assigned(sources[i], annotated=True)]
    return max(annotated or marked, default=None)


def settle(slug: str, given: Mapping[str, object], written: Collection[str] = ()) -> tuple[config.Resolved, list[str]]:
    """Resolve a run's settings, check every name, and do without what a scale names and this machine has not.

    Args:
        slug: the lesson.
        given: values by name; None counts as not given. A folder is looked for from the working folder.
        written: those of them that stand in the notebook: their source is called "notebook".

    Returns:
        The settings with their sources, and what the reader has to be told.
    """
    from fgssl_edu.data.open_set import check_open_set
    from fgssl_edu.data.single_image import from_root
    from fgssl_edu.runs.likeness import notes_on

    located = {name: named_data.absolute(given.get(name), name) for name in ("dataset", "open_set")}
    located["photograph"] = from_root(given.get("photograph"))
    given, own = {**given, **located}, partial(changed, slug)
    resolved = config.resolve(slug, given, of_arm=own)
    missing = absent(resolved, named_data.on_disk(resolved.settings.dataset))
    if missing:
        resolved = config.resolve(slug, {**given, **{each.setting: each.instead for each in missing}}, of_arm=own)
        gone = {each.setting: f"{each.what} not on disk" for each in missing}
        resolved = config.Resolved(resolved.settings, {**resolved.sources, **gone})
    check_names(slug, resolved.settings)
    check_arm(slug, resolved.settings)
    named_data.check_data(resolved)
    check_open_set(resolved.settings.open_set)
    named_data.check_photograph(slug, resolved.settings)
    sources = {
        name: "notebook" if source == "given" and name in written else source
        for name, source in resolved.sources.items()
    }
    arm = lesson_arms(slug)[resolved.settings.method]
    if resolved.settings.scale == "full" and arm.method is not None:
        paper = arm.paper().source
        sources = {name: f"{told}, {paper}" if told.startswith("arm ") else told for name, told in sources.items()}
    return config.Resolved(resolved.settings, sources), notes_on(slug, resolved.settings, missing)


def lesson_arms(slug: str) -> Mapping[str, Arm]:
    """The arms of a lesson by name; none of a lesson that there is not."""
    from fgssl_edu.runs.arms import ARMS

    return ARMS.get(slug, {})


def changed(slug: str, method: str, scale: str, steps: int) -> dict[str, object]:
    """The settings that an arm of a lesson has of its own at a scale: its own, those that it hands to its method, and
    the steps that its share of the lesson's compute buys."""
    from fgssl_edu.runs.arm_tables.scoreboard import full_at_home

    slug, theirs = full_at_home(slug, method, scale)
    arm = lesson_arms(slug).get(method)
    if arm is None:
        return {}
    own = arm.at(scale)
    bought = {} if own.longer == 1 else {"steps": own.steps(steps)}
    return {**theirs, **bought, **own.settings, **fixed(arm)}


def fixed(arm: Arm) -> dict[str, object]:
    """The settings that an arm hands to its method whatever a run is given."""
    return {name: value for name, value in arm.fields.items() if name in config.Settings.__dataclass_fields__}


def check_names(slug: str, settings: config.Settings) -> None:
    """Refuse names that only the package's own tables can know.

    Raises:
        ValueError: a method that is no arm of the lesson; unknown views, encoder or data set; weights that the encoder
        or its norm has not.
    """
    from fgssl_edu.data.catalog import CATALOG
    from fgssl_edu.nets.encoders import ENCODERS, TORCHVISION
    from fgssl_edu.views.presets import named

    encoders = dict.fromkeys(ENCODERS)
    tables: dict[str, Mapping[str, object]] = {
        "method": lesson_arms(slug),
        "encoder": encoders,
        "dataset": CATALOG,
    }
    for name, table in tables.items():
        value = getattr(settings, name)
        if value not in table and not (name == "dataset" and value.startswith(named_data.PLACED)):
            raise ValueError(f"{name}={value!r}{config.suggestion(value, table)} should be one of {', '.join(table)}")
    if settings.norm != "batch" and settings.init != "random":
        raise ValueError(f"norm={settings.norm!r} with init={settings.init!r}: such weights have norm='batch'")
    named(settings.views)
    if settings.init == "imagenet" and settings.encoder not in TORCHVISION:
        larger = ", ".join(TORCHVISION)
        raise ValueError(
            f"init='imagenet': there are no such weights for encoder={settings.encoder!r}, only for {larger}; "
            "leave init out, or use scale='full'"
        )


def check_arm(slug: str, settings: config.Settings) -> None:
    """Refuse an arm that these settings cannot train as what it is called.

    Raises:
        ValueError: an untrained arm, one that photographs cannot serve, or one with a setting that contradicts it.
    """
    birds, arms = settings.dataset == "birds", lesson_arms(slug)
    arm = arms[settings.method]
    plain = slug in UNTRAINED
    if (arm.method is None and not plain) or (arm.needs_birds and not birds):
        able = {name: each for name, each in arms.items() if each.method is not None or plain}
        can = [name for name, each in able.items() if birds or not each.needs_birds]
        why = "is not trained" if arm.method is None else f"needs dataset='birds', not {settings.dataset!r}"
        raise ValueError(f"method={settings.method!r} {why}; the arms that can be trained are {', '.join(can)}")
    for name, value in fixed(arm).items():
        if getattr(settings, name) != value:
            raise ValueError(
                f"{name}={getattr(settings, name)!r}: method={settings.method!r} stands for {name}={value!r}; "
                f"leave {name} out, or choose another method"
            )
