"""Look for what a run hides: errors that a widget swallowed, and warnings on red ground.

`python .ci/widget_errors.py EXECUTED.ipynb...`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fgssl_edu.runs.notebook import scan_widget_errors


def warnings(notebook: dict) -> list[str]:
    """The first line of everything that a cell wrote to standard error."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return ["".join(output["text"]).splitlines()[0] for output in outputs if output.get("name") == "stderr"]


def main(names: list[str]) -> int:
    """Report each hidden error; the exit status."""
    failed = 0
    for name in names:
        notebook = json.loads(Path(name).read_text(encoding="utf-8"))
        executed = any(cell.get("outputs") for cell in notebook["cells"])
        errors = [*scan_widget_errors(notebook), *warnings(notebook)] if executed else ["it was not executed"]
        failed += bool(errors)
        print(f"{Path(name).name}: {'; '.join(errors) or 'nothing hidden'}")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
