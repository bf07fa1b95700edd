"""What type checkers are told is true, and enough for what users write."""

import asyncio
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest

import routines

HERE = Path(__file__).parent
PACKAGE = Path(routines.__file__).parent

NO_MYPY = importlib.util.find_spec("mypy") is None

needs_mypy = pytest.mark.skipif(NO_MYPY, reason="mypy is not installed")


def check(directory, *arguments):
    # mypy looks for packages where it stands: next to the sources of the tested one; it finds an
    # installed one by itself.
    installed = any((PACKAGE.parent / name).is_dir() for name in ("mypy", "pytest"))
    checked = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory if installed else PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_mypy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", sorted((HERE / "typing").glob("*.py")), ids=lambda file: file.stem)
def test_what_users_write_is_typed_as_expected(file, tmp_path, tmp_path_factory):
    check(
        tmp_path,
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        f"--cache-dir={tmp_path_factory.getbasetemp() / 'mypy'}",
        str(file),
    )


@needs_mypy
@pytest.mark.timeout(300)
def test_stubs_and_compiled_modules_agree(tmp_path):
    check(tmp_path, "mypy.stubtest", "routines")


def test_every_compiled_module_has_a_stub():
    files = [path for path in PACKAGE.iterdir() if path.suffix in {".so", ".pyd"}]
    compiled = {path.name.partition(".")[0] for path in files}
    assert compiled <= {path.stem for path in PACKAGE.glob("*.pyi")}
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize("name", ["Sender", "Receiver", "Channel", "Routine"])
def test_generic_types_take_subscripts(name):
    alias = getattr(routines, name)[int]
    assert (alias.__origin__, alias.__args__) == (getattr(routines, name), (int,))


def test_routine_has_what_the_stub_inherits_from_task():
    public = {name for name in dir(asyncio.Task) if not name.startswith("_")}
    assert public - set(dir(routines.Routine)) == set()


async def test_operations_are_coroutines_as_the_stubs_say():
    tx, rx = routines.channel()
    operations = [
        tx.send(1),
        tx.send_many([1]),
        tx.wait_closed(),
        rx.recv(),
        rx.recv_ok(),
        rx.recv_many(1),
        rx.__anext__(),
        routines.sleep(0),
        routines.go(asyncio.sleep, 0).join(),
        routines.select(rx),
        routines.select().recv(rx).run(),
        routines.Selector(rx).next(),
    ]
    for operation in operations:
        assert isinstance(operation, Coroutine)
        assert asyncio.iscoroutine(operation)
        operation.close()


def public_callables():
    for name in routines.__all__:
        member = getattr(routines, name)
        if inspect.ismodule(member):
            continue
        if not inspect.isclass(member):
            yield pytest.param(member, id=name)
        elif not issubclass(member, BaseException):
            for method in dir(member):
                if not method.startswith("_") and callable(getattr(member, method)):
                    yield pytest.param(getattr(member, method), id=f"{name}.{method}")


@pytest.mark.parametrize("member", list(public_callables()))
def test_public_callable_tells_its_signature(member):
    assert isinstance(inspect.signature(member), inspect.Signature)
