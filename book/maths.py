"""Formulas typeset at build time by KaTeX, so that pages ship no script for them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from book.assets import node_program

_NUMBERED = re.compile(r"\\(begin|end)\{(equation|align|gather|alignat|multline|flalign|eqnarray)\}")
_LIKE_ALIGN = re.compile(r"\\(begin|end)\{(?:multline|flalign|eqnarray)\*\}")


class MathsError(ValueError):
    """A formula that KaTeX cannot typeset; the message is KaTeX's own."""


class Typesetter:
    """KaTeX in a process of its own, asked over a pipe; started at the first formula."""

    def __init__(self, katex: Path) -> None:
        """Remember where KaTeX lies.

        Args:
            katex: the installed ``katex.min.js``.

        Raises:
            FileNotFoundError: it is not there.
        """
        if not katex.is_file():
            raise FileNotFoundError(f"KaTeX is missing: {katex} (run make site)")
        self.katex = katex
        self.process: subprocess.Popen[str] | None = None
        self.known: dict[tuple[str, bool], str] = {}

    def html(self, latex: str, display: bool) -> str:
        r"""LaTeX as HTML, with MathML inside, which screen readers take.

        Args:
            latex: the formula, without delimiters. Numbered environments are typeset without KaTeX's
                own number: the book counts its equations itself.
            display: a block of its own rather than part of a line.

        Raises:
            MathsError: KaTeX does not know a command, the formula is malformed, or KaTeX has died.
        """
        latex = _LIKE_ALIGN.sub(r"\\\1{align*}", _NUMBERED.sub(r"\\\1{\2*}", latex.strip()))
        key = (latex, display)
        if key not in self.known:
            self.known[key] = self._ask(latex, display)
        return self.known[key]

    def _ask(self, latex: str, display: bool) -> str:
        if self.process is None:
            script = Path(__file__).with_name("typeset.js")
            self.process = subprocess.Popen(
                [node_program(), script, self.katex],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"latex": latex, "display": display}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise MathsError("KaTeX ended without an answer")
        answer = json.loads(line)
        if "error" in answer:
            raise MathsError(answer["error"])
        return answer["html"]

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.communicate()
            self.process = None
