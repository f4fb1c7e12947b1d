"""The text of SET, cut into settings: `train.epochs=20 data.source={path:a b,classes:{cat:pet}}`.

Blanks within quotes and brackets belong to the value, and so do those before what is no `key=`. In a mapping
`name:value` may stand without the blank that YAML asks for.
"""

import re

NEXT_SETTING = re.compile(r"\s+(?=[A-Za-z_][\w.-]*=)")
OPENING, CLOSING, QUOTES = "[{", "]}", "'\""
BEFORE_A_QUOTE = "=[{,: "  # elsewhere a quote is a letter like any other: it's


def split_settings(text: str) -> list[str]:
    """One text for each setting; several, or one, or none."""
    settings, start, place = [], 0, 0
    text = text.strip()
    while place < len(text):
        place = _value_end(text, place)
        gap = NEXT_SETTING.match(text, place)
        if gap:
            settings.append(text[start:place])
            start = place = gap.end()
        else:
            place += 1
    return [*settings, text[start:]] if text else []


def spaced_mappings(text: str) -> str:
    """A value in which every key of a mapping in braces has its blank: `{a:b}` as `{a: b}`."""
    if not text.lstrip().startswith(tuple(OPENING)):
        return text
    written, open_brackets, is_key, place = "", "", False, 0
    while place < len(text):
        end = _quoted_end(text, place)
        letter = text[place]
        if letter in OPENING:
            open_brackets += letter
        elif letter in CLOSING:
            open_brackets = open_brackets[:-1]
        if letter in "{,":
            is_key = open_brackets.endswith("{")
        written += text[place:end]
        if letter == ":" and is_key:
            written, is_key = written + " ", False
        place = end
    return written


def _value_end(text: str, place: int) -> int:
    """Past the quoted or bracketed part that begins here; `place` itself where none does, or it does not end."""
    if text[place] in QUOTES:
        end = _quoted_end(text, place)
        return end if end > place + 1 else place
    if text[place] not in OPENING or text[place - 1 : place] not in ("=", ""):
        return place
    depth, end = 0, place
    while end < len(text):
        depth += (text[end] in OPENING) - (text[end] in CLOSING)
        end = _quoted_end(text, end)
        if depth == 0:
            return end
    return place


def _quoted_end(text: str, place: int) -> int:
    """Past the quoted part that begins here; past the one letter where none does."""
    quote = text[place]
    if quote not in QUOTES or (place and text[place - 1] not in BEFORE_A_QUOTE):
        return place + 1
    pattern = r"'(?:[^']|'')*'" if quote == "'" else r'"(?:[^"\\]|\\.)*"'
    quoted = re.compile(pattern, re.DOTALL).match(text, place)
    return quoted.end() if quoted else place + 1
