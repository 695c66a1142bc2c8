import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.materials import cache as module
from helpers.materials.cache import (
    RECORD,
    CacheError,
    InUseError,
    cache_folder,
    is_whole,
    locked,
    made_once,
    new_folder,
    seal,
    sha256,
)

ROOT = Path(__file__).parents[2]


def put(target, content):
    """Makes or replaces a folder with one file."""
    with new_folder(target) as scratch:
        (scratch / "weights").write_text(content)


class TestTheCache:
    def test_is_where_the_variable_says(self, monkeypatch, tmp_path):
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "here"))
        assert cache_folder() == tmp_path / "here"
        assert cache_folder().is_dir()

    @pytest.mark.parametrize("unset", [None, ""])
    def test_is_in_the_build_folder_of_a_clone_without_it(self, monkeypatch, unset):
        monkeypatch.delenv("COURSE_CACHE", raising=False)
        if unset is not None:
            monkeypatch.setenv("COURSE_CACHE", unset)
        assert cache_folder() == ROOT / "build" / "cache"

    def test_is_never_one_for_each_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("COURSE_CACHE", "my cache")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(CacheError, match=re.escape(f"COURSE_CACHE={tmp_path / 'my cache'}")):
            cache_folder()
        assert list(tmp_path.iterdir()) == []

    def test_may_lie_in_the_home_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("COURSE_CACHE", "~/mine")
        assert cache_folder() == tmp_path / "mine"


class TestANewFolder:
    def test_appears_only_when_its_block_ends_well(self, tmp_path):
        def fail():
            with new_folder(tmp_path / "model") as scratch:
                (scratch / "half").write_text("written")
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            fail()
        assert list(tmp_path.iterdir()) == []

    def test_that_fails_keeps_the_old_one(self, tmp_path):
        target = tmp_path / "model"
        put(target, "old")

        def fail():
            with new_folder(target) as scratch:
                (scratch / "weights").write_text("new")
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            fail()
        assert (target / "weights").read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]

    @pytest.mark.skipif(
        not hasattr(ctypes.CDLL(None), "renameat2"), reason="this system swaps in three steps"
    )
    def test_takes_the_place_of_the_old_one_in_one_step(self, monkeypatch, tmp_path):
        put(tmp_path / "model", "old")

        def rename(*paths):
            raise AssertionError("between two renamings a reader would find nothing")

        removed = []

        def remove(folder, ignore_errors):
            removed.append((folder / "weights").read_text())
            assert (tmp_path / "model" / "weights").read_text() == "new", (
                "removed before the new one was there"
            )
            rmtree(folder)

        rmtree = shutil.rmtree
        monkeypatch.setattr(Path, "rename", rename)
        monkeypatch.setattr(shutil, "rmtree", remove)
        put(tmp_path / "model", "new")
        assert removed == ["old"]

    def test_takes_the_place_of_the_old_one_where_the_system_cannot_swap(self, monkeypatch, tmp_path):
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
        for content in ("old", "new"):
            put(tmp_path / "model", content)
            assert (tmp_path / "model" / "weights").read_text() == content
        assert list(tmp_path.iterdir()) == [tmp_path / "model"]

    @pytest.mark.parametrize("before", [False, True], ids=["nothing", "an older one"])
    def test_never_replaces_what_it_did_not_find_at_its_start(self, tmp_path, before):
        target = tmp_path / "mine"
        if before:
            put(target, "old")

        def other_comes_between():
            with new_folder(target) as scratch:
                (scratch / "weights").write_text("late")
                put(target, "thesis")

        with pytest.raises(FileExistsError, match=r"mine was made by another process meanwhile"):
            other_comes_between()
        assert (target / "weights").read_text() == "thesis"
        assert list(tmp_path.iterdir()) == [target]

    def test_is_not_made_where_a_file_is(self, tmp_path):
        (tmp_path / "model").write_text("mine")
        with pytest.raises(FileExistsError, match="model is a file"):
            put(tmp_path / "model", "new")
        assert (tmp_path / "model").read_text() == "mine"

    @pytest.mark.parametrize("there", [True, False], ids=["a folder", "nothing"])
    def test_behind_a_symbolic_link_is_made_where_the_link_leads(self, tmp_path, there):
        (tmp_path / "disk").mkdir()
        if there:
            put(tmp_path / "disk" / "model", "old")
        (tmp_path / "model").symlink_to(tmp_path / "disk" / "model")
        put(tmp_path / "model", "new")
        assert (tmp_path / "model").is_symlink()
        assert (tmp_path / "disk" / "model" / "weights").read_text() == "new"
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["model"]

    @pytest.mark.parametrize(("umask", "folder", "file"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
    def test_has_the_permissions_that_the_umask_leaves(self, tmp_path, umask, folder, file):
        before = os.umask(umask)
        try:
            with new_folder(tmp_path / "model") as scratch:
                (scratch / "part").mkdir(mode=0o700)
                (scratch / "part" / "weights").touch(mode=0o600)  # as safetensors writes them
        finally:
            os.umask(before)
        found = [
            (path.stat().st_mode & 0o777) for path in (tmp_path / "model", *tmp_path.rglob("model/**/*"))
        ]
        assert found == [folder, folder, file]


class TestASealedFolder:
    @pytest.fixture
    def sealed(self, tmp_path):
        with new_folder(tmp_path / "model") as scratch:
            (scratch / "part").mkdir()
            (scratch / "weights").write_bytes(b"weights")
            (scratch / "part" / "config with a space.json").write_bytes(b"{}")
            seal(scratch)
        return tmp_path / "model"

    def test_is_whole(self, sealed):
        assert is_whole(sealed)

    @pytest.mark.skipif(shutil.which("sha256sum") is None, reason="the system has no sha256sum")
    def test_is_whole_by_the_systems_own_program(self, sealed):
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", RECORD], cwd=sealed, capture_output=True, text=True
        )
        assert checked.stdout.count(": OK") == 2
        assert checked.returncode == 0

    @pytest.mark.parametrize("name", ["weights", "part/config with a space.json"])
    @pytest.mark.parametrize("how", ["missing", "altered", "truncated", "a folder"])
    def test_with_a_damaged_file_is_not(self, sealed, name, how):
        file = sealed / name
        content = file.read_bytes()
        file.unlink()
        if how == "a folder":
            file.mkdir()
        elif how != "missing":
            file.write_bytes(b"X" + content[1:] if how == "altered" else content[:-1])
        assert not is_whole(sealed)

    @pytest.mark.parametrize(
        "record",
        [b"", b"\n", b"\xff\xfe", b"no digest", b"  weights\n", b"\0", b"{}", b"abc  \n", b"a  b\0c\n"],
    )
    def test_with_a_damaged_record_is_not(self, sealed, record):
        (sealed / RECORD).write_bytes(record)
        assert not is_whole(sealed)

    def test_without_a_record_or_without_itself_is_not(self, sealed):
        (sealed / RECORD).unlink()
        assert not is_whole(sealed)
        (sealed / RECORD).mkdir()
        assert not is_whole(sealed)
        assert not is_whole(sealed / "no such folder")
        assert not is_whole(sealed / "weights")

    def test_is_made_again_only_when_it_was_damaged(self, tmp_path):
        made = []

        def fill(folder):
            made.append(folder)
            (folder / "weights").write_text("weights")

        for _ in range(2):
            assert is_whole(made_once(tmp_path / "model", fill))
        assert len(made) == 1
        (tmp_path / "model" / "weights").write_text("WEIGHTS")
        assert is_whole(made_once(tmp_path / "model", fill))
        assert len(made) == 2


def started(code, folder, *more):
    """A process that runs `code`, where `say` tells the test something and `hear` waits for its answer."""
    preamble = (
        "import os, sys; from pathlib import Path\n"
        "from helpers.materials.cache import made_once, new_folder, seal, is_whole, locked\n"
        "target = Path(sys.argv[1])\n"
        "def say(words): print(words, flush=True)\n"
        "def hear(): sys.stdin.readline()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", preamble + code, str(folder / "model"), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


class TestProcessesAtOnce:
    def test_that_all_miss_a_folder_make_it_once_and_all_find_it_whole(self, tmp_path):
        code = (
            "def fill(folder):\n"
            "    with open(sys.argv[2], 'a') as log: log.write('made\\n')\n"
            "    for name in 'abc': (folder / name).write_bytes(os.urandom(10_000))\n"
            "say('ready'); hear()\n"
            "made_once(target, fill)\n"
            "say(is_whole(target) and (target / 'c').read_bytes().hex())\n"
        )
        racing = [started(code, tmp_path, str(tmp_path / "log")) for _ in range(6)]
        assert [process.stdout.readline() for process in racing] == ["ready\n"] * 6
        for process in racing:
            go_on(process)
        read = {process.communicate(timeout=60)[0].strip() for process in racing}
        assert read == {(tmp_path / "model" / "c").read_bytes().hex()}
        assert (tmp_path / "log").read_text() == "made\n"

    def test_that_take_no_lock_never_remove_each_others_folder(self, tmp_path):
        code = (
            "try:\n"
            "    with new_folder(target) as scratch:\n"
            "        (scratch / 'who').write_text(str(os.getpid())); seal(scratch)\n"
            "        say('filled'); hear()\n"
            "    say(os.getpid())\n"
            "except FileExistsError: say('taken')\n"
        )
        racing = [started(code, tmp_path) for _ in range(6)]
        assert [process.stdout.readline() for process in racing] == ["filled\n"] * 6
        for process in racing:
            go_on(process)
        said = sorted(process.communicate(timeout=60)[0].strip() for process in racing)
        assert said[1:] == ["taken"] * 5
        assert (tmp_path / "model" / "who").read_text() == said[0]
        assert is_whole(tmp_path / "model")
        assert list(tmp_path.iterdir()) == [tmp_path / "model"]

    def test_go_on_when_the_one_that_makes_it_is_killed(self, tmp_path):
        code = (
            "made_once(target, lambda folder: ((folder / 'half').write_text('x'), say('filling'), hear()))\n"
        )
        killed = started(code, tmp_path)
        assert killed.stdout.readline() == "filling\n"
        killed.kill()
        killed.communicate()
        assert not (tmp_path / "model").exists()
        made_once(tmp_path / "model", lambda folder: (folder / "weights").write_text("weights"))
        assert is_whole(tmp_path / "model")

    def test_are_told_who_holds_the_lock(self, tmp_path):
        holder = started("with locked(target): say('held'); hear()\n", tmp_path)
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(InUseError, match=rf"model is in use by process {holder.pid} on \S+\. Wait"),
            locked(tmp_path / "model", wait=False),
        ):
            raise AssertionError("two hold one lock")
        go_on(holder)
        holder.communicate(timeout=60)
        with locked(tmp_path / "model", wait=False):
            pass

    def test_share_one_lock_through_a_symbolic_link(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "model")
        with (
            locked(tmp_path / "model"),
            pytest.raises(InUseError),
            locked(tmp_path / "link", wait=False),
        ):
            raise AssertionError("two hold one lock")


def test_a_changed_file_gets_a_new_digest(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"a longer two"):
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_the_project_is_the_folder_of_the_table_of_contents():
    assert (module.PROJECT / "_toc.yml").exists()
