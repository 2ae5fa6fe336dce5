"""A signed apt repository whose packages have names, places and units of Wazuh's and Falco's, and do nothing.

They prove what roles do with packages; what the real programs make of the settings can't be seen here.
"""

import gzip
import hashlib
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from refsys.infra import shell

ADDRESS = "http://127.0.0.1:8099"
WAZUH, WAZUH_NEWER = "4.9.2-1", "4.14.1-1"
FALCO, FALCO_NEWER = "0.41.3", "0.42.0"
HEAD = """Package: {name}
Version: {version}
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: stands in for {name}
"""

# As Wazuh's own daemons: `-t` tests the settings, and rules with them.
DAEMON = """#!/usr/bin/python3
import sys, xml.etree.ElementTree as tree
if sys.argv[1:] != ["-t"]:
    sys.exit(2)
root = tree.parse("/var/ossec/etc/ossec.conf").getroot()
if root.tag != "ossec_config":
    sys.exit("no ossec_config")
if sys.argv[0].endswith("analysisd"):
    tree.parse("/var/ossec/etc/rules/local_rules.xml")
"""
WAZUH_SCRIPT = """#!/bin/sh
set -e
getent group wazuh >/dev/null || groupadd --system wazuh
getent passwd wazuh >/dev/null || useradd --system --gid wazuh --home-dir /var/ossec --no-create-home \
  --shell /usr/sbin/nologin wazuh
chown -R root:wazuh /var/ossec
chmod 0770 /var/ossec/etc /var/ossec/etc/rules
[ -e /var/ossec/etc/ossec.conf ] || echo '<ossec_config/>' >/var/ossec/etc/ossec.conf
[ ! -e /var/ossec/bin/wazuh-analysisd ] || [ -e /var/ossec/etc/rules/local_rules.xml ] ||
  echo '<group name="local,"/>' >/var/ossec/etc/rules/local_rules.xml
"""
UNIT = """[Unit]
Description=Stands in for {name}
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
DAEMONS = {
    "wazuh-manager": ("analysisd", "authd", "logcollector", "modulesd", "remoted", "syscheckd"),
    "wazuh-agent": ("agentd", "logcollector", "modulesd", "syscheckd"),
}
FALCO_PROGRAM = """#!/usr/bin/python3
import sys
arguments = sys.argv[1:]
texts = [open(file).read() for flag, file in zip(arguments[::2], arguments[1::2]) if flag == "-V"]
known = [line.split()[2] for text in texts for line in text.splitlines() if line.startswith("- macro:")]
if len(texts) != 2 or "spawned_process" not in known or "- rule:" not in texts[1]:
    sys.exit(1)
"""
FALCO_RULES = "- macro: spawned_process\n  condition: (evt.type in (execve, execveat))\n"
FALCO_SCRIPT = """#!/bin/sh
echo "$FALCO_FRONTEND $FALCO_DRIVER_CHOICE $FALCOCTL_ENABLED" >/var/lib/falco-asked
"""


def variables(folder: Path) -> dict[str, str]:
    """Make the repository in `folder`; return the roles' variables that name it."""
    place = folder / "repository"
    shutil.rmtree(place, ignore_errors=True)
    for version in (WAZUH, WAZUH_NEWER):
        for name, daemons in DAEMONS.items():
            _package(place, name, version, _wazuh(name, daemons), WAZUH_SCRIPT)
    for version in (FALCO, FALCO_NEWER):
        _package(place, "falco", version, _falco(), FALCO_SCRIPT)
    # Nobody asked for it.
    _package(place, "tzdata", "9999.0-1", {}, "")
    return {
        "wazuh_repository": ADDRESS,
        "wazuh_repository_key": _signed(place),
        "wazuh_version": WAZUH,
    }


def _wazuh(name: str, daemons: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    programs = {f"var/ossec/bin/wazuh-{daemon}": (DAEMON, 0o750) for daemon in daemons}
    return programs | {
        f"usr/lib/systemd/system/{name}.service": (UNIT.format(name=name), 0o644),
        "var/ossec/etc/client.keys": ("", 0o640),
        "var/ossec/etc/rules/README": ("", 0o640),
        "var/ossec/logs/alerts/alerts.json": ("", 0o640),
    }


def _falco() -> dict[str, tuple[str, int]]:
    units = {
        f"usr/lib/systemd/system/{name}.service": (UNIT.format(name=name), 0o644)
        for name in ("falco-modern-bpf", "falcoctl-artifact-follow")
    }
    return units | {
        "usr/bin/falco": (FALCO_PROGRAM, 0o755),
        "etc/falco/falco.yaml": ("config_files: [/etc/falco/config.d]\n", 0o644),
        "etc/falco/falco_rules.yaml": (FALCO_RULES, 0o644),
        "etc/falco/config.d/engine-kind-falcoctl.yaml": ("engine: {kind: kmod}\n", 0o644),
        "etc/falco/rules.d/README": ("", 0o644),
    }


def _package(place: Path, name: str, version: str, files: dict[str, tuple[str, int]], script: str) -> None:
    pool = place / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / name
        control = {"DEBIAN/control": (HEAD.format(name=name, version=version), 0o644)}
        after = {"DEBIAN/postinst": (script, 0o755)} if script else {}
        for path, (content, mode) in {**control, **after, **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
            (root / path).chmod(mode)
        shell.run("dpkg-deb", "--build", "--root-owner-group", "-Znone", root, pool / f"{name}_{version}_all.deb")


def _signed(place: Path) -> str:
    """Write the lists of packages, sign them with a new key, and return the key."""
    lists = place / "dists" / "stable" / "main" / "binary-amd64"
    lists.mkdir(parents=True)
    packages = "".join(map(_entry, sorted((place / "pool").glob("*.deb")))).encode()
    (lists / "Packages").write_bytes(packages)
    (lists / "Packages.gz").write_bytes(gzip.compress(packages))
    release = place / "dists" / "stable" / "Release"
    hashes = "".join(
        f" {hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_size} {file.relative_to(release.parent)}\n"
        for file in sorted(lists.iterdir())
    )
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    head = f"Origin: Wazuh\nSuite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\nDate: {now}\n"
    release.write_text(f"{head}SHA256:\n{hashes}")
    with tempfile.TemporaryDirectory() as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        shell.run(*gpg, "--quick-generate-key", "repository@example.org", "ed25519", "sign", "never")
        shell.run(*gpg, "--output", release.with_name("InRelease"), "--clearsign", release)
        key = shell.run(*gpg, "--armor", "--export")
        shell.run("gpgconf", "--homedir", home, "--kill", "all")
    return key


def _entry(file: Path) -> str:
    data = file.read_bytes()
    control = shell.run("dpkg-deb", "--field", file)
    return (
        f"{control.strip()}\nFilename: pool/{file.name}\nSize: {len(data)}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
    )
