"""`yolox promote` and `yolox rollback`: which version is champion, and why."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.config.settings import load_settings
from pipeline.registry import promotion
from pipeline.registry.promotion import MARGIN, Case
from yolox_core.errors import InputError, on_one_line
from yolox_core.evaluation.bootstrap import Comparison, Difference


def promote(version: str, name: str | None, if_cheaper: bool) -> None:
    """Compare with the champion, print it, and move the alias; InputError where the evidence does not carry it."""
    case = promotion.judge(registered(name), version, if_cheaper)
    if case.champion == case.version:
        print(f"{case.name} version {case.version} is champion already")
        return
    if case.comparison is not None:
        _print(case, case.comparison)
    if case.rule is None:
        raise InputError(_refusal(case, if_cheaper))
    promotion.promote(case)
    followed = "there was none" if case.champion is None else f"after version {case.champion}"
    print(f"{case.name} version {case.version} is champion now ({followed}; rule: {case.rule})")


def rollback(name: str | None) -> None:
    """Go back by one champion; InputError where there is none before."""
    name = registered(name)
    left, restored = promotion.rollback(name)
    print(f"{name} version {restored} is champion again, version {left} no longer")


def registered(name: str | None) -> str:
    """The registered model's name as given, or that of params.yaml."""
    return name if name is not None else load_settings().registered_name


def _print(case: Case, found: Comparison) -> None:
    table = Table("", f"version {case.version}", f"champion {case.champion}", "difference", "95% interval")
    for label, one in [(found.figure, found.overall), *found.classes.items()]:
        table.add_row(
            escape(on_one_line(label)),
            f"{one.first:.4f}",
            f"{one.second:.4f}",
            f"{one.difference:+.4f}",
            f"{one.low:+.4f} to {one.high:+.4f}",
        )
    Console().print(table)
    print(f"{found.images} test images ({case.test_digest[:12]}), {found.resamples} resamples")
    print(f"GFLOPs of an image: {case.gflops[0]:.3f}, champion {case.gflops[1]:.3f}")
    if case.lost_classes:
        print(on_one_line(f"shown to be worse at: {', '.join(case.lost_classes)}"))


def _refusal(case: Case, if_cheaper: bool) -> str:
    assert case.comparison is not None
    wanted = f"a map better than that of champion version {case.champion}"
    if if_cheaper:
        wanted += f", or fewer GFLOPs and a map at most {MARGIN} worse"
    return (
        f"{promotion.reference(case.name, case.version)}: expected {wanted}, whatever the luck of the images, got "
        f"{_in_words(case.comparison.overall)} on {case.comparison.images} images. Nothing was moved."
    )


def _in_words(one: Difference) -> str:
    return f"a difference of {one.difference:+.4f} (95% interval {one.low:+.4f} to {one.high:+.4f})"
