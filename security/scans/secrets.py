"""Secrets in the checkout's tracked files, beyond those that were looked at and are none (`secrets.baseline.json`).

After looking at new findings: `python -m refsys.security.scans.secrets` writes the baseline anew.
"""

import json
import re
from pathlib import Path
from typing import Any

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

from refsys.infra import paths, shell
from refsys.security.scans.report import Finding, Result

BASELINE = Path(__file__).parent / "secrets.baseline.json"

# Lists of hashes, made by programs.
LEFT_OUT = re.compile(r"(^|/)(go\.sum|[\w.-]*\.lock|[\w.-]*\.lock\.json|go-licences\.json|secrets\.baseline\.json)$")
SETTINGS: dict[str, Any] = {
    "plugins_used": [
        {"name": name}
        for name in (
            "ArtifactoryDetector",
            "AWSKeyDetector",
            "AzureStorageKeyDetector",
            "BasicAuthDetector",
            "GitHubTokenDetector",
            "GitLabTokenDetector",
            "JwtTokenDetector",
            "KeywordDetector",
            "NpmDetector",
            "PrivateKeyDetector",
            "PypiTokenDetector",
            "SlackDetector",
        )
    ]
    + [{"name": "Base64HighEntropyString", "limit": 4.5}, {"name": "HexHighEntropyString", "limit": 3.0}],
    # Nothing that asks a vendor whether a secret is real: findings stay on this machine.
    "filters_used": [
        {"path": f"detect_secrets.filters.{name}"}
        for name in (
            "allowlist.is_line_allowlisted",
            "heuristic.is_indirect_reference",
            "heuristic.is_likely_id_string",
            "heuristic.is_non_text_file",
            "heuristic.is_not_alphanumeric_string",
            "heuristic.is_potential_uuid",
            "heuristic.is_prefixed_with_dollar_sign",
            "heuristic.is_sequential_string",
            "heuristic.is_templated_secret",
        )
    ],
}


def tracked(checkout: Path = paths.CHECKOUT) -> list[str]:
    """The files that git knows, and that are no lists of hashes."""
    names = shell.run("git", "-C", checkout, "ls-files", "-z").split("\0")
    return [name for name in names if name and not LEFT_OUT.search(name) and (checkout / name).is_file()]


def collect(checkout: Path = paths.CHECKOUT) -> SecretsCollection:
    """Whatever looks like a secret."""
    found = SecretsCollection(root=str(checkout))
    with transient_settings(SETTINGS):
        found.scan_files(*tracked(checkout))
    return found


def examine(checkout: Path = paths.CHECKOUT, known: Path = BASELINE) -> Result:
    """Look at the tracked files of a checkout."""
    looked_at = {
        (file, entry["type"], entry["hashed_secret"])
        for file, entries in json.loads(known.read_text()).items()
        for entry in entries
    }
    result = Result({"checkout": str(checkout), "tracked files": str(len(tracked(checkout)))})
    for file, secret in collect(checkout):
        finding = Finding(secret.type, file, (f"line {secret.line_number}",), "high", "looks like a secret")
        if (file, secret.type, secret.secret_hash) in looked_at:
            result.accepted.append((finding, f"in {known.name}: looked at, and none"))
        else:
            result.findings.append(finding)
    return result


def accept() -> None:
    """Write down all that is found as looked at; of the values nothing but hashes is kept."""
    document: dict[str, list[dict[str, str]]] = {}
    # Lines move with every change, and do not count.
    for file, secret in collect():
        document.setdefault(file, []).append({"type": secret.type, "hashed_secret": secret.secret_hash})
    for entries in document.values():
        entries.sort(key=lambda entry: (entry["type"], entry["hashed_secret"]))
    BASELINE.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    accept()
