"""Coverage-guided fuzzing of the public surface with hostile objects: ``python tools/fuzz.py [libFuzzer options]``.

Needs ``pip install atheris``. It draws the same attacks as tests/test_proof_hostile.py, without end or, with
``-max_total_time=120``, for so many seconds; a crash or a hang leaves its input in the current directory. Over a build with
sanitizers (see CONTRIBUTING.md) it sees memory errors that do not crash.
"""

import asyncio
import faulthandler
import gc
import sys
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

with atheris.instrument_imports(include=["routines"]):
    import routines  # noqa: F401 - before the tests do
from test_proof_hostile import run_attack


def picks_from(data):
    source = atheris.FuzzedDataProvider(data)
    return [
        (
            source.ConsumeIntInRange(0, 400),
            [source.ConsumeIntInRange(0, 60) for _ in range(source.ConsumeIntInRange(0, 3))],
            (source.ConsumeIntInRange(0, 7), source.ConsumeIntInRange(0, 60))
            if source.ConsumeBool()
            else None,
        )
        for _ in range(source.ConsumeIntInRange(0, 12))
    ]


def one_input(data):
    loop = asyncio.SelectorEventLoop()
    loop.set_exception_handler(lambda *_: None)
    try:
        run_attack(loop, picks_from(data))
    finally:
        loop.close()
    if len(data) % 16 == 0:
        gc.collect()


if __name__ == "__main__":
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
