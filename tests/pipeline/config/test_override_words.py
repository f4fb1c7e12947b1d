"""SET is cut where a person would cut it."""

import pytest

from pipeline.config.override_words import spaced_mappings, split_settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", []),
        (" train.epochs=20   seed=1\n", ["train.epochs=20", "seed=1"]),
        ("registry.name=my model seed=1", ["registry.name=my model", "seed=1"]),
        ("registry.name='a seed=3' seed=1", ["registry.name='a seed=3'", "seed=1"]),
        ('registry.name="a \\" seed=3" seed=1', ['registry.name="a \\" seed=3"', "seed=1"]),
        ("registry.name=it's seed=1", ["registry.name=it's", "seed=1"]),
        ("train.freeze=[stem, dark2] seed=1", ["train.freeze=[stem, dark2]", "seed=1"]),
        ("a={path:/x y=z,b:{c:d}} seed=1", ["a={path:/x y=z,b:{c:d}}", "seed=1"]),
        ("a=['x] y=1'] seed=1", ["a=['x] y=1']", "seed=1"]),
        ("a=[1 seed=1", ["a=[1", "seed=1"]),
        ("train.epochs seed=1", ["train.epochs", "seed=1"]),
    ],
)
def test_settings_are_cut_at_blanks_before_a_key(text: str, settings: list[str]) -> None:
    assert split_settings(text) == settings


@pytest.mark.parametrize(
    ("given", "yaml"),
    [
        ("{a:b}", "{a: b}"),
        ("[{name:HorizontalFlip,p:0.5}]", "[{name: HorizontalFlip,p: 0.5}]"),
        ('[{"name":"x:y"}]', '[{"name": "x:y"}]'),
        ("{path:s3://bucket/x,classes:{cat:pet}}", "{path: s3://bucket/x,classes: {cat: pet}}"),
        ("[a:b,c:d]", "[a:b,c:d]"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("{'it''s, a:b':c}", "{'it''s, a:b': c}"),
    ],
)
def test_a_mapping_needs_no_blank_after_its_colon(given: str, yaml: str) -> None:
    assert spaced_mappings(given) == yaml
