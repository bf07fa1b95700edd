"""Flat totals of references, on a debug interpreter: ``python3-dbg tools/refleaks.py``.

Runs each scenario of tools/nomemory.py, with all the memory it wants, again and again, and compares what
``sys.gettotalrefcount()`` says after each round. The compiled modules have to be built for that interpreter:
``python3-dbg setup.py build_ext --inplace``.
"""

import gc
import itertools
import sys
import warnings

from nomemory import SCENARIOS

ROUNDS, REPEATS = 6, 20


def grown(make):
    """By how many references each round has grown, once everything that is made only once was made."""
    totals = [0] * (ROUNDS + 1)
    for place in range(ROUNDS + 1):
        for _ in range(REPEATS):
            attempt, check = make()
            attempt()
            check()
        attempt = check = None
        gc.collect()
        gc.collect()
        totals[place] = sys.gettotalrefcount()
    return [after - before for before, after in itertools.pairwise(totals)][1:]


def main():
    if not hasattr(sys, "gettotalrefcount"):
        sys.exit("this is no debug interpreter: it does not count references")
    warnings.simplefilter("ignore")
    leaking = []
    for name, make in SCENARIOS.items():
        growth = grown(make)
        # A round that leaks does so every time it is repeated.
        if min(growth) >= REPEATS:
            leaking.append(name)
        print(f"{'LEAKS' if name in leaking else 'flat':6} {name}: {growth}", flush=True)
    return bool(leaking)


if __name__ == "__main__":
    sys.exit(main())
