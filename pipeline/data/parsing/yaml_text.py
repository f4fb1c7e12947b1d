"""YAML from outside, and our own: the one place that knows the library.

Aliases, tags and deep nesting are refused before anything is built: a few lines of aliases or nesting can fill any
memory or stack, and a tag on a wrong value breaks the library.
"""

from typing import Any

_DEEPEST = 20  # levels; a data.yaml has three


def parse(text: str) -> Any:
    """The document in `text`; ValueError, with a reason on one line, where there is none."""
    import yaml  # here, so that training, which reads none, does without it

    try:
        return _parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # ten times as fast, where it was built
    except ValueError:
        return _parse(text, yaml.SafeLoader)  # so that what counts as YAML does not depend on how the library was built


def dump(document: dict[str, Any]) -> str:
    """The document as YAML, its keys in the given order; `parse` gives it back."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(document, Dumper=dumper, allow_unicode=True, sort_keys=False))


def _parse(text: str, loader: Any) -> Any:
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or depth > _DEEPEST:
                raise ValueError("an alias, a tag, or lists and mappings too deep in each other")
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, OverflowError) as broken:  # Overflow: a time such as 1:1:1:1:1
        raise ValueError(" ".join(str(broken).split())) from broken
