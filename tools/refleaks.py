"""Flat totals of references, on a debug interpreter: ``python3-dbg tools/refleaks.py [pytest arguments]``.

Runs each scenario of tools/nomemory.py, with all the memory it wants, again and again, and compares what
``sys.gettotalrefcount()`` says after each round, without the references to Cython's own types. With arguments, the same for
each test that pytest finds by them, with its fixtures. The compiled modules have to be built for that interpreter: ``python3-dbg setup.py build_ext --inplace``.
"""

import gc
import itertools
import sys
import warnings

from nomemory import SCENARIOS

ROUNDS, REPEATS = 6, 20

# Cython's coroutines and generators. With Cython 3.3.1 each that is made adds to the references of its type for good, which costs
# no memory and hides what does.
CYTHON_TYPES = [
    each
    for each in gc.get_objects()
    if isinstance(each, type) and str(each.__module__).startswith("_cython_")
]


def total():
    return sys.gettotalrefcount() - sum(map(sys.getrefcount, CYTHON_TYPES))


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
        totals[place] = total()
    return [after - before for before, after in itertools.pairwise(totals)][1:]


class EachTest:
    """A plugin of pytest's: runs each test as often as it takes to tell, and fails it where every round keeps references."""

    WARM, MEASURED = 3, 4

    def __init__(self):
        self.leaking = []
        self.measured = 0
        self.unrepeatable = []

    def pytest_runtest_protocol(self, item, nextitem):
        from _pytest.runner import runtestprotocol

        totals = [0] * (self.MEASURED + 1)
        for place in range(-self.WARM, self.MEASURED + 1):
            # What comes next is in the same module, so what is set up for that stays.
            reports = runtestprotocol(
                item, log=False, nextitem=item.parent if place < self.MEASURED else nextitem
            )
            skipped = any(report.skipped for report in reports)
            failed = any(report.failed for report in reports)
            reports = None
            item._report_sections.clear()  # what the test printed, kept for a report that nobody makes
            if skipped or failed:
                item.session._setupstate.teardown_exact(nextitem)
                if failed:
                    self.unrepeatable.append(item.nodeid)
                return True
            gc.collect()
            gc.collect()
            totals[max(place, 0)] = total()
        growth = [after - before for before, after in itertools.pairwise(totals)]
        self.measured += 1
        if min(growth) > 0:
            self.leaking.append(item.nodeid)
            print(f"LEAKS  {item.nodeid}: {growth}", flush=True)
        return True


def each_test(arguments):
    import pytest

    plugin = EachTest()
    pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[plugin])
    for name in plugin.unrepeatable:
        print(f"fails   {name}")
    print(
        f"{plugin.measured} tests measured, {len(plugin.leaking)} leak, {len(plugin.unrepeatable)} fail when they are repeated"
    )
    return bool(plugin.leaking) or not plugin.measured


def main():
    if not hasattr(sys, "gettotalrefcount"):
        sys.exit("this is no debug interpreter: it does not count references")
    if sys.argv[1:]:
        return each_test(sys.argv[1:])
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
