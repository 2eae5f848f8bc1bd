#!/bin/sh
# Make .cache/venv hold what build/$1.lock lists and the project itself, editable. If it does already, return at once.
#
# - `origin` in there names the folder and the Python of the environment. If either changes, a new one is made.
# - It is missing while packages are installed, so an interrupted installation starts again with a new environment.
# - A stamp for each lock file is a checksum of the installed versions: lock file, pyproject.toml and C sources.
set -eu
cd "$(dirname "$0")/.."
lock=build/$1.lock
venv=.cache/venv
python=$venv/bin/python
wanted=$(cat "$lock" pyproject.toml native/*.[ch] | cksum)

origin() { echo "$PWD $("$python" -V 2>&1)"; }
holds() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
is_usable() { "$python" -V >/dev/null 2>&1 && holds "$venv/origin" "$(origin)"; }
is_ready() { is_usable && holds "$venv/$1.stamp" "$wanted" && ls elevator/_assign.*.so elevator/_bench.*.so >/dev/null 2>&1; }

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
# Quiet, but not mute: pip says on stderr what went wrong.
pip() { PIP_USER=0 "$python" -m pip --disable-pip-version-check --quiet "$@"; }
echo "installing $lock" >&2
pip install --require-hashes -r "$lock"
export CC="${CC:-cc}" # The compiler that was tried, not the one that Python was built with.
pip install --no-build-isolation --no-deps --editable .
echo "$wanted" >"$venv/$1.stamp"
sync -f $venv # After a power cut, what the next line says must be true.
echo "$made" >$venv/origin
