"""Several data sets as one: every object keeps its box, its class by name and its image."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.data.parsing.findings import Finding
from pipeline.data.prepare.merge import Part, merge, with_classes
from yolox_core.data.records import Category, DatasetRecords, ImageRecord, described
from yolox_core.errors import InputError
from yolox_core.structures import Objects


def data_set(categories: dict[int, str], images: dict[str, Sequence[int]], split: str | None = None) -> DatasetRecords:
    """Images by name, with an object of each of these labels."""
    records = [
        ImageRecord(
            image_id=number,
            file_name=name,
            height=50,
            width=60,
            objects=Objects.of(((label, 1, 20 + label, 30), label, label == 2) for label in labels),
            split=split,
            annotation=f"{name}.xml",
        )
        for number, (name, labels) in enumerate(images.items(), 7)
    ]
    return DatasetRecords(Path("there"), tuple(Category(*entry) for entry in categories.items()), records)


def truth(records: DatasetRecords) -> dict[str, list[str]]:
    return {image.file_name: described(image, records.class_names) for image in records.images}


ONE = data_set({1: "cat", 2: "dog", 3: "owl"}, {"a.jpg": [0, 1, 2], "b.jpg": []}, "train")
OTHER = data_set({5: "dog", 6: "eel"}, {"a.jpg": [1, 0, 0]}, "val")


def test_every_object_of_every_part_is_there() -> None:
    merged = merge([Part("one", ONE), Part("other", OTHER)], Path("here"))
    expected = {f"one/{name}": objects for name, objects in truth(ONE).items()}
    assert truth(merged) == expected | {f"other/{name}": objects for name, objects in truth(OTHER).items()}
    assert merged.image_root == Path("here")
    assert [image.image_id for image in merged.images] == [1, 2, 3]
    assert [image.split for image in merged.images] == ["train", "train", "val"]
    assert merged.images[2].annotation == "other: a.jpg.xml"
    assert [(entry.category_id, entry.name) for entry in merged.categories] == [
        *((1, "cat"), (2, "dog"), (3, "owl"), (4, "eel"))
    ]


def test_one_part_stays_as_it_is() -> None:
    merged = merge([Part("", OTHER)], Path("here"))
    assert (merged.images, merged.categories) == (OTHER.images, OTHER.categories)


def test_ids_that_agree_are_kept() -> None:
    far = data_set({90: "zebra", 3: "owl"}, {"c.jpg": [0, 1]})
    merged = merge([Part("far", far), Part("one", ONE)], Path())
    assert merged.category_ids == (1, 2, 3, 90)
    assert truth(merged)["far/c.jpg"] == truth(far)["c.jpg"]


def test_one_id_for_two_names_is_renumbered() -> None:
    merged = merge([Part("a", data_set({0: "cat"}, {})), Part("b", data_set({0: "dog"}, {}))], Path())
    assert [(entry.category_id, entry.name) for entry in merged.categories] == [(1, "cat"), (2, "dog")]


def test_a_class_map_renames_joins_and_drops() -> None:
    mapped = with_classes(ONE, {"cat": "pet", "dog": "pet", "owl": None}, "one")
    assert mapped.categories == (Category(1, "pet"),)
    image = mapped.images[0]
    assert image.objects.labels_G.tolist() == [0, 0] and image.objects.boxes_G4[:, 0].tolist() == [0, 1]
    assert not image.objects.ignore_G.any(), "the one that was ignored was an owl"
    assert not len(mapped.images[1].objects.labels_G)
    swapped = with_classes(ONE, {"cat": "dog", "dog": "cat"}, "one")
    assert swapped.class_names == ("dog", "cat", "owl") and swapped.images[0].objects.labels_G.tolist() == [0, 1, 2]


def test_a_class_map_that_names_no_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"^here: classes: no class is called 'cta'. Did you mean 'cat'\?$"):
        with_classes(ONE, {"cta": "cat"}, "here")
    with pytest.raises(InputError, match="at least one class to stay"):
        with_classes(OTHER, {"dog": None, "eel": None}, "here")


@pytest.mark.parametrize(
    ("one", "other"), [("Cat", "cat"), ("traffic light", "traffic_light"), ("T-Shirt", "tshirt"), ("Straße", "STRASSE")]
)
def test_names_that_nearly_agree_are_refused_with_the_map_to_write(one: str, other: str) -> None:
    first, second = data_set({1: one}, {}), data_set({1: other}, {})
    with pytest.raises(InputError) as refused:
        merge([Part("first", first), Part("second", second)], Path())
    assert f"{one!r} in first and {other!r} in second" in str(refused.value)
    assert f"classes: {{{other!r}: {one!r}}} for second" in str(refused.value)
    joined = merge([Part("first", first), Part("second", with_classes(second, {other: one}, "second"))], Path())
    assert joined.class_names == (one,)
    apart = merge([Part("first", first), Part("second", second, frozenset({other}))], Path())
    assert apart.class_names == (one, other)


def test_spellings_within_one_data_set_are_its_own_affair() -> None:
    own = data_set({1: "Cat", 2: "cat"}, {})
    assert merge([Part("own", own), Part("one", data_set({2: "cat"}, {}))], Path()).class_names == ("Cat", "cat")


def test_a_finding_says_of_which_data_set_it_is() -> None:
    finding = Finding("code", "a.xml: object 3", "what", "kept")
    assert Part("one", ONE).named(finding).where == "one: a.xml: object 3"
    assert Part("", ONE).named(finding) == finding
