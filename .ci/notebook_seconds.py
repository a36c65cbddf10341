"""Hold the notebooks to their time: FGSSL_NOTEBOOK_S seconds each (60), FGSSL_NOTEBOOKS_S all together (900).

`python .ci/notebook_seconds.py JUNIT.xml`, with what `pytest --nbmake --junitxml` wrote. A machine that others keep
busy takes up to SLACK times as long: what is over its limit is told, what is over SLACK times that fails.
"""

from __future__ import annotations

import os
import sys
from xml.etree import ElementTree

SLACK = 2


def seconds(junit: str) -> dict[str, float]:
    """Wall-clock seconds of every test in a JUnit file, by its name."""
    return {case.attrib["name"]: float(case.attrib["time"]) for case in ElementTree.parse(junit).iter("testcase")}


def over(taken: dict[str, float], each_s: float, all_s: float) -> list[str]:
    """What took longer than it may, one line each."""
    found = [f"{name} took {time:.1f} s, at most {each_s:g} s" for name, time in taken.items() if time > each_s]
    total = sum(taken.values())
    return found + ([f"all together took {total:.1f} s, at most {all_s:g} s"] if total > all_s else [])


def main(junit: str) -> int:
    """Report the times; the exit status."""
    each_s = float(os.environ.get("FGSSL_NOTEBOOK_S", "60"))
    all_s = float(os.environ.get("FGSSL_NOTEBOOKS_S", "900"))
    taken = seconds(junit)
    if not taken:
        print("no notebook was run")
        return 1
    print(f"{len(taken)} notebooks: {max(taken.values()):.1f} s at most, {sum(taken.values()):.1f} s together")
    print("\n".join(over(taken, each_s, all_s)))
    return 1 if over(taken, SLACK * each_s, SLACK * all_s) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
