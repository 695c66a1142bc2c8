"""MyST Markdown as plain Markdown that JupyterLab, Colab and VS Code show alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from book.edition.references import EditionError, References

PIECES = re.compile(
    r"(?P<fence>^(?P<ticks>`{3,})[^\n]*\n.*?^(?P=ticks)$)"
    r"|\$\$(?P<formula>(?:[^$]|\\\$)+?)\$\$(?:[ \t]*\((?P<label>[\w-]+)\))?"
    r"|\{(?P<role>[a-z][a-z:]*)\}`(?P<content>[^`]+)`"
    r"|(?P<code>(?P<quote>`+)(?!`).*?(?<!`)(?P=quote)(?!`))"
    r"|\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<address>[^()\s]+)\)",
    re.MULTILINE | re.DOTALL,
)
"""What needs a look, in one pass from left to right, so that nothing inside code is touched."""

DIRECTIVE = re.compile(
    r"^:::\{(?P<kind>\w+)\}[ \t]*(?P<title>[^\n]*)\n(?P<body>.*?)^:::$", re.MULTILINE | re.DOTALL
)
DEFINITION = re.compile(r"^(?P<term>\S[^\n]*)\n: (?P<text>[^\n]*)$", re.MULTILINE)
BOXES = {"warning": "Warning", "note": "Note"}
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


class Plain:
    """Makes the Markdown of one page plain.

    Args:
        page: the page, such as ``chapters/02_tokenization``.
        references: where its references lead.
        values: what its notebook recorded for its text.
    """

    def __init__(self, page: str, references: References, values: Mapping[str, str]) -> None:
        self.page = page
        self.references = references
        self.values = values
        self._roles: dict[str, Callable[[str], str]] = {
            "glue:text": self._value,
            "term": self._term,
            "eq": self._equation,
            "cite": self._citations,
            "cite:t": self._citations_in_text,
        }

    def text(self, source: str) -> str:
        """One text of the page in plain Markdown.

        Raises:
            EditionError: a role, a directive or a reference that is not known; the message names it.
        """
        text = DIRECTIVE.sub(self._box, source)
        text = PIECES.sub(self._piece, text)
        return DEFINITION.sub(r"- **\g<term>**: \g<text>", text)

    def link(self, text: str, target: str) -> str:
        """A link to the notebook of another page."""
        return f"[{text}]({self.references.link(self.page, target)})"

    def _piece(self, match: re.Match[str]) -> str:
        if match["role"]:
            if match["role"] not in self._roles:
                raise EditionError(f"{self.page}: the role {match['role']!r} is not known to the edition")
            return self._roles[match["role"]](" ".join(match["content"].split()))
        if match["label"]:
            _, number = self.references.equation(self.page, match["label"])
            formula = match["formula"].rstrip()
            return f"$${formula} \\tag{{{number}}}\n$$"
        if match["address"]:
            return self._link(match["text"], match["address"])
        return match[0]

    def _value(self, name: str) -> str:
        if name not in self.values:
            raise EditionError(f"{self.page}: its notebook recorded no value {name!r}")
        return SPECIAL.sub(r"\\\1", self.values[name])

    def _term(self, content: str) -> str:
        shown, address, entry = self.references.term(self.page, content)
        return f'[{shown}]({address} "{hint(entry.text)}")'

    def _equation(self, label: str) -> str:
        address, number = self.references.equation(self.page, label)
        return f"[({number})]({address})"

    def _citations(self, keys: str) -> str:
        found = self.references.citations(self.page, keys)
        return "[" + ", ".join(f"[{author}, {year}]({address})" for author, year, address in found) + "]"

    def _citations_in_text(self, keys: str) -> str:
        found = self.references.citations(self.page, keys)
        return ", ".join(f"[{author} \\[{year}\\]]({address})" for author, year, address in found)

    def _link(self, text: str, address: str) -> str:
        shown = PIECES.sub(self._piece, text)
        path, _, anchor = address.partition("#")
        if ":" in path or not (anchor or path.endswith((".md", ".ipynb"))):
            return f"[{shown}]({address})"
        target = self.page
        if path:
            below = PurePosixPath(self.page).parent / path
            target = _normal(below.with_suffix(""))
        if anchor:
            where, title = self.references.heading(self.page, target, anchor)
        else:
            where, title = self.references.link(self.page, target), self.references.titles[target]
        return f"[{shown or title}]({where})"

    def _box(self, match: re.Match[str]) -> str:
        if match["kind"] not in BOXES:
            raise EditionError(f"{self.page}: the directive {match['kind']!r} is not known to the edition")
        title = match["title"].strip() or BOXES[match["kind"]]
        body = match["body"].strip("\n")
        lead = f"**{title}.** {body}" if body.startswith("**") else f"**{title}**\n\n{body}"
        return "\n".join(f"> {line}".rstrip() for line in lead.splitlines())


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def hint(text: str) -> str:
    """The first sentence of a glossary entry, for a link's title: no mark-up, no quotation marks."""
    plain = re.sub(r"\{[a-z:]+\}`([^`<]+?)(?:\s*<[^`]*>)?`", r"\1", text)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    plain = re.sub(r"[`*$]", "", plain.replace("\n", " ")).replace('"', "”").replace("\\", "")
    sentence = re.match(r".*?[.!?](?=\s|$)", plain)
    return (sentence[0] if sentence else plain).strip()
