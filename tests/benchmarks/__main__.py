"""`make bench`: every benchmark, or those named: `make bench ARGS="splitter inserts"`."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    chosen = sys.argv[1:] or known
    if unknown := set(chosen) - set(known):
        sys.exit(f"no benchmark named {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    for name in chosen:
        print(f"\n=== {name} ===")
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()


main()
