"""Text from outside (file names, class names): whether UTF-8 can hold it, and how a message shows it."""


def is_utf8(text: str) -> bool:
    """Whether `text` can be written; a file name of other bytes, or a JSON escape, may bring half a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def on_one_line(text: str) -> str:
    r"""`text` with line breaks, control characters and half surrogates as Python escapes them: \n, \x1b, \ud800."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
