"""python -m bench.table [results.json]: the table of the last full run in Markdown, for docs/performance.md."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.results import LAST, Results


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else LAST
    try:
        results = Results.read(path)
    except FileNotFoundError:
        print(f"there is no {path}; a full run of `make bench` writes {LAST.name}", file=sys.stderr)
        return 1
    on = results.measured
    machine = f"{on['cores']} cores ({on['processor']})"
    print(f"Measured on {on['at'][:10]}, with {machine}, {on['python']} and SQLite {on['sqlite']}.")
    print()
    print(results.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
