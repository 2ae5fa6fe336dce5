"""What the local cloud refuses before it touches anything."""

import os

import pytest

from refsys.infra.clouds.local import preflight
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError


def test_too_little_memory_names_both_figures() -> None:
    with pytest.raises(UserError, match=r"11264 MiB, this machine has 8000 MiB"):
        preflight.check_memory(Environment(name="local"), 8000)


def test_every_pool_counts() -> None:
    processing = {"min": 2, "max": 4, "memory_mib": 1024, "cpus": 1}
    environment = Environment.parse("local", {"local": {"processing": processing}})
    with pytest.raises(UserError, match=r"13312 MiB, this machine has 8000 MiB"):
        preflight.check_memory(environment, 8000)


def test_too_little_disk() -> None:
    with pytest.raises(UserError, match="3 GiB free"):
        preflight.check_disk(3)


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match="root"):
        preflight.check(Environment(name="local"))


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(preflight.PROGRAMS, "no-such-program", "its-package")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UserError, match="apt-get install its-package"):
        preflight.check(Environment(name="local"))


def test_a_missing_kernel_feature_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "FILE_SYSTEMS", ("no-such-fs",))
    with pytest.raises(UserError, match="no-such-fs"):
        preflight.check(Environment(name="local"))
