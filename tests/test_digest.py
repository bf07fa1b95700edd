"""`python -m routines digest` prints what `sha256sum` would, whatever is on the disk."""

import asyncio
import errno
import hashlib
import io
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import routines
from routines import __main__ as command_line
from routines._cli import bar, files
from routines._cli.bar import CLEAR_LINE, Bar, Snapshot, _rich_line, human_bytes, plain_line
from routines._cli.checksums import checksum_line
from routines._cli.files import Digest, Failed, File, Meter, Skipped, batches, walk
from routines._cli.helper import Helper
from routines._cli.output import complain
from routines._cli.pipeline import Progress, digest_files

# Wherever `routines` was imported from, a child finds the same one.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(routines.__file__).parents[1])}
COMMAND = [sys.executable, "-m", "routines", "digest"]
CHECK = ["sha256sum", "--check", "--strict", "--quiet"]
SECONDS_TO_GIVE_UP = 30

needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
needs_fifos = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
needs_odd_names = pytest.mark.skipif(sys.platform != "linux", reason="names are text here")
needs_root_to_be_refused = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)


def digest(*arguments, cwd, stdin=subprocess.DEVNULL):
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(os.fspath, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=stdin,
        capture_output=True,
        timeout=SECONDS_TO_GIVE_UP,
    )


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def names_of(output):
    return [line[66:] for line in output.splitlines()]


@pytest.fixture
def tree(tmp_path):
    """Files of all sizes in nested directories, with names that sort by bytes only in one way."""
    root = tmp_path / "tree"
    contents = {
        "a/1": b"one",
        "a.txt": b"between a and a/ in bytes",
        "b": b"",
        "B": b"capital",
        "a/sub/deep/x": b"x" * 100_000,
        "a/sub/y": b"y" * (files.CHUNK_BYTES + 1),
        "big": os.urandom(files.BATCH_BYTES * 2 + 17),
        "z/last": b"last",
    } | {f"many/{number:04}": b"%d" % number for number in range(3 * files.BATCH_FILES + 5)}
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "empty directory").mkdir()
    return root


# --- the lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (b"plain", b"00  plain\n"),
        (b"back\\slash", b"\\00  back\\\\slash\n"),
        (b"new\nline", b"\\00  new\\nline\n"),
        (b"carriage\rreturn", b"\\00  carriage\\rreturn\n"),
        (b"all\\\n\r", b"\\00  all\\\\\\n\\r\n"),
        (b" blanks ", b"00   blanks \n"),
        (b"*star", b"00  *star\n"),
        (b"tab\t", b"00  tab\t\n"),
    ],
)
def test_names_are_escaped_as_coreutils_does(name, line):
    assert checksum_line("00", os.fsdecode(name)) == line


@needs_odd_names
def test_bytes_that_are_no_text_come_out_as_they_are():
    assert checksum_line("00", os.fsdecode(b"\xff\xfe")) == b"00  \xff\xfe\n"


# --- the walk ------------------------------------------------------------------------------------


def test_walk_goes_by_name_and_enters_directories_where_they_stand(tree):
    shutil.rmtree(tree / "many")
    found = [os.path.relpath(entry.path, tree).replace(os.sep, "/") for entry in walk([str(tree)])]
    assert found == ["B", "a/1", "a/sub/deep/x", "a/sub/y", "a.txt", "b", "big", "z/last"]


def test_walk_keeps_the_order_and_the_spelling_of_its_paths(tmp_path):
    (tmp_path / "f").write_bytes(b"")
    given = [str(tmp_path / "f"), f"{tmp_path}/", f"{tmp_path}/./f", str(tmp_path / "f")]
    found = [entry.path for entry in walk(given)]
    assert found == [given[0], f"{tmp_path}/f", given[2], given[3]]


def test_walk_needs_no_recursion(tmp_path):
    depth = 300
    folder = tmp_path
    for _ in range(depth):
        folder /= "d"
    os.makedirs(folder)
    (folder / "f").write_bytes(b"")
    walker = walk([str(tmp_path)])
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(150)
    try:
        found = list(walker)
    finally:
        sys.setrecursionlimit(limit)
    assert [entry.path for entry in found] == [str(folder / "f")]


def test_links_below_a_directory_are_passed_over_and_a_named_one_is_followed(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"data")
    folder = tmp_path / "folder"
    folder.mkdir()
    link = folder / "to file"
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    (folder / "to itself").symlink_to(folder)
    (folder / "to nothing").symlink_to(tmp_path / "nothing")
    assert {type(entry) for entry in walk([str(folder)])} == {Skipped}
    assert list(walk([str(link)])) == [File(str(link), 4, named=True)]
    named_folder = tmp_path / "to folder"
    named_folder.symlink_to(folder)
    assert len(list(walk([str(named_folder)]))) == 3


@needs_fifos
def test_pipes_and_sockets_below_a_directory_are_passed_over(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    # By a short name: a socket's path has little room.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert list(walk(["."])) == [Skipped("./pipe"), Skipped("./socket")]


def test_what_cannot_be_looked_at_is_a_failure_in_its_place(tmp_path):
    (tmp_path / "f").write_bytes(b"")
    missing = str(tmp_path / "missing")
    found = list(walk([missing, str(tmp_path / "f")]))
    assert found == [Failed(missing, os.strerror(errno.ENOENT)), File(str(tmp_path / "f"), 0, True)]


def test_a_directory_that_cannot_be_listed_is_one_failure_and_the_walk_goes_on(tree, monkeypatch):
    refused = str(tree / "a")
    scandir = os.scandir

    def refuse(path):
        if path == refused:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    shutil.rmtree(tree / "many")
    names = [(type(entry), os.path.basename(entry.path)) for entry in walk([str(tree)])]
    assert names == [
        (File, "B"),
        (Failed, "a"),
        (File, "a.txt"),
        (File, "b"),
        (File, "big"),
        (File, "last"),
    ]


# --- batches -------------------------------------------------------------------------------------


def sizes_of(entries):
    return [[entry.size for entry in batch] for batch in batches(entries)]


def some_files(*sizes):
    return [File(str(number), size, named=False) for number, size in enumerate(sizes)]


def test_small_files_share_a_batch_up_to_a_number():
    assert sizes_of(some_files(*[1] * (files.BATCH_FILES + 1))) == [[1] * files.BATCH_FILES, [1]]


def test_a_batch_ends_when_it_has_bytes_enough():
    most = files.BATCH_BYTES - 1
    assert sizes_of(some_files(most, 1, 5)) == [[most, 1], [5]]


def test_a_big_file_is_a_batch_of_its_own():
    assert sizes_of(some_files(1, files.BATCH_BYTES, 2)) == [[1], [files.BATCH_BYTES], [2]]


def test_nothing_waits_behind_a_pipe():
    assert sizes_of(some_files(1, None, 2)) == [[1], [None], [2]]


def test_failures_travel_in_their_place():
    entries = [*some_files(1), Failed("f", "why"), Skipped("s")]
    assert list(batches(entries)) == [entries]
    assert list(batches([])) == []


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, files.CHUNK_BYTES, 3 * files.CHUNK_BYTES + 1])
def test_a_file_is_read_to_its_end(tmp_path, size):
    data = os.urandom(size)
    path = tmp_path / "f"
    path.write_bytes(data)
    meter = Meter(threading.Event())
    # The size found earlier is for batches only; the file may have grown since.
    results = files.digest_entries([File(str(path), 1, named=False)], meter)
    assert results == [Digest(str(path), sha256(data))]
    assert meter.bytes_read == size


def test_reading_stops_at_the_next_chunk_when_the_run_is_over(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(3 * files.CHUNK_BYTES))
    stop = threading.Event()
    stop.set()
    meter = Meter(stop)
    with pytest.raises(files.Stopped):
        files.digest_entries([File(str(path), 3 * files.CHUNK_BYTES, named=False)], meter)
    assert meter.bytes_read == files.CHUNK_BYTES


@needs_fifos
def test_a_pipe_put_in_a_files_place_is_passed_over_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "f")
    found = File(str(tmp_path / "f"), 10, named=False)
    assert files.digest_entries([found], Meter(threading.Event())) == [Skipped(found.path)]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are always followed here")
def test_a_link_put_in_a_files_place_is_a_failure(tmp_path):
    (tmp_path / "f").symlink_to("/etc/passwd")
    found = File(str(tmp_path / "f"), 10, named=False)
    (result,) = files.digest_entries([found], Meter(threading.Event()))
    assert isinstance(result, Failed)


def test_a_file_that_has_gone_since_the_walk_is_a_failure(tmp_path):
    found = File(str(tmp_path / "gone"), 10, named=False)
    assert files.digest_entries([found], Meter(threading.Event())) == [
        Failed(found.path, os.strerror(errno.ENOENT))
    ]


# --- the helper's thread -------------------------------------------------------------------------


async def test_helper_returns_and_raises_what_its_function_does():
    with Helper("test-helper") as helper:
        assert await helper.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await helper.call(divmod, 7, 0)
        assert await helper.call(int, "ff", base=16) == 255


async def test_helper_leaves_no_thread_behind():
    before = set(threading.enumerate())
    with Helper("test-helper") as helper:
        assert await helper.call(threading.current_thread) not in before
        with pytest.raises(ZeroDivisionError):
            await helper.call(divmod, 1, 0)
    assert set(threading.enumerate()) == before
    with Helper("never called"):
        pass


async def test_a_cancelled_call_is_over_at_once_and_its_thread_finishes_alone(start):
    running, finish = threading.Event(), threading.Event()
    threads = []

    def block():
        threads.append(threading.current_thread())
        running.set()
        finish.wait(SECONDS_TO_GIVE_UP)

    async def call():
        with Helper("test-helper") as helper:
            await helper.call(block)

    caller = start(call())
    await asyncio.to_thread(running.wait, SECONDS_TO_GIVE_UP)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert threads[0].is_alive()
    finish.set()
    await asyncio.to_thread(threads[0].join, SECONDS_TO_GIVE_UP)
    assert not threads[0].is_alive()


# --- the pipeline --------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 7])
async def test_results_come_in_the_order_of_the_walk(tree, workers):
    results = []
    progress = Progress()
    await digest_files([str(tree)], workers, results.extend, progress)
    entries = list(walk([str(tree)]))
    assert [result.path for result in results] == [entry.path for entry in entries]
    assert [result.hexdigest for result in results] == [
        sha256(Path(entry.path).read_bytes()) for entry in entries
    ]
    assert progress.files_done == len(entries)
    assert progress.bytes_done == sum(entry.size for entry in entries)


async def test_one_slow_file_holds_up_the_output_but_not_the_order(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_bytes(b"")
    others_done = threading.Event()
    read = files._digest_file

    def slow_first(file, meter):
        result = read(file, meter)
        if file.path.endswith("a"):
            assert others_done.wait(SECONDS_TO_GIVE_UP)
        elif file.path.endswith("c"):
            others_done.set()
        return result

    monkeypatch.setattr(files, "BATCH_FILES", 1)
    monkeypatch.setattr(files, "_digest_file", slow_first)
    results = []
    await digest_files([str(tmp_path)], 2, results.extend, Progress())
    assert [os.path.basename(result.path) for result in results] == ["a", "b", "c"]


async def test_what_the_collector_raises_ends_the_run_and_all_its_threads(tree):
    before = set(threading.enumerate())

    def full(results):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await digest_files([str(tree)], 3, full, Progress())
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, SECONDS_TO_GIVE_UP)
        assert not thread.is_alive()


async def test_an_unforeseen_error_in_a_worker_is_raised_and_not_a_hang(tree, monkeypatch):
    def fail(file, meter):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(files, "_digest_file", fail)
    with pytest.raises(routines.ChannelClosed) as caught:
        await digest_files([str(tree)], 2, lambda results: None, Progress())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_counting_ahead_ends_with_the_same_totals(tree):
    counted = threading.Event()

    def collect(results):
        # The first batch is held back until the counter is through.
        assert counted.wait(SECONDS_TO_GIVE_UP)

    class Watched(Progress):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "counted" and value:
                counted.set()

    progress = Watched()
    await digest_files([str(tree)], 2, collect, progress, count_ahead=True)
    assert progress.counted
    assert progress.files_found == progress.files_done
    assert progress.bytes_found == progress.bytes_done


@needs_fifos
async def test_cancelled_while_a_thread_waits_for_a_pipe_it_is_over_at_once(tmp_path, start):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = start(digest_files([str(pipe)], 2, lambda results: None, Progress()))
    # Opening for writing waits for a reader: from here on a worker's thread reads, in vain.
    writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    try:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    finally:
        os.close(writer)


# --- the command ---------------------------------------------------------------------------------


@needs_sha256sum
def test_output_is_what_sha256sum_prints_and_what_it_checks(tree):
    done = digest(".", cwd=tree)
    assert (done.returncode, done.stderr) == (0, b"")
    # The same names in the same order, given to the original.
    names = names_of(done.stdout)
    assert len(names) == sum(path.is_file() for path in tree.rglob("*"))
    original = subprocess.run(["sha256sum", "--", *names], cwd=tree, capture_output=True)
    assert done.stdout == original.stdout
    checked = subprocess.run(CHECK, cwd=tree, input=done.stdout)
    assert checked.returncode == 0


@needs_sha256sum
@needs_odd_names
def test_odd_names_are_checked_by_sha256sum(tmp_path):
    names = [b"\xff\xfe", b"new\nline", b"re\rturn", b"back\\slash", b" b ", b"*", b"-", b"\\n"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:
            stream.write(name)
    done = digest(".", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    paths = [b"./" + name for name in sorted(names)]
    original = subprocess.run([b"sha256sum", b"--", *paths], cwd=tmp_path, capture_output=True)
    assert done.stdout == original.stdout
    checked = subprocess.run(CHECK, cwd=tmp_path, input=done.stdout)
    assert checked.returncode == 0
    # And as arguments, one by one.
    assert digest(*paths, cwd=tmp_path).stdout == done.stdout


def test_a_file_by_its_name_and_a_directory_with_a_slash(tree):
    done = digest("a.txt", "a/", cwd=tree)
    assert done.returncode == 0
    assert names_of(done.stdout.decode()) == ["a.txt", "a/1", "a/sub/deep/x", "a/sub/y"]


def test_output_does_not_depend_on_the_number_of_workers(tree):
    outputs = {digest("--workers", str(workers), ".", cwd=tree).stdout for workers in (1, 2, 16)}
    assert len(outputs) == 1


def test_an_empty_directory_is_no_line_and_no_error(tmp_path):
    done = digest(".", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_is_missing_is_reported_and_the_rest_is_done(tree):
    done = digest("nope", "b", "nor\nthis", "B", cwd=tree)
    assert done.returncode == 1
    assert names_of(done.stdout.decode()) == ["b", "B"]
    reason = os.strerror(errno.ENOENT)
    assert done.stderr.decode().splitlines() == [
        f"digest: nope: {reason}",
        f"digest: 'nor\\nthis': {reason}",
        "digest: 2 could not be read",
    ]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no such file here")
def test_a_file_that_fails_while_it_is_read_is_reported_even_to_root(tree):
    done = digest("b", "/proc/self/mem", "B", cwd=tree)
    assert done.returncode == 1
    assert names_of(done.stdout.decode()) == ["b", "B"]
    assert done.stderr.decode().splitlines() == [
        f"digest: /proc/self/mem: {os.strerror(errno.EIO)}",
        "digest: 1 could not be read",
    ]


@needs_fifos
def test_what_is_passed_over_is_no_failure(tmp_path, capfdbinary):
    os.mkfifo(tmp_path / "pipe")
    assert command_line.main(["digest", str(tmp_path)]) == 0
    assert capfdbinary.readouterr() == (b"", b"")


def test_a_named_directory_that_cannot_be_listed_is_one_failure(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(walk([str(tree)])) == [Failed(str(tree), "Permission denied")]


def test_a_thread_whose_turn_does_not_come_reads_all_the_same(tree, monkeypatch):
    monkeypatch.setattr(files, "TURN_SECONDS", 0)
    entries = [File(str(tree / name), 0, named=True) for name in ("b", "B")]
    with files._turn():
        results = files.digest_entries(entries, Meter(threading.Event()))
        assert files._turns.locked(), "it gives back no turn but its own"
    assert [each.hexdigest for each in results] == [sha256(b""), sha256(b"capital")]


def test_without_standard_error_a_complaint_goes_nowhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    complain("nobody hears it")


@needs_root_to_be_refused
def test_unreadable_files_and_directories_are_reported_and_counted(tree):
    (tree / "b").chmod(0)
    (tree / "a").chmod(0)
    try:
        done = digest(".", cwd=tree)
    finally:
        (tree / "a").chmod(stat.S_IRWXU)
    assert done.returncode == 1
    reason = os.strerror(errno.EACCES)
    assert done.stderr.decode().splitlines() == [
        f"digest: ./a: {reason}",
        f"digest: ./b: {reason}",
        "digest: 2 could not be read",
    ]
    assert b"./z/last" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="no such file here")
def test_standard_input_can_be_named(tmp_path):
    reader, writer = os.pipe()
    with open(reader, "rb") as stdin:
        os.write(writer, b"from a pipe")
        os.close(writer)
        done = digest("/dev/stdin", cwd=tmp_path, stdin=stdin)
    assert done.stdout == checksum_line(sha256(b"from a pipe"), "/dev/stdin")


@pytest.mark.parametrize(
    "arguments",
    [[], ["-"], [""], [".", "--workers", "0"], [".", "--workers", "x"], [".", "-w", "999999"]],
)
def test_wrong_arguments_are_refused_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exited:
        command_line.main(["digest", *arguments])
    assert exited.value.code == 2
    assert "digest: error: " in capsys.readouterr().err


def test_without_a_terminal_there_is_no_bar_and_no_closing_line(tree, capfdbinary):
    assert command_line.main(["digest", str(tree / "b")]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == checksum_line(sha256(b""), str(tree / "b"))
    assert captured.err == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_is_a_write_error(tree):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "."],
            cwd=tree,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=SECONDS_TO_GIVE_UP,
        )
    assert done.returncode == 1
    assert b"digest: write error: " in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_closed_standard_output_is_an_error(tree):
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "."],
        cwd=tree,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        timeout=SECONDS_TO_GIVE_UP,
    )
    assert (done.returncode, done.stderr) == (1, b"digest: standard output is closed\n")


# --- how it ends early ---------------------------------------------------------------------------


@contextmanager
def started(*arguments, cwd, **streams):
    """The command, running; killed if the test leaves it behind."""
    options = {"env": ENVIRONMENT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    process = subprocess.Popen([*COMMAND, *arguments], cwd=cwd, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="no broken pipes there")
def test_a_reader_that_leaves_ends_it_quietly(tree):
    reader, writer = os.pipe()
    # Gone before the first line, so that the first write meets it.
    os.close(reader)
    with started(".", cwd=tree, stdout=writer) as process:
        os.close(writer)
        _, complaints = process.communicate(timeout=SECONDS_TO_GIVE_UP)
    assert (process.returncode, complaints) == (141, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_ctrl_c_with_a_thread_stuck_in_a_pipe_ends_it_at_once(tree):
    os.mkfifo(tree / "pipe")
    with started("b", "pipe", "B", cwd=tree) as process:
        # A line has come: it runs. A writer has found its reader: a thread waits for our data.
        assert process.stdout.readline() == checksum_line(sha256(b""), "b")
        writer = os.open(tree / "pipe", os.O_WRONLY)
        try:
            process.send_signal(signal.SIGINT)
            output, complaints = process.communicate(timeout=SECONDS_TO_GIVE_UP)
        finally:
            os.close(writer)
    assert process.returncode == 130
    assert (output, complaints) == (b"", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_ctrl_c_with_a_thread_stuck_in_opening_ends_it_at_once(tree):
    os.mkfifo(tree / "pipe")
    with started("b", "pipe", cwd=tree) as process:
        assert process.stdout.readline() == checksum_line(sha256(b""), "b")
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=SECONDS_TO_GIVE_UP)
    assert (process.returncode, output, complaints) == (130, b"", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_ctrl_c_with_the_output_stuck_ends_it_at_once(tmp_path):
    # One file, named until its lines are more than any pipe holds: the collector's thread is stuck.
    (tmp_path / "f").write_bytes(b"")
    with started(*["f"] * 30_000, cwd=tmp_path) as process:
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        # Not `communicate`: reading on would set the thread free.
        assert process.wait(SECONDS_TO_GIVE_UP) == 130
        assert process.stderr.read() == b""


# --- the bar -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (1.5e12, "1.5 TB"),
        (2e18, "2000.0 PB"),
    ],
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text


def test_a_frame_before_everything_is_counted_claims_no_fraction():
    shown = Snapshot(1234, 5_000_000, None, None, 2.0)
    assert shown.fraction is None
    assert plain_line(shown, 80) == "digest  1,234 files  5.0 MB  2.5 MB/s"


def test_a_frame_with_a_total_has_a_bar():
    shown = Snapshot(1, 5_000_000, 2, 10_000_000, 2.0)
    cells = "#" * 10 + "-" * 10
    line = f"digest [{cells}]  50%  1 of 2 files  5.0 MB of 10.0 MB  2.5 MB/s"
    assert plain_line(shown, 100) == line
    assert plain_line(shown, 20) == line[:20]


@pytest.mark.parametrize("kind", ["plain", "rich"])
@pytest.mark.parametrize(
    ("columns", "last"),
    [
        (37, {"plain": "50%", "rich": "1,200 of 2,400 files"}),
        (57, {"plain": "1,200 of 2,400 files", "rich": "5.0 MB of 10.0 MB"}),
        (77, {"plain": "5.0 MB of 10.0 MB", "rich": "2.5 MB/s"}),
        (120, {"plain": "2.5 MB/s", "rich": "2.5 MB/s"}),
    ],
)
def test_a_frame_says_what_there_is_room_for(kind, columns, last):
    if kind == "rich":
        pytest.importorskip("rich")
    draw = plain_line if kind == "plain" else _rich_line()
    frame = re.sub(r"\x1b\[[\d;]*m", "", draw(Snapshot(1200, 5_000_000, 2400, 10_000_000, 2.0), columns))
    assert len(frame) <= columns
    assert frame.startswith("digest ")
    assert frame.rstrip().endswith(last[kind])


def test_on_a_terminal_ctrl_c_finds_room_behind_the_bar(monkeypatch):
    # The terminal shows it as ^C; in the next line it would keep clearing from reaching the bar.
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
    monkeypatch.setattr(bar, "_rich_line", lambda: lambda shown, columns: "x" * columns)
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as seen, open(writer, "w") as terminal:
        Bar(terminal, Progress()).draw()
        assert seen.read(1000) == CLEAR_LINE + b"x" * (40 - len("^C") - 1)


@pytest.mark.parametrize(
    ("files_done", "bytes_done", "files_found", "bytes_found", "fraction"),
    [(0, 0, 0, 0, 1.0), (1, 0, 4, 0, 0.25), (1, 9, 4, 3, 1.0)],
)
def test_fraction_of_nothing_of_empty_files_and_of_files_that_grew(
    files_done, bytes_done, files_found, bytes_found, fraction
):
    assert Snapshot(files_done, bytes_done, files_found, bytes_found, 1.0).fraction == fraction


def test_no_bar_where_there_is_no_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert Bar.suits(Terminal())
    assert not Bar.suits(io.StringIO())
    assert not Bar.suits(None)
    monkeypatch.setenv("TERM", "dumb")
    assert not Bar.suits(Terminal())


def new_terminal():
    """Both ends of a terminal; a system that mounts none has no test of them."""
    pty = pytest.importorskip("pty")
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminals here: {error}")


def frames_on_a_terminal(arguments, cwd, environment):
    """Run it with a terminal for standard error: its output, what the terminal got, its status."""
    ours, theirs = new_terminal()
    with started(*arguments, cwd=cwd, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        # Linux ends a terminal whose last user has gone with an error, others with nothing to read.
        try:
            while data := os.read(ours, 65536):
                seen += data
        except OSError as error:
            assert error.errno == errno.EIO
        output, _ = process.communicate(timeout=SECONDS_TO_GIVE_UP)
    os.close(ours)
    return output, seen, process.returncode


@pytest.fixture(params=["plain", "rich"])
def terminal_environment(request, tmp_path):
    """An environment that has `rich`, and one that has not."""
    environment = ENVIRONMENT | {"TERM": "xterm"}
    if request.param == "rich":
        pytest.importorskip("rich")
        return environment
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "rich.py").write_text("raise ImportError('not for this test')")
    path = os.pathsep.join([str(hiding), environment["PYTHONPATH"]])
    return environment | {"PYTHONPATH": path}


def test_on_a_terminal_there_is_a_bar_and_a_closing_line(tree, terminal_environment):
    output, seen, status = frames_on_a_terminal(["."], tree, terminal_environment)
    assert (output, status) == (digest(".", cwd=tree).stdout, 0)
    nothing, *frames, closing = seen.split(CLEAR_LINE)
    # The first frame is drawn before anything is read, and the last is cleared away.
    assert nothing == b""
    assert frames
    assert all(b"digest" in frame and b"files" in frame for frame in frames)
    files_read = len(output.splitlines())
    assert closing.startswith(b"digest: %d files, " % files_read)
    assert closing.endswith(b"/s)\r\n")


def test_on_a_terminal_complaints_do_not_run_into_the_bar(tree, terminal_environment):
    _, seen, status = frames_on_a_terminal(["nope", "."], tree, terminal_environment)
    assert status == 1
    assert b"digest: nope: " in b"".join(
        frame for frame in seen.split(CLEAR_LINE) if frame.startswith(b"digest: ")
    )
    assert seen.endswith(b"digest: 1 could not be read\r\n")


@needs_fifos
def test_ctrl_c_takes_the_bar_away(tree, terminal_environment):
    ours, theirs = new_terminal()
    os.mkfifo(tree / "pipe")
    try:
        with started("pipe", cwd=tree, stderr=theirs, env=terminal_environment) as process:
            seen = b""
            while b"digest" not in seen:
                seen += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS_TO_GIVE_UP) == 130
            # We have the terminal open ourselves, so this mark is its last word.
            os.write(theirs, b"the end")
            while not seen.endswith(b"the end"):
                seen += os.read(ours, 65536)
    finally:
        os.close(theirs)
        os.close(ours)
    assert seen.endswith(CLEAR_LINE + b"the end")


def test_quiet_means_nothing_on_the_terminal(tree, terminal_environment):
    output, seen, status = frames_on_a_terminal(["--quiet", "."], tree, terminal_environment)
    assert (output, seen, status) == (digest(".", cwd=tree).stdout, b"", 0)


def test_no_frame_is_drawn_while_somebody_prints():
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as seen, open(writer, "w") as terminal:
        drawn = Bar(terminal, Progress())
        with drawn.hidden():
            drawn.draw()
        assert seen.read(1000) == CLEAR_LINE
        drawn.draw()
        assert seen.read(1000).startswith(CLEAR_LINE + b"digest")
