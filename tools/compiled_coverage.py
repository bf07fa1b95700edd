"""Lines of the ``.pyx`` and ``.pxd`` files that ran, from what gcov has counted: ``python tools/compiled_coverage.py FOLDER``.

The folder is one where ``ROUTINES_COVERAGE=1 python setup.py build_ext --inplace`` was called and the tests have run since; see
``tools/coverage.sh``. A line ran where any of the C that it became did. One that many modules compile in, as those of a ``.pxd``
are, ran where it ran in one of them. It fails where one did not run.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# No test can reach such a line, or the body that it begins, and the comment says why.
MARK = "# not covered: "


def count(folder: Path) -> dict[str, dict[int, int]]:
    """How often each line ran, by file."""
    lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for data in sorted(folder.rglob("*.gcda")):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", data],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        for document in done.stdout.splitlines():
            for file in json.loads(document)["files"]:
                if file["file"].startswith("routines/"):
                    for line in file["lines"]:
                        lines[file["file"]][line["line_number"]] += line["count"]
    return lines


def marked(folder: Path) -> dict[str, set[int]]:
    """The lines that Cython says some C stands for; what follows the last of them in a file belongs to none."""
    lines: dict[str, set[int]] = defaultdict(set)
    for source in folder.glob("build/cython/routines/*.c"):
        for number, name in re.findall(r'^#line (\d+) "(routines/[^"]+)"$', source.read_text(), re.MULTILINE):
            lines[name].add(int(number))
    return lines


def argued(source: list[str]) -> set[int]:
    """The lines that are marked, each with what is indented below it."""
    lines: set[int] = set()
    for number, line in enumerate(source, 1):
        if MARK in line:
            lines.add(number)
            indent = len(line) - len(line.lstrip())
            for below, other in enumerate(source[number:], number + 1):
                if other.strip() and len(other) - len(other.lstrip()) <= indent:
                    break
                lines.add(below)
    return lines


def ranges(numbers: list[int]) -> str:
    """As coverage prints them: 3, 7-9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def main() -> int:
    folder = Path(sys.argv[1])
    total = missed = 0
    known = marked(folder)
    for name, counts in sorted(count(folder).items()):
        excluded = argued((folder / name).read_text().splitlines())
        lines = sorted(number for number in counts if number in known[name] and number not in excluded)
        missing = [number for number in lines if not counts[number]]
        total += len(lines)
        missed += len(missing)
        percent = 100 - 100 * len(missing) / len(lines)
        print(f"{name:28} {len(lines):5} {len(missing):4}  {percent:5.1f} %  {ranges(missing)}")
    print(f"{'all':28} {total:5} {missed:4}  {100 - 100 * missed / max(total, 1):5.1f} %")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
