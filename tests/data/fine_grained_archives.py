"""Small archives with the folders, lists and names of the published fine-grained sets, and the rows they must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from small_archives import cells, lines, mat, picture, structs, tar_file, voc, zip_file

SPLITS = ("train", "test", "unlabelled")
BOX = ("box_x", "box_y", "box_width", "box_height")


@dataclass(frozen=True)
class Small:
    """A small copy of a data set as it is published."""

    files: Mapping[str, bytes]  # the archives by name
    rows: list[dict[str, str]]  # of the manifest, but for sha256, width and height
    boxes: bool = False

    def sizes(self) -> dict[str, int | str]:
        """What the table of sources would say of it; nothing of a split that it has not."""
        split = [row["split"] for row in self.rows]
        classes = len({row["label"] for row in self.rows} - {""})
        return {"classes": classes or "", **{name: split.count(name) or "" for name in SPLITS}}


def row(path: str, label: str, split: str, box: tuple[int, ...] = (), **more: str) -> dict[str, str]:
    return {"path": path, "label": label, "split": split, **dict(zip(BOX, map(str, box), strict=False)), **more}


def cars(kaggle: bool = False) -> Small:
    """The original archives, or the copy on Kaggle with its doubled folders and a list of its own."""
    names = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012"]
    found, annotations, images = [], {}, {}
    for split, labels in (("train", [1, 2, 2]), ("test", [2, 1])):
        annotations[split] = [
            {"bbox_x1": 3, "bbox_y1": 5, "bbox_x2": 22, "bbox_y2": 14 + i, "class": label, "fname": f"{i:05d}.jpg"}
            for i, label in enumerate(labels, 1)
        ]
        images[split] = {f"cars_{split}/{i:05d}.jpg": picture(10 * i + len(labels)) for i in range(1, len(labels) + 1)}
        found += [
            row(f"cars_{split}/{i:05d}.jpg", names[label - 1], split, (2, 4, 20, 10 + i))
            for i, label in enumerate(labels, 1)
        ]
    devkit = {
        "devkit/cars_meta.mat": mat(class_names=cells(names)),
        "devkit/cars_train_annos.mat": mat(annotations=structs(annotations["train"])),
        "devkit/README.txt": b"read me",
    }
    files = {
        "car_devkit.tgz": tar_file(devkit),
        "cars_test_annos_withlabels.mat": mat(annotations=structs(annotations["test"])),
    }
    if kaggle:
        nested = {f"{name.split('/')[0]}/{name}": data for part in images.values() for name, data in part.items()}
        files["stanford-cars-dataset.zip"] = zip_file({**nested, "cars_annos.mat": b"its own"})
    else:
        files |= {f"cars_{split}.tgz": tar_file(part) for split, part in images.items()}
    return Small(files, found, boxes=True)


def cars_of_kaggle() -> Small:
    return cars(kaggle=True)


def aircraft() -> Small:
    top, found = "fgvc-aircraft-2013b/data", []
    files, boxes = {"fgvc-aircraft-2013b/README": b"read me"}, []
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for i, (part, label) in enumerate(
        [("train", "707-320"), ("train", "F-16A/B"), ("val", "707-320"), ("test", "F-16A/B"), ("test", "Cessna 172")]
        + [("val", "Cessna 172")]
    ):
        name = f"{1234567 + i}"
        lists[part].append(f"{name} {label}")
        files[f"{top}/images/{name}.jpg"] = picture(i, size=(60, 60))
        boxes.append(f"{name} 11 3 50 {22 + i}")
        split = "test" if part == "test" else "train"
        more = {"published_split": part, "cut_bottom": "20"}
        found.append(row(f"images/{name}.jpg", label, split, (10, 2, 40, 20 + i), **more))
    files |= {f"{top}/images_variant_{part}.txt": lines(*text) for part, text in lists.items()}
    files[f"{top}/images_box.txt"] = lines(*boxes)
    found.sort(key=lambda one: ("train", "val", "test").index(one["published_split"]))
    return Small({"fgvc-aircraft-2013b.tar.gz": tar_file(files)}, found, boxes=True)


def gtsrb() -> Small:
    head, found = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId", []
    train: dict[str, bytes] = {"GTSRB/Readme-Images.txt": b"read me"}
    for label in ("00000", "00014"):
        signs = [f"{track:05d}_{frame:05d}.ppm" for track in range(2) for frame in range(3)]
        table = [f"{name};40;30;5;6;35;25;{int(label)}" for name in signs]
        train[f"GTSRB/Training/{label}/GT-{label}.csv"] = lines(head, *table)
        for i, name in enumerate(signs):
            train[f"GTSRB/Training/{label}/{name}"] = picture(100 * int(label) + i, kind="ppm")
            track = f"{label}_{name[:5]}"
            found.append(row(f"train/{label}/{name}", label, "train", (5, 6, 30, 19), track=track))
    test = {f"GTSRB/Final_Test/Images/{i:05d}.ppm": picture(50 + i, kind="ppm") for i in range(3)}
    test["GTSRB/Final_Test/Images/GT-final_test.test.csv"] = lines("without classes")
    classes = (14, 0, 14)
    table = [f"{i:05d}.ppm;40;30;1;2;{11 + i};12;{label}" for i, label in enumerate(classes)]
    for i, label in enumerate(classes):
        found.append(row(f"test/{i:05d}.ppm", f"{label:05d}", "test", (1, 2, 10 + i, 10), track=""))
    files = {
        "GTSRB-Training_fixed.zip": zip_file(train),
        "GTSRB_Final_Test_Images.zip": zip_file(test),
        "GTSRB_Final_Test_GT.zip": zip_file({"GT-final_test.csv": lines(head, *table)}),
    }
    return Small(files, found, boxes=True)


def isic2017() -> Small:
    files: dict[str, bytes] = {}
    found = []
    for split, part, diseases in (
        ("train", "Training", ["melanoma", "nevus", "seborrheic_keratosis"]),
        ("test", "Test_v2", ["nevus", "melanoma"]),
    ):
        inside, table = {f"ISIC-2017_{part}_Data/ISIC-2017_{part}_Data_metadata.csv": b"age"}, []
        for i, disease in enumerate(diseases):
            name = f"ISIC_{i:07d}"
            inside[f"ISIC-2017_{part}_Data/{name}.jpg"] = picture(10 * len(diseases) + i)
            inside[f"ISIC-2017_{part}_Data/{name}_superpixels.png"] = picture(i, kind="png")
            melanoma, keratosis = (float(disease == one) for one in ("melanoma", "seborrheic_keratosis"))
            table.append(f"{name},{melanoma},{keratosis}")
            found.append(row(f"{split}/ISIC-2017_{part}_Data/{name}.jpg", disease, split))
        files[f"ISIC-2017_{part}_Data.zip"] = zip_file(inside)
        head = "image_id,melanoma,seborrheic_keratosis"
        files[f"ISIC-2017_{part}_Part3_GroundTruth.csv"] = lines(head, *table)
    return Small(files, found)


def pets() -> Small:
    """With a GIF and a CMYK picture under .jpg names, masks, and what macOS left."""
    kinds = {"Abyssinian_1": "jpeg", "Abyssinian_2": "gif", "american_bulldog_1": "jpeg", "american_bulldog_10": "jpeg"}
    images = {
        f"images/{name}.jpg": picture(i, kind=kind, mode="CMYK" if name == "american_bulldog_1" else "RGB")
        for i, (name, kind) in enumerate(kinds.items())
    }
    annotations = {
        "annotations/README": b"read me",
        "annotations/list.txt": lines("#Image CLASS-ID SPECIES BREED ID"),
        "annotations/trainval.txt": lines("Abyssinian_1 1 1 1", "american_bulldog_10 2 2 1"),
        "annotations/test.txt": lines("Abyssinian_2 1 1 1", "american_bulldog_1 2 2 1"),
        "annotations/trimaps/Abyssinian_1.png": picture(0, kind="png"),
        "annotations/trimaps/._Abyssinian_1.png": b"macOS",
    }
    found = [
        row("images/Abyssinian_1.jpg", "Abyssinian", "train"),
        row("images/american_bulldog_10.jpg", "american_bulldog", "train"),
        row("images/Abyssinian_2.jpg", "Abyssinian", "test"),
        row("images/american_bulldog_1.jpg", "american_bulldog", "test"),
    ]
    return Small({"images.tar.gz": tar_file(images), "annotations.tar.gz": tar_file(annotations)}, found)


def flowers102() -> Small:
    labels, parts = [1, 1, 2, 2, 1, 2], {"trnid": [2, 3], "valid": [5, 4], "tstid": [6, 1]}
    images = {f"jpg/image_{i:05d}.jpg": picture(i) for i in range(1, 7)}
    files = {
        "102flowers.tgz": tar_file(images),
        "imagelabels.mat": mat(labels=np.array([labels], dtype=np.uint8)),
        "setid.mat": mat(**{name: np.array([ids]) for name, ids in parts.items()}),
    }
    published = {"trnid": "train", "valid": "val", "tstid": "test"}
    found = [
        row(f"jpg/image_{i:05d}.jpg", f"{labels[i - 1]:03d}", "test" if part == "tstid" else "train")
        | {"published_split": published[part]}
        for part, ids in parts.items()
        for i in ids
    ]
    return Small(files, found)


def dogs() -> Small:
    """One dog more in a picture than its label tells."""
    names = {
        "train": ["n02085620-Chihuahua/n02085620_1.jpg", "n02086240-Shih-Tzu/n02086240_2.jpg"],
        "test": ["n02085620-Chihuahua/n02085620_3.jpg", "n02086240-Shih-Tzu/n02086240_4.jpg"],
    }
    every = [name for part in names.values() for name in part]
    files = {
        "images.tar": tar_file({f"Images/{name}": picture(i) for i, name in enumerate(every)}, "w"),
        "annotation.tar": tar_file(
            {f"Annotation/{n.removesuffix('.jpg')}": voc((3, 4, 23, 14), (0, 0, 5, 5)) for n in every}, "w"
        ),
        "lists.tar": tar_file({f"{part}_list.mat": mat(file_list=cells(names[part])) for part in names}, "w"),
    }
    found = [
        row(f"Images/{name}", name.split("/")[0], part, (3, 4, 20, 10)) for part, both in names.items() for name in both
    ]
    return Small(files, found, boxes=True)


def dtd() -> Small:
    """Lists of two partitions."""
    parts = {
        "train": ["banded/banded_0002.jpg", "dotted/dotted_0001.jpg"],
        "val": ["banded/banded_0004.jpg", "dotted/dotted_0003.jpg"],
        "test": ["banded/banded_0005.jpg", "dotted/dotted_0006.jpg"],
    }
    every = [name for part in parts.values() for name in part]
    files = {f"dtd/images/{name}": picture(i) for i, name in enumerate(every)}
    files |= {f"dtd/labels/{part}1.txt": lines(*names) for part, names in parts.items()}
    files |= {f"dtd/labels/{part}2.txt": lines(*every[:2]) for part in parts}
    files |= {"dtd/imdb/imdb.mat": b"another reader's"}
    found = [
        row(f"images/{name}", name.split("/")[0], "test" if part == "test" else "train", published_split=part)
        for part, names in parts.items()
        for name in names
    ]
    return Small({"dtd-r1.0.1.tar.gz": tar_file(files)}, found)


def food11() -> Small:
    splits = {"training": "train", "validation": "train", "evaluation": "test"}
    files, found = {}, []
    for i, (part, split) in enumerate(splits.items()):
        for j, label in enumerate(("Bread", "Dairy product")):
            name = f"{part}/{label}/{j}.jpg"
            files[name] = picture(10 * i + j)
            found.append(row(name, label, split, published_split=part))
    return Small({"food11-image-dataset.zip": zip_file(files)}, found)


def indoor67() -> Small:
    """A GIF and a PNG under .jpg names, and a picture that is in no list."""
    kinds = {"bar/a b.jpg": "jpeg", "bar/gif.jpg": "gif", "kitchen/png.jpg": "png", "kitchen/last_.jpg": "jpeg"}
    files = {f"Images/{name}": picture(i, kind=kind) for i, (name, kind) in enumerate(kinds.items())}
    files["Images/bar/unlisted.jpg"] = picture(9)
    names = list(kinds)
    found = [
        row(f"Images/{name}", name.split("/")[0], "train" if i in (0, 2) else "test")
        for i, name in ((0, names[0]), (2, names[2]), (1, names[1]), (3, names[3]))
    ]
    lists = {"TrainImages.txt": "\r\n".join([names[0], names[2]]).encode(), "TestImages.txt": lines(names[1], names[3])}
    return Small({"indoorCVPR_09.tar": tar_file(files, "w"), **lists}, found)


def actions40() -> Small:
    names = {
        "train": ["applauding_001.jpg", "blowing_bubbles_002.jpg"],
        "test": ["applauding_003.jpg", "blowing_bubbles_004.jpg"],
    }
    every = [name for part in names.values() for name in part]
    splits = {f"ImageSplits/{part}.txt": lines(*both) for part, both in names.items()}
    splits |= {"ImageSplits/applauding_train.txt": lines(every[0]), "ImageSplits/actions.txt": lines("action_name")}
    boxes = {f"XMLAnnotations/{name.replace('jpg', 'xml')}": voc((0, 1, 30, 21)) for name in every}
    files = {
        "Stanford40_JPEGImages.zip": zip_file({f"JPEGImages/{name}": picture(i) for i, name in enumerate(every)}),
        "Stanford40_XMLAnnotations.zip": zip_file(boxes),
        "Stanford40_ImageSplits.zip": zip_file(splits),
    }
    found = [
        row(f"JPEGImages/{name}", name.rpartition("_")[0], part, (0, 1, 30, 20))
        for part, both in names.items()
        for name in both
    ]
    return Small(files, found, boxes=True)


SETS = {
    "cars": cars,
    "cars (Kaggle)": cars_of_kaggle,
    "aircraft": aircraft,
    "gtsrb": gtsrb,
    "isic2017": isic2017,
    "pets": pets,
    "flowers102": flowers102,
    "dogs": dogs,
    "dtd": dtd,
    "food11": food11,
    "indoor67": indoor67,
    "actions40": actions40,
}
