"""Texts that attack where they are shown, and what must not reach a terminal, a log or a browser."""

from __future__ import annotations

import re

ESC = "\x1b"

PAYLOADS = {
    "image": "![b](http://127.0.0.1:9/image.png)",
    "osc52": f"{ESC}]52;c;ZWNobyBvd25lZA==\x07",
    "colors": f"{ESC}[31mred{ESC}[0m{ESC}[2J",
    "c1": "\x9b31mred\x85next",
    "forged line": "a\nBatch 0000: 9 files, 9 records read = 9 published + 0 quarantined",
    "forged line, CR": "a\r\nlake: everything is fine\r",
    "backspaces": "evil\x08\x08\x08\x08good\x7f",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069",
    "zero width": "ad\u200bmin\ufeff\u2060 a\u200db",
    "tags": "a\U000e0041\U000e0042",
    "link": "[click](javascript:alert(1)) [x]: http://evil.example",
    "address": "see http://evil.example/x and www.evil.example or a@evil.example",
    "html": "<img src=http://evil.example/x onerror=alert(1)><script>alert(1)</script><!-- -->",
    "fence": "```\n![b](http://evil.example)\n```",
    "span": "` ![b](http://evil.example) `` x",
    "table": "a | b \\| ![b](http://evil.example) |\n| c",
    "heading": "# heading\n> quote\n- item\n1. item\n---",
    "entity": "&lt;b&gt; &#33;&#91;b&#93;(http://evil.example)",
    "rich": "[red]x[/red][link=http://evil.example]y[/link][/]",
    "slack": "<!channel> <@U123> <http://evil.example|label> &amp;",
    "sql": "a'; DROP TABLE x; -- ` \" $$",
    "shell": "$(touch /tmp/x) `id`; 'a\" \n b",
    "format": "%s {0} ${x}",
}
"""By what they try. All are valid Unicode; names of files can also have bytes that are not UTF-8."""

HONEST = (
    "日本語 中文",
    "naïve Ünïcödé",
    "🎉 👩‍💻 ❤️‍🔥 👨‍👩‍👧",
    "می‌خواهم",
    "क्‍ष",
    "a\\b",
    "100 % *fine*",
    "x_y",
    "C:\\new",
)
"""Texts that stay as they are."""

_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def unsafe_characters(text: str) -> set[str]:
    """The characters of an output that a terminal could act on, other than line feeds."""
    return {f"U+{ord(character):04X}" for character in _UNSAFE.findall(text)}
