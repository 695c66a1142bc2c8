"""The buttons that lead out of a page: to its notebook in Binder or Colab, and to the repository.

The theme writes Binder's and Colab's addresses itself, but for a notebook that lies where its page does,
in a repository without groups. Ours lies on a branch of its own, so the addresses are written here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from book.edition.references import name
from book.repository import NOTEBOOKS_BRANCH, Repository


def binder(place: Repository, hub: str, page: str) -> str:
    """The address that opens the notebook of ``page`` in JupyterLab on the BinderHub ``hub``."""
    if place.url == f"https://github.com/{place.path}":
        source = f"gh/{place.path}"
    elif place.url == f"https://gitlab.com/{place.path}":
        source = f"gl/{quote(place.path, safe='')}"
    else:
        source = f"git/{quote(place.url, safe='')}"
    return f"{hub.rstrip('/')}/v2/{source}/{NOTEBOOKS_BRANCH}?urlpath=lab/tree/{name(page)}"


def colab(place: Repository, host: str, page: str) -> str:
    """The address that opens the notebook of ``page``, on GitHub, in Colab."""
    return f"{host.rstrip('/')}/github/{place.path}/blob/{NOTEBOOKS_BRANCH}/{name(page)}"


def launch_group(place: Repository, hosts: dict[str, str], page: str) -> dict[str, Any] | None:
    """The theme's group of launch buttons for ``page``.

    Args:
        place: the repository.
        hosts: ``launch_buttons`` of ``_config.yml``: ``binderhub_url`` and ``colab_url``, where wanted.
        page: the page's name, such as ``chapters/02_tokenization``.

    Returns:
        None when no button is left.
    """
    buttons = []
    if hub := hosts.get("binderhub_url"):
        buttons.append(_button("Binder", "logo_binder.svg", binder(place, hub, page)))
    if (host := hosts.get("colab_url")) and place.provider == "github":  # Colab reads no other
        buttons.append(_button("Colab", "logo_colab.png", colab(place, host, page)))
    if not buttons:
        return None
    group = {"type": "group", "tooltip": "Run this chapter", "icon": "fas fa-rocket"}
    return {**group, "label": "launch-buttons", "buttons": buttons}


def _button(text: str, logo: str, address: str) -> dict[str, str]:
    kind = {"type": "link", "text": text, "tooltip": f"Open in {text}"}
    return {**kind, "icon": f"_static/images/{logo}", "url": address}


def theme_options(place: Repository | None) -> dict[str, Any]:
    """The theme's settings for the repository's icon; without a repository there is none."""
    if place is None:
        return {"use_repository_button": False, "repository_url": ""}
    return {
        "use_repository_button": True,
        "repository_url": place.url,
        "repository_provider": place.provider,
    }
