#!/bin/sh
# Install the packages in build/$1.lock and the project itself (editable) in .cache/venv, unless they are there already.
#
# - .cache/venv/origin names this folder and the version of Python. If either changes, a new environment is made.
# - That file is missing during an installation. So after an interruption, the next run makes a new environment.
# - .cache/venv/$1.stamp is a checksum of the lock file, pyproject.toml and the C sources that were installed last.
set -eu
cd "$(dirname "$0")/.."
lock=build/$1.lock
venv=.cache/venv
python=$venv/bin/python
wanted=$(cat "$lock" pyproject.toml native/*.[ch] | cksum)

origin() { echo "$PWD $("$python" -V 2>&1)"; }
holds() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
is_usable() { "$python" -V >/dev/null 2>&1 && holds "$venv/origin" "$(origin)"; }
is_ready() { is_usable && holds "$venv/$1.stamp" "$wanted" && ls elevator/_assign.*.so elevator/_bench.*.so elevator/_namespace.*.so >/dev/null 2>&1; }

if is_ready "$1"; then exit 0; fi
base=$(build/python.sh)
mkdir -p .cache
exec 9>.cache/venv.lock
flock --nonblock 9 || { echo "waiting for another recipe to install its packages" >&2 && flock 9; }
if is_ready "$1"; then exit 0; fi

if ! is_usable; then
    echo "making .cache/venv with $("$base" --version)" >&2
    rm -rf $venv
    "$base" -m venv $venv
fi
made=$(origin)
rm -f $venv/origin
# --quiet still prints errors.
pip() { PIP_USER=0 "$python" -m pip --disable-pip-version-check --quiet "$@"; }
echo "installing $lock" >&2
pip install --require-hashes -r "$lock"
export CC="${CC:-cc}" # python.sh has tested this compiler. Python's own default may be missing.
pip install --no-build-isolation --no-deps --editable .
echo "$wanted" >"$venv/$1.stamp"
sync -f $venv # The packages must be on the disk before origin, in case of a power cut.
echo "$made" >$venv/origin
