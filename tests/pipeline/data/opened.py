"""Which images are decoded while a test runs."""

from typing import Any

import pytest

from pipeline.data.scan import image_scan
from yolox_core.structures import ImageArray


def opened_images(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the name of each image that a look decodes."""
    names: list[str] = []
    plain = image_scan.decode_image

    def decode_image(data: bytes, where: str, *how: Any) -> ImageArray:
        names.append(where)
        return plain(data, where, *how)

    monkeypatch.setattr(image_scan, "decode_image", decode_image)
    return names
