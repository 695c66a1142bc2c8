"""What a piece of code names: modules that it imports or runs, and corpora that it reads.

Code inside strings, commands and the bodies of cell magics counts as code. What a variable names is refused.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from IPython.core.inputtransformer2 import TransformerManager

OURS = ("helpers", "book")
"""The packages whose files are followed; all others are decided by the lock."""
DATA_PACKAGE = "course_data"
READERS = {"read_corpus": ".jsonl", "data_card": ".md"}
"""The functions of `helpers.materials.corpora` and the endings of what they read."""
IMPORTERS = ("import_module", "__import__", "run_module", "run_path")

_OURS = rf"(?:{'|'.join(OURS)})"
CODE = re.compile(rf"\b(?:{'|'.join([*OURS, *READERS, *IMPORTERS])})\b")
MODULE = re.compile(rf"\b{_OURS}(?:\.\w+)+")
RUN = re.compile(rf"(?:^|\s)-m\s*({_OURS}\b[\w.]*)")
FROM = re.compile(rf"\bfrom\s+({_OURS}\b[\w.]*)\s+import\s+\(?([\w\s,]+)")
READ = re.compile(rf"\b({'|'.join(READERS)})\s*\(\s*([^)]*)")
DATA = re.compile(r"[\w-]+\.(?:jsonl|md)\b")
OUTSIDE = re.compile(r"(?:^|[\s/'\"])\.\./|^\.\.$")
"""A path that leaves the notebook's folder."""
VARIABLE = "\0"
UNSEEN = re.compile(
    rf"(?:\b{_OURS}\.(?:\w+\.)*|(?:^|\s)-m\s*|(?:^|[\n;])\s*import\s+){VARIABLE}"
    rf"|(?:^|[\n;])\s*from\s+{VARIABLE}\s+import\b"
)
"""Text in which a variable stands in the place of a module."""


class InputError(ValueError):
    """What a notebook runs or reads cannot be seen in its code; the message names the place and the remedy."""


@dataclass
class Named:
    """Modules that are imported, modules that are run by `-m`, and files of the folder `data` (`*`: all)."""

    modules: set[str] = field(default_factory=set)
    run: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)


@cache
def named_by(code: str, package: str | None = None) -> Named:
    """What Python code names, IPython's magics understood.

    Args:
        package: the dotted name of the package that a module stands in; None for a cell of a notebook.

    Raises:
        SyntaxError: it is not Python.
        InputError: a variable names what it runs or reads, or a cell reads outside its folder.
    """
    reader = _Reader(package)
    reader.code(code)
    return reader.named


def named_by_text(text: str) -> Named:
    """What a text names that need not be Python: a command, or a cell that is to fail."""
    reader = _Reader(None)
    reader.text(text)
    return reader.named


class _Reader(ast.NodeVisitor):
    def __init__(self, package: str | None) -> None:
        self.named = Named()
        self.package = package

    def code(self, source: str) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a text that is no code may hold any escape
                tree = ast.parse(TransformerManager().transform_cell(source))
        except ValueError as error:  # a character that no source may hold
            raise SyntaxError(str(error)) from error
        self.visit(tree)

    def text(self, text: str) -> None:
        self.named.run.update(RUN.findall(text))
        self.named.modules.update(MODULE.findall(text))
        self.named.data.update(DATA.findall(text), ["*"] if DATA_PACKAGE in text else [])
        if self.package is None and OUTSIDE.search(text):
            raise InputError(f"{text.strip()[:60]!r} leaves the notebook's folder. Read data by read_corpus.")
        if not CODE.search(text):
            return
        try:
            self.code(text)
        except SyntaxError:
            for module, names in FROM.findall(text):
                self.named.modules.update(f"{module}.{name}" for name in re.findall(r"\w+", names))
            for reader, argument in READ.findall(text):
                if not (name := re.fullmatch(r"['\"](\w+)['\"]\s*", argument)):
                    raise _unseen(f"{reader}({argument})") from None
                self.named.data.add(name[1] + READERS[reader])

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring runs nothing
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.text(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._template(node, "".join(_string(part) or VARIABLE for part in node.values))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._template(node, (_string(node.left) or "") + (_string(node.right) or VARIABLE))

    def _template(self, node: ast.JoinedStr | ast.BinOp, text: str) -> None:
        if UNSEEN.search(text):
            raise _unseen(ast.unparse(node))
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        self._words(node.elts)
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._words(node.elts)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        self._words(node.args)
        if name in READERS or name in IMPORTERS:
            self._by_name(name, node)
            children = [called.value] if isinstance(called, ast.Attribute) else []
        else:
            children = [called]
        for child in (*children, *node.args, *node.keywords):
            self.visit(child)

    def _by_name(self, function: str, call: ast.Call) -> None:
        arguments = [*call.args, *(word.value for word in call.keywords if word.arg in ("name", "mod_name"))]
        given = _string(arguments[0]) if arguments else None
        if given is None or given.startswith("."):
            raise _unseen(ast.unparse(call))
        if function in READERS:
            self.named.data.add(given + READERS[function])
        else:
            self._imported([given])
            self.named.run.update([given] if function == "run_module" else [])

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in READERS:
            raise _unseen(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in READERS:
            raise _unseen(node.attr)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self._imported(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name in READERS and alias.asname:
                raise _unseen(f"{alias.name} as {alias.asname}")
        above = (self.package or "").split(".") if node.level else []
        parts = [*above[: len(above) + 1 - node.level], *filter(None, [node.module])]
        self._imported([".".join([*parts, alias.name]) for alias in node.names])

    def _imported(self, names: Iterable[str]) -> None:
        for name in names:
            self.named.modules.add(name)
            self.named.data.update(["*"] if name.partition(".")[0] == DATA_PACKAGE else [])

    def _words(self, words: list[ast.expr]) -> None:
        for flag, word in pairwise(words):
            if _string(flag) == "-m":
                if (module := _string(word)) is None:
                    raise _unseen(f"-m {ast.unparse(word)}")
                self.named.run.add(module)


def _string(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _unseen(code: str) -> InputError:
    return InputError(
        f"{code!r} does not say what it runs or reads. Write the name there as a string, and call "
        f"{' and '.join(READERS)} by their own names."
    )
