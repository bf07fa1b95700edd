#!/usr/bin/env bash
# Lines of the Python and of the compiled code that the tests reach: `bash tools/coverage.sh [pytest arguments]`. Linux with gcc.
#
# Builds a copy in a temporary directory. gcov counts in the compiled code itself, threads and forks included. A line tracer, the
# other way, runs Python code at each call: in the middle of what the core does in one piece, where threads then meet. What is left
# out of the Python code, and why, stands in pyproject.toml under tool.coverage and beside the line; of the compiled code, beside the
# line, see tools/compiled_coverage.py. All tests together reach every other line, or this fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python}
tar -C "$root" --exclude=.git --exclude=build --exclude="*.so" -cf - . | tar -C "$work" -xf -
cd "$work"
ROUTINES_COVERAGE=1 "$python" setup.py -q build_ext --inplace
# Left out: what looks at the checkout, builds other copies, checks types, or counts the memory that the tracer takes as well.
given=$#
[ $# -gt 0 ] || set -- tests -q --ignore=tests/typing --ignore=tests/test_typing.py --ignore=tests/test_package_founding.py \
    --ignore=tests/test_proof_mutants.py --ignore=tests/test_proof_promela.py --ignore=tests/test_proof_memory.py \
    --ignore=tests/isolated/test_isolated_leaks.py
PYTHONPATH="$work" "$python" -m coverage run -m pytest -p no:cacheprovider --timeout=120 "$@" || echo "some tests failed" >&2
# Where a certain allocation fails, or begins a collection, those of the tracer must not be among them: gcov counts alone.
[ "$given" -gt 0 ] || PYTHONPATH="$work" "$python" -m pytest -q -p no:cacheprovider \
    tests/test_proof_memory.py tests/test_proof_collector.py || echo "some tests failed" >&2
"$python" -m coverage combine -q
status=0
"$python" -m coverage report || status=1
"$python" tools/compiled_coverage.py "$work" || status=1
# A part of the tests is not expected to reach everything.
[ "$given" -gt 0 ] || exit "$status"
