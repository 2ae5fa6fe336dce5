"""What the router does with remotes, by rclone: list, copy, compare, delete."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from refsys.services.common.names import shown
from refsys.services.common.rclone import Rclone, RcloneError
from refsys.services.routing.rules import Rule

HASH = "MD5"
PATH_LIMIT = 1024
INCOMING = ".refsys-incoming"
# Of these a file appears when it is complete; elsewhere it is written beside, compared, and renamed.
ATOMIC = frozenset({"s3", "swift", "azureblob", "b2"})
LIST_SECONDS = 3600.0
_SPEED = (
    "--retries=1", "--low-level-retries=2", "--contimeout=10s", "--timeout=60s", "--transfers=4", "--checkers=4",
    "--buffer-size=4M", "--s3-chunk-size=16M", "--s3-upload-concurrency=2", "--no-traverse",
)  # fmt: skip
_HASH_LINE = re.compile(r"([0-9a-f]{32})  (.+)")
_FRACTION = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True)
class Entry:
    """A version of a file at a source: its path there, size in bytes, time of modification; why it is refused."""

    path: str
    size: int
    modified: datetime
    refused: str = ""


def inside(place: str, folder: str) -> str:
    """A folder of a place."""
    return place + folder if place.endswith((":", "/")) else f"{place}/{folder}"


def entries(rclone: Rclone, rule: Rule) -> Iterator[Entry]:
    """The files of the rule's source that match its filters, one by one; raises `RcloneError`."""
    # One kind of flag alone keeps its order: the first that matches decides.
    filters = [f"--filter=- {each}" for each in (f"{INCOMING}/**", *rule.exclude)]
    filters += [f"--filter=+ {each}" for each in rule.include] + (["--filter=- *"] if rule.include else [])
    yield from _listed(rclone, rule.source, *filters)


def same_still(rclone: Rclone, rule: Rule, wanted: Mapping[str, tuple[int, datetime]]) -> list[str]:
    """Those of the paths that are at the source with the same size and time as before."""
    found = {entry.path: (entry.size, entry.modified) for entry in _listed(rclone, rule.source, names=list(wanted))}
    return [path for path, version in wanted.items() if found.get(path) == version]


def _listed(rclone: Rclone, place: str, *filters: str, names: Sequence[str] = ()) -> Iterator[Entry]:
    arguments = ("lsjson", place, "--recursive", "--files-only", "--no-mimetype", "--use-server-modtime", *filters)
    for line in rclone.lines(*arguments, names=names, seconds=LIST_SECONDS):
        text = line.strip().rstrip(",")
        if not text.startswith("{"):
            continue
        found = json.loads(text)
        path, refused = str(found["Path"]), ""
        if len(path) > PATH_LIMIT or not path.isprintable():
            path, refused = shown(path), "path is too long, or has characters that are not taken; rename the file"
        modified = datetime.fromisoformat(_FRACTION.sub(r"\1", str(found["ModTime"])))
        yield Entry(path, max(0, int(found["Size"])), modified, refused)


def copy(rclone: Rclone, rule: Rule, target: str, paths: Sequence[str], seconds: float) -> dict[str, str]:
    """Copy files whatever is at the target; returns reasons by path, of what rclone says failed (`""`: in general)."""
    try:
        rclone.run(
            "copy", rule.source, target, "--ignore-times", f"--bwlimit={rule.bandwidth}", *_SPEED,
            names=paths, seconds=seconds,
        )  # fmt: skip
    except RcloneError as error:
        return {**error.objects, "": str(error)}
    return {}


def rename(rclone: Rclone, source: str, target: str, path: str, seconds: float) -> None:
    """Move a file within a remote, over what is there; raises `RcloneError`.

    One by one, since rclone moves no folder into one that it lies in.
    """
    rclone.run("moveto", inside(source, path), inside(target, path), "--ignore-times", *_SPEED, seconds=seconds)


def delete(rclone: Rclone, place: str, paths: Sequence[str], seconds: float) -> None:
    """Delete files; raises `RcloneError`."""
    rclone.run("delete", place, names=paths, seconds=seconds)


def checksums(rclone: Rclone, place: str, paths: Sequence[str], seconds: float) -> dict[str, str]:
    """MD5 of files by path: as the remote tells it, else by reading them; what is not there has none."""
    found: dict[str, str] = {}
    for download in ((), ("--download",)):
        missing = [path for path in paths if path not in found]
        if missing:
            found |= _hashes(rclone, place, missing, seconds, download)
    return found


def _hashes(
    rclone: Rclone, place: str, paths: Sequence[str], seconds: float, download: tuple[str, ...]
) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        for line in rclone.lines("hashsum", HASH, place, *download, *_SPEED, names=paths, seconds=seconds):
            if match := _HASH_LINE.fullmatch(line.rstrip("\n")):
                found[match[2]] = match[1]
    except RcloneError:
        return found  # of the others nothing is known; they count as not delivered
    return found
