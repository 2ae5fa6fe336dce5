"""Debian file trees and packages, from the package sources that this machine's apt is set up with."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from refsys.infra.errors import UserError
from refsys.platform.images import sbom
from refsys.platform.images.isolation import ENVIRONMENT, run, run_on
from refsys.platform.images.store import Json, Store

SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
REFRESH_SECONDS = 3600

# Manuals and translations are not for containers; copyright files stay, the licences ask for it.
DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*/*",  # the folders stay, scripts of packages put links there
    *(f"path-exclude=/usr/share/{name}/*" for name in ("info", "locale", "lintian", "bug")),
)

# The host's own configuration is left out: its hooks would run in the image, where their programs are not.
APT_CONFIG = """
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::State::status "{root}/var/lib/dpkg/status";
Dir::State::lists "{cache}/lists";
Dir::State::extended_states "{cache}/extended_states";
Dir::Etc::sourcelist "{cache}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Cache::archives "{archives}";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "{cache}/log";
DPkg::Chroot-Directory "{root}";
DPkg::Options {{ "--force-confold"; "--force-unsafe-io"; "--log=/dev/null"; }};
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "true";
Dpkg::Use-Pty "false";
Acquire::Languages "none";
Acquire::Retries "3";
"""


def bootstrap(root: Path, suite: str) -> None:
    """Fill the empty folder `root` with the suite's essential packages."""
    if suite != SUITE:
        raise UserError(f"suite {suite!r} is not supported", fix=f"write 'bootstrap: {SUITE}'")
    _require_root()
    command = ["mmdebstrap", "--variant=essential", "--mode=root", "--format=directory", "--quiet"]
    command += [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
    command += [f"--aptopt={line}" for line in _host_acquire_options()]
    run([*command, suite, str(root), *sources()], os.environ | ENVIRONMENT)
    root.chmod(0o755)
    # The image has no apt; its configuration would only carry this machine's mirror into the image.
    shutil.rmtree(root / "etc/apt", ignore_errors=True)


def install(store: Store, root: Path, packages: list[str]) -> None:
    """Install packages and what they need into the Debian tree `root`."""
    _require_root()
    with store.scratch() as work:
        _fetch(store, root, packages, work)
        config = _configure(store, root, root / "var/cache/apt/archives", work / "apt.conf")
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # no service may start while its package is installed
        policy.chmod(0o755)
        run_on(root, ["apt-get", "-q", "--no-download", "install", "--", *packages], {"APT_CONFIG": str(config)})


def drop_privileges(root: Path) -> None:
    """Take the set-user and set-group bits from all programs: nothing in a container may need them."""
    run(["find", str(root), "-xdev", "-type", "f", "-perm", "/6000", "-exec", "chmod", "ug-s", "{}", "+"])


def extract(store: Store, root: Path, packages: list[str]) -> list[Json]:
    """Unpack the files of packages into `root`, without their scripts; return their components."""
    components = []
    with store.scratch() as work:
        nothing = work / "nothing"
        (nothing / "var/lib/dpkg").mkdir(parents=True)
        (nothing / "var/lib/dpkg/status").touch()
        config = _configure(store, nothing, work / "archives", work / "apt.conf")
        with store.lock("apt"):
            _update(store, config)
            run(["apt-get", "-q", "download", "--", *packages], os.environ | {"APT_CONFIG": str(config)}, cwd=work)
        for package in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(package), str(root)])
            fields = next(_paragraphs(run(["dpkg-deb", "--field", str(package)])))
            components.append(_component(root, fields))
    for folder in ("man", "info", "locale", "lintian"):
        shutil.rmtree(root / "usr/share" / folder, ignore_errors=True)
    return components


def installed(root: Path) -> list[Json]:
    """Return the components of a Debian tree's package database."""
    status = (root / "var/lib/dpkg/status").read_text()
    return sorted(
        (_component(root, fields) for fields in _paragraphs(status) if fields.get("Status", "").endswith(" installed")),
        key=lambda component: component["purl"],
    )


def sources() -> list[str]:
    """Return the one-line package sources of this machine for the suite, its updates and security."""
    found: dict[tuple[str, str], list[str]] = {}
    query = ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"]
    for line in run([*query, "Created-By: Packages"]).splitlines():
        uri, release, component = line.split("|")
        if release in SUITES:
            components = found.setdefault((uri, release), [])
            if component not in components:
                components.append(component)
    if not any(release == SUITE for _, release in found):
        raise UserError(
            f"this machine's apt has no source for Debian {SUITE}",
            fix=f"add 'deb <mirror> {SUITE} main' to /etc/apt/sources.list.d",
        )
    return [f"deb [signed-by={KEYRING}] {uri} {release} {' '.join(c)}" for (uri, release), c in found.items()]


def _configure(store: Store, root: Path, archives: Path, path: Path) -> Path:
    cache = store.root / "debian"
    for folder in (cache / "lists/partial", cache / "archives/partial", cache / "log", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    store.write(cache / "sources.list", ("\n".join(sources()) + "\n").encode())
    options = APT_CONFIG.format(root=root, cache=cache, archives=archives)
    path.write_text(options + "".join(f"{line}\n" for line in _host_acquire_options()))
    return path


def _fetch(store: Store, root: Path, packages: list[str], work: Path) -> None:
    """Download into the cache of packages, then give the tree links to them."""
    shared = store.root / "debian/archives"
    config = _configure(store, root, shared, work / "fetch.conf")
    archives = root / "var/cache/apt/archives"
    archives.mkdir(parents=True, exist_ok=True)
    with store.lock("apt"):
        _update(store, config)
        fetch = ["apt-get", "-q", "--download-only", "install", "--", *packages]
        run(fetch, os.environ | {"APT_CONFIG": str(config)})
        for package in shared.glob("*.deb"):
            (archives / package.name).unlink(missing_ok=True)
            (archives / package.name).hardlink_to(package)


def _update(store: Store, config: Path) -> None:
    stamp = store.root / "debian/updated"
    if stamp.exists() and time.time() - stamp.stat().st_mtime < REFRESH_SECONDS:
        return
    run(["apt-get", "-q", "update"], os.environ | {"APT_CONFIG": str(config)})
    stamp.touch()


def _host_acquire_options() -> Iterator[str]:
    """How this machine reaches its package sources: proxies, authorities, checks of dates."""
    for line in run(["apt-config", "dump"]).splitlines():
        if re.match(r'Acquire::(https?::[\w:-]+|Check-[\w-]+) "[^"]+";$', line):
            yield line


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    for paragraph in text.split("\n\n"):
        fields = (line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        if values := dict(fields):
            yield values


def _component(root: Path, fields: dict[str, str]) -> Json:
    name, version = fields["Package"], fields["Version"]
    purl = sbom.debian_package(name, version, fields["Architecture"], fields.get("Source", ""))
    return sbom.component("library", name, version, purl, _licences(root / "usr/share/doc" / name / "copyright"))


def _licences(copyright_file: Path) -> list[str]:
    """Return the licence names of a machine-readable copyright file (DEP 5)."""
    try:
        text = copyright_file.read_text(errors="replace")
    except OSError:
        return []
    if "Format:" not in text[:400]:
        return []
    return sorted({name.strip() for name in re.findall(r"^License: *(\S[^\n]*)$", text, re.MULTILINE)})


def _require_root() -> None:
    if os.geteuid() != 0:
        raise UserError("file trees of Debian packages can be made only by root", fix="run the command with sudo")
