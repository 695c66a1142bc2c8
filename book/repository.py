"""The address of the repository that this book stands in: what buttons, set-up cells and links lead to.

It is typed nowhere. A clone knows where it comes from; ``_config.yml`` can name another address.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

NOTEBOOKS_BRANCH = "notebooks"
"""The branch with the learner's edition, which Colab and Binder open."""

OTHER_DOORS = {
    "www.github.com": "github.com",
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
}
"""Hosts that a clone may name for those that show pages."""

SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?!//)(?P<path>.+)")
"""git's short form of an ssh address."""

NAME = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]+")


class RepositoryError(ValueError):
    """``_config.yml`` holds an address that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Repository:
    """A public repository on GitHub or GitLab.

    Attributes:
        host: the web address of its host, such as ``https://github.com``.
        path: owner and name; on GitLab with the groups between them.
        pages: the address of the published site, with a slash at its end; None when unknown.
    """

    host: str
    path: str
    pages: str | None = None

    @property
    def url(self) -> str:
        """The address of the repository's own page."""
        return f"{self.host}/{self.path}"

    @property
    def provider(self) -> str:
        """``github`` or ``gitlab``."""
        return "github" if self.host == "https://github.com" else "gitlab"

    def pip(self, branch: str) -> str:
        """What ``pip install`` takes to install the helpers from ``branch``."""
        return f"git+{self.url}@{branch}"


def parse(address: str) -> Repository | None:
    """The repository that ``address`` names, in any form that git accepts, without user, token or ``.git``.

    Returns:
        None when it lies neither on GitHub nor on GitLab: another host, a path, a ``file://`` address.
    """
    scp = SCP.fullmatch(address)
    if scp:
        scheme, host, port, path = "ssh", scp["host"].lower(), None, scp["path"]
    else:
        try:
            parts = urlsplit(address)
            scheme, host, port, path = parts.scheme, parts.hostname or "", parts.port, parts.path
        except ValueError:
            return None
    if scheme not in {"http", "https", "ssh", "git", "git+ssh"}:
        return None
    host = OTHER_DOORS.get(host, host)
    names = path.strip("/").removesuffix(".git").split("/")
    if not all(NAME.fullmatch(name) for name in names):
        return None
    if host == "github.com":
        web, fits = "https://github.com", len(names) == 2
    else:
        # a self-hosted GitLab may listen elsewhere, or without TLS; a port of ssh says nothing of its pages
        door = f":{port}" if port and scheme.startswith("http") else ""
        web = f"{'http' if scheme == 'http' else 'https'}://{host}{door}"
        web = "https://gitlab.com" if host == "gitlab.com" else web
        fits = host.startswith("gitlab.") and len(names) >= 2
    return Repository(web, "/".join(names), _pages(web, names)) if fits else None


def _pages(web: str, names: list[str]) -> str | None:
    domain = {"https://github.com": "github.io", "https://gitlab.com": "gitlab.io"}.get(web)
    if domain is None:
        return None
    owner = names[0].lower()
    below = [name for name in names[1:] if name.lower() != f"{owner}.{domain}"]
    return f"https://{owner}.{domain}/" + "".join(f"{name}/" for name in below)


def origin(root: Path) -> str | None:
    """The address that git calls ``origin`` in the clone whose top folder is ``root``; None without one."""
    answers = []
    for question in (["rev-parse", "--show-cdup"], ["remote", "get-url", "origin"]):
        try:
            done = subprocess.run(["git", *question], cwd=root, capture_output=True, text=True)
        except FileNotFoundError:
            return None
        if done.returncode:
            return None
        answers.append(done.stdout.strip())
    above, address = answers
    return None if above else address


def repository(root: Path) -> Repository | None:
    """Where the repository ``root`` is published: as ``_config.yml`` says, else as the clone's origin says.

    Returns:
        None when neither names a repository on GitHub or GitLab.

    Raises:
        RepositoryError: ``repository.url`` or ``html.baseurl`` of ``_config.yml`` cannot be used.
    """
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8")) or {}
    typed = _setting(settings, "repository", "url")
    site = _setting(settings, "html", "baseurl")
    if site and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", site):
        raise RepositoryError(
            f"_config.yml: html.baseurl is {site!r}; give the site's whole address, such as "
            "https://book.example.org/, or leave it out"
        )
    found = parse(typed or origin(root) or "")
    if typed and found is None:
        raise RepositoryError(
            f"_config.yml: repository.url is {typed!r}; give the address of a repository on GitHub or "
            "GitLab, such as https://github.com/owner/name, or leave it out: then it is the clone's origin"
        )
    if found and site:
        return Repository(found.host, found.path, site.rstrip("/") + "/")
    return found


def _setting(settings: Any, section: str, name: str) -> str:
    below = settings.get(section) if isinstance(settings, dict) else None
    value = below.get(name) if isinstance(below, dict) else None
    return "" if value is None else str(value).strip()
