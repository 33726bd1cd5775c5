"""Text for people: characters that a terminal, a log or a page would act on are shown, not obeyed."""

import re

#: C0 and C1 controls, DEL, line and paragraph separators, marks that change the direction of text, half characters.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str) -> str:
    r"""The text on one line, with each such character as Python writes it: `\x1b`, `\n`, `\u202e`.

    Ids and messages of an API are shown through this; stored and sent they stay as they are.
    """
    return _UNSAFE.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """The same for a text of ours that has several lines: line breaks and tabs stay."""
    return _UNSAFE_BUT_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", errors="surrogatepass").decode("ascii")
