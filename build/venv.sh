#!/bin/sh
# Make .cache/venv hold what build/$1.lock lists and the project itself, editable. If it does already, return at once.
#
# "Already" is a stamp with all that decides: where the checkout is, the lock file, pyproject.toml and the C sources.
set -eu
cd "$(dirname "$0")/.."
lock=build/$1.lock
python=.cache/venv/bin/python
stamp=.cache/venv/$1.stamp
wanted="$PWD $(cat "$lock" pyproject.toml native/*.[ch] | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$python" ]; then
    exit 0
fi

# A name on the PATH is no proof (pyenv has names for versions that are off), and a Python without C headers cannot build
# the extension.
usable='import sys, sysconfig, os, ensurepip, venv
sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
if ! "$python" -c "$usable" 2>/dev/null; then
    for name in python3 python3.13 python3.12 python3.11 none; do
        if "$name" -c "$usable" 2>/dev/null; then break; fi
    done
    if [ "$name" = none ]; then
        echo "elevator needs Python 3.11 or newer with venv and C headers (on Debian: python3-venv, python3-dev)" >&2
        exit 1
    fi
    echo "making .cache/venv with $("$name" --version)" >&2
    "$name" -m venv --clear .cache/venv
fi

# Quiet, but not mute: pip says on stderr what went wrong.
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
echo "installing build/$1.lock" >&2
pip install --require-hashes -r "$lock"
pip install --no-build-isolation --no-deps --editable .
echo "$wanted" >"$stamp"
