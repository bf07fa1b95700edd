#!/usr/bin/env bash
# The tests under the compiler's address and undefined-behaviour sanitizers: `bash tools/sanitized.sh [pytest arguments]`.
#
# Builds a copy in a temporary directory, so the build in the tree stays what it is. Linux with gcc. Leaks are looked for by the
# tests themselves: the interpreter never frees all of its own.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python}
tar -C "$root" --exclude=.git --exclude=build --exclude="*.so" -cf - . | tar -C "$work" -xf -
cd "$work"
ROUTINES_SANITIZE=address,undefined "$python" setup.py -q build_ext --inplace
[ $# -gt 0 ] || set -- tests -x -q -m "not isolated" --ignore=tests/ecosystem --ignore=tests/typing --ignore=tests/test_digest.py \
    --ignore=tests/test_package_founding.py --ignore=tests/test_typing.py --ignore=tests/test_proof_promela.py
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
    PYTHONMALLOC=malloc PYTHONPATH="$work" "$python" -m pytest -p no:cacheprovider --timeout=300 "$@"
