"""Base64 as tools write it, and what is no base64, against Python's own encoders."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolox_core.data.base64_text import decode_base64
from yolox_core.errors import InputError

WAYS = {
    "plain": lambda data: base64.b64encode(data).decode(),
    "a line end": lambda data: base64.b64encode(data).decode() + "\n",
    "lines of 76": lambda data: base64.encodebytes(data).decode(),
    "lines of a Windows tool": lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
    "without padding": lambda data: base64.b64encode(data).decode().rstrip("="),
    "for addresses": lambda data: base64.urlsafe_b64encode(data).decode(),
    "for addresses, without padding": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "a data: address": lambda data: f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
    "a data: address with more": lambda data: f" DATA:image/png;name=a.png;BASE64,{base64.b64encode(data).decode()}",
    "a quoted data: address": lambda data: (
        "data:image/png;base64," + base64.b64encode(data).decode().replace("+", "%2B").replace("=", "%3D")
    ),
}


@pytest.mark.parametrize("way", WAYS)
@given(data=st.binary(max_size=200))
def test_what_tools_write_is_read(way: str, data: bytes) -> None:
    assert decode_base64(WAYS[way](data), "image") == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*", "image: not base64"),
        ("AAAAA", "image: not base64"),
        ("AA=A", "image: not base64"),
        ("é" * 5000, "image: not base64 (other characters)"),
        ("data:text/plain,hello", "expected base64 after data:, got 'text/plain,'"),
        ("photos/cat.jpg", "a path or an address: 'photos/cat.jpg'. Read the file"),
        ("C:\\photos\\cat", "a path or an address"),
        ("https://example.org/cat", "a path or an address"),
        ("/photos/Zürich.png", "a path or an address"),
    ],
)
def test_what_is_none_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        decode_base64(text, "image")
    assert words in str(refused.value) and len(str(refused.value)) < 250
