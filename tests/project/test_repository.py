"""The address of the repository: from the settings, else from the clone, in every form that git accepts."""

import subprocess
from pathlib import Path

import pytest

from book.repository import Repository, RepositoryError, repository


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path):
    """Makes a repository with this origin and these settings."""

    def make(origin: str | None = None, settings: str = "title: A book\n") -> Path:
        folder = tmp_path / "clone"
        folder.mkdir()
        (folder / "_config.yml").write_text(settings)
        git(folder, "init", "--quiet")
        if origin is not None:
            git(folder, "remote", "add", "origin", origin)
        return folder

    return make


@pytest.mark.parametrize(
    "origin",
    [
        "https://github.com/ada/notes",
        "https://github.com/ada/notes.git",
        "https://github.com/ada/notes/",
        "https://github.com/ada/notes.git/",
        "https://www.github.com/ada/notes",
        "https://GitHub.com/ada/notes",
        "https://ada@github.com/ada/notes.git",
        "https://ada:secret@github.com/ada/notes.git",
        "https://x-access-token:ghs_123@github.com/ada/notes",
        "http://github.com/ada/notes",
        "git://github.com/ada/notes.git",
        "git@github.com:ada/notes.git",
        "git@github.com:/ada/notes",
        "github.com:ada/notes.git",
        "ssh://git@github.com/ada/notes.git",
        "ssh://git@github.com:22/ada/notes",
        "ssh://git@ssh.github.com:443/ada/notes.git",
        "git+ssh://git@github.com/ada/notes.git",
    ],
)
def test_every_form_of_an_address_on_github_names_one_repository(clone, origin):
    found = repository(clone(origin))
    assert found.url == "https://github.com/ada/notes"
    assert found.provider == "github"
    assert found.pages == "https://ada.github.io/notes/"
    assert found.pip("notebooks") == "git+https://github.com/ada/notes@notebooks"


@pytest.mark.parametrize(
    ("origin", "url", "pages"),
    [
        (
            "https://gitlab.com/Ada/notes.git",
            "https://gitlab.com/Ada/notes",
            "https://ada.gitlab.io/notes/",
        ),
        (
            "git@gitlab.com:school/class/notes.git",
            "https://gitlab.com/school/class/notes",
            "https://school.gitlab.io/class/notes/",
        ),
        (
            "ssh://git@altssh.gitlab.com:443/school/notes.git",
            "https://gitlab.com/school/notes",
            "https://school.gitlab.io/notes/",
        ),
        (
            "ssh://git@gitlab.example.org:2222/school/notes.git",
            "https://gitlab.example.org/school/notes",
            None,
        ),
        (
            "https://gitlab.example.org:8443/school/notes.git",
            "https://gitlab.example.org:8443/school/notes",
            None,
        ),
        ("http://gitlab.local/school/notes", "http://gitlab.local/school/notes", None),
    ],
)
def test_an_address_on_gitlab_keeps_its_groups_and_its_host(clone, origin, url, pages):
    found = repository(clone(origin))
    assert (found.url, found.provider, found.pages) == (url, "gitlab", pages)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "/srv/git/notes.git",
        "../notes",
        "file:///srv/git/notes.git",
        "C:/notes",
        "C:\\notes",
        "https://example.org/ada/notes",
        "git@example.org:ada/notes.git",
        "https://notgithub.com/ada/notes",
        "https://github.com.example.org/ada/notes",
        "https://github.com/ada",
        "https://github.com/ada/notes/tree/main",
        "https://github.com/ada/../notes",
        "https://github.com/ada/no<b>tes",
        "https://github.com:port/ada/notes",
        "https://gitlab.com/ada",
    ],
)
def test_a_clone_from_anywhere_else_has_no_address(clone, origin):
    assert repository(clone(origin)) is None


def test_a_folder_without_git_has_no_address(tmp_path):
    (tmp_path / "_config.yml").write_text("")
    assert repository(tmp_path) is None


def test_a_machine_without_git_has_no_address(clone, monkeypatch):
    folder = clone("https://github.com/ada/notes")
    monkeypatch.setenv("PATH", str(folder))
    assert repository(folder) is None


def test_a_copy_inside_another_repository_does_not_take_that_ones_address(clone):
    folder = clone("https://github.com/ada/homework") / "course"
    folder.mkdir()
    (folder / "_config.yml").write_text("")
    assert repository(folder) is None


def test_gits_own_abbreviations_are_understood(clone):
    folder = clone("gh:ada/notes")
    git(folder, "config", "url.https://github.com/.insteadOf", "gh:")
    assert repository(folder).url == "https://github.com/ada/notes"


def test_the_settings_win_over_the_clone(clone):
    folder = clone(
        "https://github.com/ada/notes",
        "repository:\n  url: https://gitlab.com/school/book\nhtml:\n  baseurl: https://book.example.org/reading\n",
    )
    assert repository(folder) == Repository(
        "https://gitlab.com", "school/book", "https://book.example.org/reading/"
    )


@pytest.mark.parametrize(
    "settings", ["", "repository:\n", "repository:\n  url:\n", 'repository:\n  url: ""\n']
)
def test_an_empty_setting_is_none(clone, settings):
    assert repository(clone("https://github.com/ada/notes", settings)).path == "ada/notes"


@pytest.mark.parametrize("value", ["github.com/ada/notes", "https://github.com/ada", "../notes", "3"])
def test_a_setting_that_cannot_be_used_is_named_with_its_remedy(clone, value):
    folder = clone("https://github.com/ada/notes", f"repository:\n  url: {value}\n")
    with pytest.raises(RepositoryError) as error:
        repository(folder)
    assert f"repository.url is '{value}'" in str(error.value)
    assert "such as https://github.com/owner/name" in str(error.value)


@pytest.mark.parametrize("value", ["book.example.org", "/reading", "https://", "https://a.org/?x=1"])
def test_an_address_of_the_site_that_cannot_be_used_is_named(clone, value):
    folder = clone("https://github.com/ada/notes", f"html:\n  baseurl: {value}\n")
    with pytest.raises(RepositoryError, match=r"html\.baseurl is"):
        repository(folder)


@pytest.mark.parametrize(
    ("origin", "pages"),
    [
        ("https://github.com/Ada/ada.github.io", "https://ada.github.io/"),
        ("https://gitlab.com/school/school.gitlab.io", "https://school.gitlab.io/"),
        ("https://github.com/Ada/Notes", "https://ada.github.io/Notes/"),
    ],
)
def test_the_repository_of_a_persons_own_site_is_published_at_its_root(clone, origin, pages):
    assert repository(clone(origin)).pages == pages
