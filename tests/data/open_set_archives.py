"""Small archives with the folders, lists and bytes of the published open sets, and the rows they must give."""

from __future__ import annotations

import numpy as np
from fine_grained_archives import Small, row
from small_archives import lines, mat, picture, structs, tar_file, zip_file

BIRD, DOG, FISH = "n01558993", "n02099849", "n01440764"  # the first two are classes of ImageNet-100


def planes(split: str, number: int, side: int) -> np.ndarray:
    """Colours of a picture, by its place in its split, (3, side, side) uint8."""
    return np.random.default_rng([len(split), number]).integers(0, 255, (3, side, side), dtype=np.uint8)


def cifar10() -> Small:
    """Seven pictures in six files."""
    top, names = "cifar-10-batches-bin", ["airplane", "automobile", "bird"]
    files, found = {f"{top}/batches.meta.txt": lines(*names, ""), f"{top}/readme.html": b"read me"}, []
    batches = {f"data_batch_{i}": [i % 3] for i in range(1, 6)} | {"test_batch": [0, 2]}
    for batch, labels in batches.items():
        split = batch.partition("_")[0].replace("data", "train")
        start = sum(one["split"] == split for one in found)
        files[f"{top}/{batch}.bin"] = b"".join(
            bytes([label]) + planes(split, i, 32).tobytes() for i, label in enumerate(labels, start)
        )
        for i, label in enumerate(labels, start):
            found.append(row(f"{split}/{names[label]}/{i:06d}.png", names[label], split, group=names[label]))
    return Small({"cifar-10-binary.tar.gz": tar_file(files)}, found)


def cifar100() -> Small:
    top, coarse, fine = "cifar-100-binary", ["fish", "flowers"], ["orchid", "shark", "trout"]
    files = {f"{top}/coarse_label_names.txt": lines(*coarse), f"{top}/fine_label_names.txt": lines(*fine)}
    found = []
    for split, labels in (("train", [2, 0, 1]), ("test", [1, 0])):
        files[f"{top}/{split}.bin"] = b"".join(
            bytes([int(label == 0), label]) + planes(split, i, 32).tobytes() for i, label in enumerate(labels)
        )
        for i, label in enumerate(labels):
            more = {"superclass": coarse[int(label == 0)]}
            found.append(row(f"{split}/{fine[label]}/{i:06d}.png", fine[label], split, **more))
    return Small({"cifar-100-binary.tar.gz": tar_file(files)}, found)


def stl10() -> Small:
    """Pictures column by column, classes from 1, and pictures without a class."""
    top, names = "stl10_binary", ["airplane", "bird"]
    files, found = {f"{top}/class_names.txt": lines(*names), f"{top}/fold_indices.txt": b"0 1"}, []
    for split, file, labels in (("train", "train", [2, 1]), ("test", "test", [1, 2]), ("unlabelled", "unlabeled", [0])):
        pixels = [planes(split, i, 96).transpose(0, 2, 1).tobytes() for i in range(len(labels))]
        files[f"{top}/{file}_X.bin"] = b"".join(pixels)
        if split != "unlabelled":
            files[f"{top}/{file}_y.bin"] = bytes(labels)
        for i, number in enumerate(labels):
            label = ["", *names][number]
            found.append(row(f"{split}/{label}/{i:06d}.png".replace("//", "/"), label, split))
    return Small({"stl10_binary.tar.gz": tar_file(files)}, found)


def imagenet1k(hierarchy: bool = True) -> Small:
    """Archives in an archive, a hierarchy in which birds are two steps above one class, and a list of numbers."""
    train = {BIRD: ["7", "10"], DOG: ["3"], FISH: ["4"]}
    inner = {
        wnid: {f"{wnid}_{number}.JPEG": picture(int(number)) for number in numbers} for wnid, numbers in train.items()
    }
    above = [(1001, "n00015388", [3, 1002]), (1002, "n01503061", [1003, 2]), (1003, "n01524359", [1])]
    tree = [(1, BIRD, []), (2, "n01514668", []), (3, DOG, []), (4, FISH, []), *(above if hierarchy else [])]
    synsets = [
        {"ILSVRC2012_ID": n, "WNID": wnid, "words": "w", "num_children": len(below), "children": np.array(below)}
        for n, wnid, below in tree
    ]
    top, truth = "ILSVRC2012_devkit_t12", {1: (3, DOG), 2: (1, BIRD), 3: (4, FISH)}
    devkit = {
        f"{top}/data/meta.mat": mat(synsets=structs(synsets)),
        f"{top}/data/ILSVRC2012_validation_ground_truth.txt": lines(*(number for number, _ in truth.values())),
        f"{top}/readme.txt": b"read me",
    }
    files = {
        "ILSVRC2012_img_train.tar": tar_file({f"{wnid}.tar": tar_file(own, "w") for wnid, own in inner.items()}, "w"),
        "ILSVRC2012_img_val.tar": tar_file({f"ILSVRC2012_val_{i:08d}.JPEG": picture(20 + i) for i in truth}, "w"),
        "ILSVRC2012_devkit_t12.tar.gz": tar_file(devkit),
    }
    found = [row(f"train/{wnid}/{name}", wnid, "train") for wnid in sorted(inner) for name in sorted(inner[wnid])]
    found += [row(f"val/ILSVRC2012_val_{i:08d}.JPEG", wnid, "test") for i, (_, wnid) in truth.items()]
    if hierarchy:
        found = [{**one, "group": "bird" if one["label"] == BIRD else "no bird"} for one in found]
    return Small(files, found)


def imagenet1k_flat() -> Small:
    return imagenet1k(hierarchy=False)


def coco() -> Small:
    names = [f"train2017/{i:012d}.jpg" for i in (9, 25, 581929)]
    files = {name: picture(i) for i, name in enumerate(names)}
    return Small({"train2017.zip": zip_file({"train2017/": b"", **files})}, [row(n, "", "unlabelled") for n in names])


def inat21mini() -> Small:
    kinds = {
        "00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris": "Clitellata",
        "03111_Animalia_Chordata_Aves_Accipitriformes_Accipitridae_Accipiter_badius": "bird",
        "09999_Plantae_Tracheophyta_Polypodiopsida_Polypodiales_Woodsiaceae_Woodsia_alpina": "Polypodiopsida",
    }
    files, found = {}, []
    for part, split, count in (("train_mini", "train", 2), ("val", "test", 1)):
        own = {f"{part}/{kind}/{part}-{i}.jpg": picture(len(part) + i) for kind in kinds for i in range(count)}
        files[f"{part}.tar.gz"] = tar_file(own)
        found += [row(name, name.split("/")[1], split, group=kinds[name.split("/")[1]]) for name in own]
    return Small(files, found)


def places365() -> Small:
    """A category inside of a category, and lists that have another order than the folders."""
    categories = {"/a/airfield": 0, "/a/apartment_building/outdoor": 1, "/z/zen_garden": 2}
    train = [("/z/zen_garden", 5), ("/a/apartment_building/outdoor", 2), ("/a/airfield", 1)]
    names = [f"{category}/{number:08d}.jpg" for category, number in train]
    tested = {"Places365_val_00000001.jpg": 2, "Places365_val_00000002.jpg": 1}
    lists = {
        "categories_places365.txt": lines(*(f"{name} {number}" for name, number in categories.items())),
        "places365_train_standard.txt": lines(
            *(f"{name} {categories[where]}" for name, (where, _) in zip(names, train, strict=True))
        ),
        "places365_val.txt": lines(*(f"{name} {number}" for name, number in tested.items())),
        "places365_test.txt": lines("Places365_test_00000001.jpg"),
    }
    files = {
        "train_256_places365standard.tar": tar_file(
            {f"data_256{name}": picture(i) for i, name in enumerate(names)}, "w"
        ),
        "val_256.tar": tar_file({f"val_256/{name}": picture(9 + i) for i, name in enumerate(tested)}, "w"),
        "filelist_places365-standard.tar": tar_file(lists, "w"),
    }
    kinds = [category[3:] for category in categories]
    found = [row(f"data_256{name}", where[3:], "train") for name, (where, _) in zip(names, train, strict=True)]
    found += [row(f"val_256/{name}", kinds[number], "test") for name, number in tested.items()]
    return Small(files, found)


def without_people() -> Small:
    """Ten archives that share a folder, and the list of who took what."""
    names = [f"PASS_dataset/{i}/{i:032x}.jpeg" for i in range(10)]
    files = {f"PASS.{i}.tar": tar_file({name: picture(i)}, "w") for i, name in enumerate(names)}
    files["pass_metadata.csv"] = lines("unickname,hash", *(f"someone,{i:032x}" for i in range(10)))
    return Small(files, [row(name, "", "unlabelled") for name in names])


SETS = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "imagenet1k": imagenet1k,
    "imagenet1k (no hierarchy)": imagenet1k_flat,
    "coco": coco,
    "inat21mini": inat21mini,
    "places365": places365,
    "pass": without_people,
}
