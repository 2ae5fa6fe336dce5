"""Compares what a bench run made with its reference, apart from the runner: what it reads is not to be trusted."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refsys.services.common.store import ObjectStore
from refsys.services.execution.errors import JobError
from refsys.services.execution.inputs import Inputs
from refsys.services.execution.outputs import Made
from refsys.services.production.order import Order

COMPARE_SECONDS = 3600


def compared(order: Order, made: Sequence[Made], work: Path, store: ObjectStore) -> dict[str, Any] | None:
    """Return how outputs compare with the reference; None where there is none.

    It comes only now, and not among the inputs that a node keeps: nothing that the processor could have seen.

    Raises:
        JobError: they can't be compared.
    """
    if not order.bench or not order.bench.reference:
        return None
    # A new name: what is there already was left by the processor.
    folder = Path(tempfile.mkdtemp(prefix="reference-", dir=work.parent))
    Inputs(store, folder).fetch(order.model_copy(update={"inputs": order.bench.reference}))
    return compare(files_of(made), folder, order.bench.rules)


def files_of(made: Sequence[Made]) -> dict[str, Path]:
    """The files of products by their path."""
    return {
        f"{each.name}/{file.relative_to(each.path).as_posix()}" if each.folder else each.name: file
        for each in made
        for file in each.files
    }


def compare(made: Mapping[str, Path], reference: Path, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return how files compare with those of a folder."""
    asked = {
        "made": {name: str(path) for name, path in made.items()},
        "reference": str(reference),
        "rules": rules,
    }
    command = [sys.executable, "-m", "refsys.services.bench"]
    try:
        ended = subprocess.run(
            command, input=json.dumps(asked).encode(), capture_output=True, timeout=COMPARE_SECONDS, check=False
        )
        found = json.loads(ended.stdout)
    except subprocess.TimeoutExpired:
        raise JobError(f"the comparison with the reference did not end within {COMPARE_SECONDS} s") from None
    except ValueError:
        said = ended.stderr.decode("utf-8", "replace")[-500:]
        raise JobError(f"the comparison with the reference failed: {said}") from None
    if "error" in found:
        raise JobError(f"outputs can't be compared with the reference: {found['error']}")
    result: dict[str, Any] = found
    return result
