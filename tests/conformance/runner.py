"""CPython's own tests of asyncio, with `Routine` in the place of `Task`: ``python runner.py [--left-out] [MODULE [TEST…]]``.

Runs in a process of its own, as it changes what asyncio makes of a coroutine. The test suite is the running interpreter's: an
installation without ``test.test_asyncio`` has nothing to run, and the exit status is 77 then.

Where tests take a task class, they get `Routine`; elsewhere every loop has `routines.task_factory`, so that ``create_task``,
``TaskGroup``, ``gather`` and all else make routines.
"""

import argparse
import asyncio
import importlib
import sys
import unittest

import exceptions

import routines

NO_SUITE = 77
MODULES = ["test_tasks", "test_taskgroups", "test_timeouts", "test_queues", "test_locks", "test_waitfor"]


def install_factory():
    """From here on every new loop makes routines."""
    make = asyncio.BaseEventLoop.__init__

    def make_with_factory(self, *args, **kwargs):
        make(self, *args, **kwargs)
        self.set_task_factory(routines.task_factory)

    asyncio.BaseEventLoop.__init__ = make_with_factory


def routine_tests(module):
    """The test cases of `test_tasks` for a task class that is not asyncio's own."""
    from test.test_asyncio import utils

    class RoutineTests(module.BaseTaskTests, utils.TestCase):
        Task = routines.Routine
        Future = asyncio.Future
        all_tasks = staticmethod(asyncio.all_tasks)
        current_task = staticmethod(asyncio.current_task)

    kinds = [RoutineTests]
    for name in ("GenericTaskTests", "GatherTestsBase", "FutureGatherTests", "CoroutineGatherTests", "CompatibilityTests",
                 "RunCoroutineThreadsafeTests", "SleepTests", "WaitTests"):  # fmt: skip
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, unittest.TestCase):
            kinds.append(kind)
    return kinds


def all_tests(name, module):
    """The tests of one module that concern tasks."""
    loader = unittest.TestLoader()
    if name == "test_tasks":
        return unittest.TestSuite(loader.loadTestsFromTestCase(kind) for kind in routine_tests(module))
    return loader.loadTestsFromModule(module)


def suite(name):
    """The tests of one module, without those that cannot apply."""
    module = importlib.import_module(f"test.test_asyncio.{name}")
    kept = unittest.TestSuite()
    left_out = []
    for test in flatten(all_tests(name, module)):
        method = test.id().rpartition(".")[2]
        reason = exceptions.reason(name, method)
        if reason is None:
            kept.addTest(test)
        else:
            left_out.append(f"{name}: {method}: {reason}")
    return kept, left_out


def named(name, tests):
    """The tests of one module that are asked for by name, be they left out or not."""
    module = importlib.import_module(f"test.test_asyncio.{name}")
    return unittest.TestSuite(
        test for test in flatten(all_tests(name, module)) if test.id().rpartition(".")[2] in tests
    )


def flatten(tests):
    """The single tests of a suite."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main(argv):
    """Run what was asked for, or all; the exit status says how it went."""
    parser = argparse.ArgumentParser(description="CPython's own tests of asyncio, over routines")
    parser.add_argument(
        "--left-out", action="store_true", help="run the named tests although they are left out"
    )
    parser.add_argument("module", nargs="?", choices=MODULES)
    parser.add_argument("test", nargs="*")
    wanted = parser.parse_args(argv)
    try:
        importlib.import_module("test.test_asyncio.utils")
    except ImportError:
        print("this interpreter comes without the tests of asyncio")
        return NO_SUITE
    install_factory()
    failed = 0
    for name in [wanted.module] if wanted.module else MODULES:
        try:
            tests, left_out = suite(name)
        except ImportError:
            print(f"{name}: not in this interpreter")
            return NO_SUITE
        if wanted.test:
            tests = unittest.TestSuite(test for test in tests if test.id().rpartition(".")[2] in wanted.test)
        if wanted.left_out:
            tests = named(name, wanted.test)
        outcome = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(tests)
        failed += len(outcome.failures) + len(outcome.errors)
        print(*sorted(set(left_out)), sep="\n")
        print(f"{name}: {outcome.testsRun} ran, {len(left_out)} left out", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
