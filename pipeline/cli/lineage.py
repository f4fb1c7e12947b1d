"""`yolox lineage`: the chain from a registered version back to its data, link by link."""

from pipeline.cli.promote import registered
from pipeline.registry.lineage import chain


def lineage(version: str, name: str | None) -> int:
    """Print every link with `ok`, or what was lost of it. Exit code: 1 where a link is lost."""
    lost = 0
    for part in chain(registered(name), version):
        print(part.title)
        for link in part.links:
            state = "ok" if link.lost is None else f"lost: {link.lost}"
            print(f"  {link.name:<16} {link.value}  {state}" if link.checked else f"  {link.name:<16} {link.value}")
            lost += link.lost is not None
    print("every link is there" if not lost else f"{lost} links lost")
    return 1 if lost else 0
