"""`yolox sweep --apply`: the choice goes into params.yaml, whose comments and order stay; git shows the difference."""

import yaml

from pipeline.config import paths
from pipeline.config.params_file import read_params
from pipeline.config.settings import settings_from
from pipeline.config.yaml_editor import YamlEditor
from pipeline.sweep.space import with_values
from pipeline.sweep.trial import RESULTS
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError


def apply() -> None:
    """Change params.yaml; InputError where no sweep has chosen, or what it chose is not legal there."""
    best = RESULTS / "best.yaml"
    if not best.is_file():
        raise InputError(f"{best}: no such file. Run `yolox sweep` first.")
    chosen = yaml.safe_load(best.read_text(encoding="utf-8"))["params"]
    settings_from(with_values(read_params(), chosen))
    editor = YamlEditor(paths.PARAMS.read_text(encoding="utf-8"))
    for name, value in chosen.items():
        print(f"{name}: {editor.put(name, value)} -> {value}")
    write_text(paths.PARAMS, editor.text())
