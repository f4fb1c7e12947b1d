"""params.yaml is checked once, at the edge: what is wrong, where, and what to do, in one line."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import Settings, load_settings, settings_from
from tests.needs import ROOT
from yolox_core.errors import InputError


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b` = value as {a: {b: value}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def refusal(plain: dict[str, Any]) -> str:
    with pytest.raises(InputError) as refused:
        settings_from(plain)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_params_of_the_repository_load() -> None:
    settings = load_settings(ROOT / "params.yaml")
    recipe = settings.recipe(num_classes=4)
    assert recipe.model.num_classes == 4
    assert recipe.train == settings.train
    assert settings.registered_name == "yolox-detector"


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("")
    assert load_settings(tmp_path / "params.yaml") == Settings()


@pytest.mark.parametrize(
    ("content", "line"), [(None, "no such file"), ("seed: [1", "not YAML"), ("- 1\n- 2\n", "expected a mapping")]
)
def test_a_file_that_is_no_params_file_is_refused(tmp_path: Path, content: str | None, line: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=line):
        load_settings(path)


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("train.epoch", "epochs"),
        ("train.learningrate", "learning_rate"),
        ("assign.centre_radius", "center_radius"),
        ("augment.mosiac", "mosaic"),
        ("data.split.vall", "val"),
        ("trian", "train"),
        ("loss.classes", "class"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(key: str, near: str) -> None:
    said = refusal(nested(key, 1))
    assert f"unknown parameter '{key}'" in said
    assert f"'{near}'" in said


def test_an_unknown_parameter_without_a_near_one_lists_the_known() -> None:
    said = refusal({"registry": {"zzz": 1}})
    assert "registry.zzz" in said and "name" in said


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("train.epochs", "many", "a whole number"),
        ("train.epochs", 2.5, "a whole number"),
        ("train.epochs", True, "a whole number"),
        ("train.learning_rate", "fast", "a number"),
        ("train.learning_rate", None, "a number"),
        ("data.split.honour", 1, "true or false"),
        ("data.source", 5, "text"),
        ("train.input_size", [320], "a list of 2"),
        ("train.freeze", "backbone", "a list"),
        ("augment", 3, "a mapping"),
        ("data.format", ["coco"], "text"),
        ("assign.rule", "yolox-2022", "one of yolox-2021, yolox-2023"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: Any, expected: str) -> None:
    said = refusal(nested(key, value))
    assert said.startswith(f"{key}: expected"), said
    assert expected in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("evaluate.confidence", 1.5),
        ("evaluate.confidence", -0.1),
        ("evaluate.nms_iou", 2),
        ("augment.mosaic", 1.01),
        ("augment.flip", -1),
        ("export.max_map_loss", 3),
        ("export.max_map_loss_int8", -0.5),
        ("evaluate.confidence", float("nan")),
    ],
)
def test_a_share_outside_zero_to_one_is_refused(key: str, value: float) -> None:
    said = refusal(nested(key, value))
    assert said.startswith(f"{key}: expected a")
    assert str(value) in said


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [
        ("model.width", 0.3, ("0.296875", "0.3125")),
        ("model.width", 0.01, ("0.015625",)),
        ("model.depth", 0.1, ("0.33",)),
        ("model.size", "small", ("nano", "tiny", "s")),
    ],
)
def test_an_illegal_architecture_names_the_nearest_legal(key: str, value: Any, near: tuple[str, ...]) -> None:
    said = refusal(nested(key, value))
    assert said.startswith(f"{key}: expected")
    assert all(legal in said for legal in near)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train: {learning_rate: 1e-3}\n")  # YAML 1.1 wants 1.0e-3
    assert load_settings(path).train.learning_rate == 1e-3
    assert settings_from({"loss": {"iou": 5}}).loss.iou == 5.0


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_text_that_is_no_finite_number_is_refused(value: str) -> None:
    assert refusal(nested("train.learning_rate", value)).startswith("train.learning_rate: expected a finite number")


def test_a_single_input_size_is_a_square() -> None:
    assert settings_from({"train": {"input_size": 320}}).train.input_size == (320, 320)
    assert settings_from({"train": {"input_size": [320, 416]}}).train.input_size == (320, 416)


def test_class_is_a_legal_name_in_the_file() -> None:
    assert settings_from({"loss": {"class": 2.0}}).loss.class_ == 2.0


def test_optional_values_may_be_null() -> None:
    settings = settings_from({"train": {"patience": None}, "model": {"weights": None, "width": None}})
    assert settings.train.patience is None
    assert settings.model.architecture(1).width == 0.25  # what size nano implies


def test_folds_are_checked() -> None:
    assert "data.split.background: expected null or a share in [0, 1)" in refusal(
        {"data": {"split": {"background": 1}}}
    )
    assert "data.split.rare: expected null or a share in (0, 1]" in refusal({"data": {"split": {"rare": 0}}})
    assert "data.split.folds: expected null or 2 to 100" in refusal({"data": {"split": {"folds": 1}}})
    assert "data.split.fold: expected 0 to 4, got 5" in refusal({"data": {"split": {"folds": 5, "fold": 5}}})
    assert "data.split.fold: expected 0 to 0" in refusal({"data": {"split": {"fold": 1}}})


def test_shares_of_the_split_leave_something_to_train_on() -> None:
    assert "data.split" in refusal({"data": {"split": {"val": 0.5, "test": 0.5}}})


def test_other_data_registers_under_its_own_name(tmp_path: Path) -> None:
    assert settings_from({"data": {"source": str(tmp_path / "My_Images")}}).registered_name == "yolox-my_images"
    assert settings_from({"registry": {"name": "mine"}}).registered_name == "mine"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("data: {source: Käfer}".encode("latin-1"), "expected UTF-8 text, got byte 0xe4"),
        ("seed: 1".encode("utf-16"), "expected UTF-8 text"),
        (b"seed: 2020-13-45", "not YAML: month must be in 1..12"),
        (b"seed: " + b"[" * 5000 + b"]" * 5000, "not YAML"),
        (b"seed: " + b"9" * 5000, "not YAML"),
        (b"seed: !!bool perhaps", "not YAML"),
        (b"train: {learning_rate: 1" + b"0" * 400 + b"}", "train.learning_rate: expected a finite number"),
        (b"seed: 1" + b"0" * 30, "seed: expected a number from 0 to"),
        (b"seed: 0x" + b"f" * 5000, "seed: expected a number from 0 to"),
        (b"data: {synthetic: {seed: -1}}", "data.synthetic.seed: expected a number from 0 to"),
        (b"[]", "expected a mapping"),
        (b"0", "expected a mapping"),
        (b"false", "expected a mapping"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_settings(tmp_path / "params.yaml")
    assert line in str(refused.value) and len(str(refused.value)) < 500


def test_a_value_of_endless_text_is_told_in_part() -> None:
    value: list[Any] = ["lol"] * 9
    for _ in range(20):
        value = [value] * 9  # aliases in YAML do this in a kilobyte
    assert len(refusal({"seed": value})) < 500
    assert len(refusal(nested("data.format", value))) < 500


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "", " ", "a" * 300])
def test_a_name_that_the_registry_refuses_is_refused_before_training(name: str) -> None:
    assert refusal(nested("registry.name", name)).startswith("registry.name: expected")


def named(folder: Path) -> Settings:
    return settings_from({"data": {"source": str(folder)}})


@pytest.mark.parametrize("folder", ["synthetic", "detector"])
def test_no_folder_registers_as_the_demonstration(tmp_path: Path, folder: str) -> None:
    assert settings_from({}).registered_name == "yolox-detector"
    assert named(tmp_path / folder).registered_name != "yolox-detector"
    assert named(tmp_path / "synthetic").registered_name == "yolox-synthetic"


def test_long_names_of_data_are_cut_and_stay_apart(tmp_path: Path) -> None:
    names = [named(tmp_path / ("a" * 249 + end)).data_name for end in "bc"]
    assert names[0] != names[1] and all(len(name) == 60 for name in names)
    assert named(tmp_path / ("a" * 60)).data_name == "a" * 60


def test_names_without_a_plain_character_stay_apart(tmp_path: Path) -> None:
    names = [named(tmp_path / folder).registered_name for folder in ("猫", "犬", "猫")]
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch("yolox-data-[0-9a-f]{8}", name) for name in names)
    assert named(tmp_path / "Käfer").registered_name == "yolox-k-fer"


@pytest.mark.parametrize("value", ["auto", True, False])
def test_a_choice_may_be_a_word_or_a_truth_value(value: object) -> None:
    assert settings_from({"train": {"sync_batch_norm": value}}).train.sync_batch_norm == value


@pytest.mark.parametrize(("value", "got"), [("maybe", "'maybe'"), (None, "None"), (1, "1")])
def test_another_value_of_such_a_choice_is_refused(value: object, got: str) -> None:
    expected = f"train.sync_batch_norm: expected one of auto, true, false, got {got}."
    with pytest.raises(InputError, match=re.escape(expected)):
        settings_from({"train": {"sync_batch_norm": value}})
