"""Colab's list agrees with the bounds, and the environments made from it keep apart."""

import tomllib

import pytest
from environments import ROOT, copy_of, new_bytes, parsed, pins
from packaging.requirements import Requirement

LINES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
BOUNDS = {item.name: item.specifier for item in map(Requirement, LINES)}


def test_of_what_colab_ships_three_packages_are_too_old_and_all_else_is_kept():
    shipped = pins("colab")
    outside = {
        name for name, bound in BOUNDS.items() if name in shipped and not bound.contains(shipped[name])
    }
    assert outside == {"transformers", "tokenizers", "huggingface-hub"}


def test_colabs_list_leaves_torch_out():
    assert "torch" not in pins("colab")


def test_versions_that_are_unknown_are_named():
    with pytest.raises(ValueError, match=r"VERSIONS=oldest is unknown\. Use one of colab, lowest, newest"):
        pins("oldest")


def test_versions_are_read_from_a_lock_with_hashes_and_from_a_plain_list():
    text = "# a comment\nPyYAML==6.0.3\nhuggingface_hub==1.27.0 ; python_version > '3'\nx==1 \\\n    --hash=sha256:0\n"
    assert parsed(text) == {"pyyaml": "6.0.3", "huggingface-hub": "1.27.0", "x": "1"}


def test_what_is_installed_into_a_copy_is_counted_and_does_not_reach_the_original(tmp_path):
    original = tmp_path / "original"
    (original / "package").mkdir(parents=True)
    (original / "package" / "kept.py").write_text("kept")
    (original / "package" / "replaced.py").write_text("old")
    (original / "link").symlink_to(original / "package")
    copy = copy_of(original, tmp_path / "copy")
    assert new_bytes(copy) == 0
    (copy / "package" / "replaced.py").unlink()
    (copy / "package" / "replaced.py").write_text("newer")
    (copy / "package" / "replaced.pyc").write_text("bytecode")
    assert new_bytes(copy) == len("newer")
    assert (original / "package" / "replaced.py").read_text() == "old"
