"""The data that a run names: where they lie, whether they are there, and what cannot be had with them."""

from __future__ import annotations

from pathlib import Path

from fgssl_edu import config, paths

FOLDER = "folder:"  # begins the name of a data set that is a folder of photographs
PLACED = (FOLDER, "shards:", "mapped:")  # begin the names of data sets that say where they are
LISTED = "coreset:"  # begins the name of an open set that is a list of what was chosen from shards
BIRDS_ONLY = ("background", "correlation", "species")  # settings that photographs have no use for


def absolute(dataset: object, name: str = "dataset") -> object:
    """A data set's name with the path in it from the root: a kernel may work in another folder than its user.

    Raises:
        ValueError: `folder:`, `shards:` or `mapped:` names no folder, or `coreset:` no file.
    """
    if not isinstance(dataset, str) or not dataset.startswith((*PLACED, LISTED)):
        return dataset
    kind, _, named = dataset.partition(":")
    if not named.strip():
        if dataset.startswith(LISTED):
            raise ValueError(f"{name}={dataset!r} names no file; write {LISTED}PATH, a list that `fgssl coreset` wrote")
        raise ValueError(f"{name}={dataset!r} names no folder; write {kind}:PATH, the folder with your photographs")
    return f"{kind}:{Path(named).expanduser().resolve()}"


def place_of(dataset: str) -> Path | None:
    """The folder that a data set is read from; None for rendered birds."""
    if dataset.startswith(PLACED):
        return Path(dataset.partition(":")[2])
    return None if dataset == "birds" else paths.data_dir() / dataset


def on_disk(dataset: str) -> bool:
    """Whether a catalogued data set can be loaded without a download; rendered birds and folders always can."""
    place = place_of(dataset)
    return place is None or dataset.startswith(PLACED) or (place / "manifest.csv").is_file()


def check_photograph(slug: str, settings: config.Settings) -> None:
    """Refuse a photograph that cannot be cut up, in a lesson that does that; ValueError says what is wrong with it."""
    from fgssl_edu.data.single_image import FARMS, open_photograph
    from fgssl_edu.runs.arms import ARMS

    if any(arm.extra in FARMS for arm in ARMS.get(slug, {}).values()):
        open_photograph(settings.photograph)


def check_data(resolved: config.Resolved) -> None:
    """Refuse data that are not there, and settings that they cannot have.

    Raises:
        ValueError: a folder without photographs, a data set that was not fetched, birds of a size that cannot be drawn,
        a knob of the rendered birds that was given for photographs.
    """
    from fgssl_edu.data.birds_render import MAX_SIZE, MIN_SIZE
    from fgssl_edu.data.folder import list_folder
    from fgssl_edu.data.large import LARGE, open_large

    settings, dataset = resolved.settings, resolved.settings.dataset
    if dataset == "birds":
        if not MIN_SIZE <= settings.image_size <= MAX_SIZE:
            side = f"image_size={settings.image_size} is out of range"
            raise ValueError(f"{side}; rendered birds are {MIN_SIZE} to {MAX_SIZE} px a side")
        return
    useless = [name for name in BIRDS_ONLY if resolved.sources[name] == "given"]
    if useless:
        raise ValueError(f"{', '.join(useless)}: of rendered birds alone, but dataset={dataset!r}; leave them out")
    if not on_disk(dataset):
        raise ValueError(f"dataset={dataset!r} is not on disk; fetch it with `fgssl data get {dataset}`")
    if dataset.startswith(LARGE):
        open_large(dataset, settings.image_size)
    folder = place_of(dataset)
    if dataset.startswith(FOLDER) and folder is not None:
        if not folder.is_dir():
            raise ValueError(f"dataset={dataset!r}: there is no folder {folder}")
        listing = list_folder(folder, seed=0)
        if listing.problems or not listing.rows:
            raise ValueError(f"dataset={dataset!r}: {'; '.join(listing.problems[:3]) or 'no images in it'}")
