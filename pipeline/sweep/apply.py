"""`yolox sweep --apply`: the choice goes into params.yaml, whose comments and order stay; git shows the difference."""

import io

import yaml
from ruamel.yaml import YAML

from pipeline.config import paths
from pipeline.config.settings import settings_from
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
    text = paths.PARAMS.read_text(encoding="utf-8")
    settings_from(with_values(yaml.safe_load(text), chosen))
    editor = YAML()  # as it was written: comments, quotes, order
    editor.preserve_quotes = True
    editor.width = 4096
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    document = editor.load(text)
    for name, value in chosen.items():
        section, _, key = name.partition(".")
        if document.get(section) is None:
            document[section] = {}
        before = document[section].get(key)
        document[section][key] = value
        print(f"{name}: {before} -> {value}")
    changed = io.StringIO()
    editor.dump(document, changed)
    write_text(paths.PARAMS, changed.getvalue())
