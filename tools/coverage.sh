#!/usr/bin/env bash
# Lines of the Python and of the compiled code that the tests reach: `bash tools/coverage.sh [pytest arguments]`.
#
# Builds a traced copy in a temporary directory. What is left out, and why, stands in pyproject.toml under tool.coverage.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python}
cp -r "$root/routines" "$root/tests" "$root/setup.py" "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$work"
[ -d "$root/tools" ] && cp -r "$root/tools" "$work"
[ -d "$root/examples" ] && cp -r "$root/examples" "$work"
cd "$work"
rm -f routines/*.so
ROUTINES_TRACE=1 "$python" setup.py -q build_ext --inplace
[ $# -gt 0 ] || set -- tests -q -m "not stress and not isolated" --ignore=tests/ecosystem --ignore=tests/typing \
    --ignore=tests/test_digest.py --ignore=tests/test_package_founding.py --ignore=tests/test_typing.py --ignore=tests/test_proof_promela.py
PYTHONPATH="$work" "$python" -m coverage run -m pytest -p no:cacheprovider --timeout=300 -o faulthandler_timeout=600 "$@" || echo "some tests failed" >&2
"$python" -m coverage report
