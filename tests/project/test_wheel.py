"""What a wheel of Banter holds: all that its code imports of ours, or reads where it stands."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

from tests.project.source_tree import PACKAGES, ROOT, everywhere, imported

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGED = SETUPTOOLS["packages"]["find"]["include"]
# For whoever changes Banter: the sources of the catalogues, and what was tried in training.
UNREAD = {
    "locales/en/LC_MESSAGES/banter.po",
    "locales/ko/LC_MESSAGES/banter.po",
    "training/LOG.md",
}


def is_packed(package: str) -> bool:
    return any(fnmatch(package, pattern) for pattern in PACKAGED)


def files_in(package: Path) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def test_a_wheel_holds_every_file_that_stands_beside_the_code() -> None:
    packages = [folder for folder in ROOT.iterdir() if folder.is_dir() and is_packed(folder.name)]
    there = set[str]().union(*map(files_in, packages))
    packed = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package).glob(pattern)
    }
    assert packed == there - UNREAD
    assert {"bot", "cogs", "locales", "migrations"} <= {package.name for package in packages}


def test_a_wheel_holds_every_package_of_ours_that_its_code_imports() -> None:
    packed = [package for package in PACKAGES if is_packed(package)]
    missing = [
        f"{module}:{line} imports {name}"
        for module in everywhere(*packed)
        for name, line in imported(module)
        if name.partition(".")[0] in set(PACKAGES) - set(packed)
    ]
    assert not missing
