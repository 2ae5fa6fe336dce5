"""Compares what stdin names, as JSON, and writes what it found to stdout: a process of its own, that may fail alone.

{"made": {name: path}, "reference": folder, "rules": {…}}
"""

import json
import sys
from pathlib import Path

from pydantic import ValidationError

from refsys.services.bench.compare import StrangeError, compare, files_below
from refsys.services.bench.rules import Rules


def main() -> None:
    """Compare."""
    asked = json.load(sys.stdin)
    made = {name: Path(path) for name, path in asked["made"].items()}
    try:
        rules = Rules.model_validate(asked["rules"])
        found = compare(made, files_below(Path(asked["reference"])), rules).model_dump_json(by_alias=True)
    except ValidationError as error:
        problem = error.errors()[0]
        found = json.dumps({"error": f"rules: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"})
    except StrangeError as error:
        found = json.dumps({"error": str(error)})
    sys.stdout.write(found)


if __name__ == "__main__":
    main()
