"""The theme's icons that this book shows, as a style sheet of a few KB.

The theme brings all of Font Awesome as a script (0.5 MB gzipped) and as fonts (0.3 MB). The outlines of
the icons in use are taken from that script at build time. An icon that is not listed here still shows:
the browser then fetches the theme's font for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

ICONS = (
    "angle-left", "angle-right", "arrow-up", "bars", "chevron-down", "circle-half-stroke", "code", "download",
    "file", "file-pdf", "github", "gitlab", "list", "magnifying-glass", "moon", "outdent", "rocket", "sun", "xmark",
)  # fmt: skip
"""Icons of the theme's buttons."""

ADMONITIONS = {
    "": "bell",
    "note": "circle-info",
    "attention": "circle-exclamation",
    "important": "circle-exclamation",
    "caution": "triangle-exclamation",
    "warning": "triangle-exclamation",
    "danger": "triangle-exclamation",
    "error": "circle-xmark",
    "hint": "lightbulb",
    "tip": "lightbulb",
    "seealso": "share",
}
"""The icon of each kind of admonition; the empty kind is the one without a name of its own."""

_GLYPH = re.compile(r"""["']?([a-z0-9-]+)["']?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]""")


@dataclass(frozen=True)
class Glyph:
    """An outline in a box of ``width`` × ``height`` units."""

    width: int
    height: int
    path: str

    def image(self) -> str:
        """The glyph as a CSS image."""
        box = f"0 0 {self.width} {self.height}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><path d="{self.path}"/></svg>'
        return f'url("data:image/svg+xml,{quote(svg, safe=" =:/")}")'


def glyphs(script: str) -> dict[str, Glyph]:
    """The outlines in Font Awesome's script by name; of several styles of one name, the last: solid."""
    return {
        name: Glyph(int(width), int(height), path) for name, width, height, path in _GLYPH.findall(script)
    }


def style(script: str) -> str:
    """The style sheet that shows the icons in use without Font Awesome's fonts.

    Args:
        script: the text of the theme's ``fontawesome.js``.

    Raises:
        KeyError: an icon of :data:`ICONS` or :data:`ADMONITIONS` is not in the script.
    """
    found = glyphs(script)
    # A browser fetches the font of a box even when no character is in it: so these take the text's font.
    boxes, marks = (",".join(f".fa-{name}{part}" for name in ICONS) for part in ("", "::before"))
    rules = [
        f"{boxes}{{font-family:inherit}}",
        f'{marks}{{content:"";display:inline-block;height:1em;vertical-align:-.125em;'
        "background:currentColor;mask:var(--course-icon) center/contain no-repeat}",
    ]
    for name in ICONS:
        glyph = found[name]
        width = glyph.width / glyph.height
        rules.append(f".fa-{name}::before{{width:{width:.4g}em;--course-icon:{glyph.image()}}}")
    empty = ";".join(f'--pst-icon-admonition-{kind or "default"}:""' for kind in ADMONITIONS)
    rules.append(f":root{{{empty}}}")
    for kind, name in ADMONITIONS.items():
        selector = f".admonition.{kind}" if kind else ".admonition"
        rules.append(f"{selector}>.admonition-title{{--course-icon:{found[name].image()}}}")
    rules.append(
        "div.admonition>.admonition-title::after"
        "{top:.72rem;font-family:inherit;background:currentColor;mask:var(--course-icon) center/contain no-repeat}"
    )
    return "\n".join(rules) + "\n"
