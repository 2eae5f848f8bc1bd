# All that is done with this project. Every recipe first makes what it needs in .cache/. Without `just`: build/just.

set positional-arguments

export HYPOTHESIS_STORAGE_DIRECTORY := justfile_directory() / ".cache/hypothesis"
python := ".cache/venv/bin/python"
warnings := "-std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

# List the recipes.
_default:
    @"{{just_executable()}}" --list --unsorted

# Show a simulated building with real nodes on a page and in this terminal.
demo *ARGS: (_venv "runtime")
    @exec {{python}} -m elevator demo "$@"

# Run the program: a node, or another of its commands.
run *ARGS: (_venv "runtime")
    @exec {{python}} -m elevator "$@"

# Run the tests that take two minutes on two cores, or as the arguments say: `just test -n 0` uses one core.
test *ARGS: (_venv "dev")
    @{{python}} -m pytest --numprocesses=auto --dist=loadgroup -m "not slow" "$@"

# Run the slow tests, which `just test` leaves out: most of the whole programs, more seeds. Both together are all tests.
test-all *ARGS: (_venv "dev")
    @{{python}} -m pytest --numprocesses=auto --dist=loadgroup -m slow "$@"

# Run whole groups in virtual time with every fault, fresh seeds, for a minute; or as the arguments say.
soak *ARGS: (_venv "runtime")
    @{{python}} -m elevator soak "${@:---minutes=1}"

# Write the transcripts of the scenarios in tests/scenarios/golden/ anew; their differences are to be reviewed.
golden *NAMES: (_venv "dev")
    @{{python}} tests/scenarios/test_golden.py "$@"

# Print which scenarios, other tests, mutants and judges cover each rule of the specification; with RULES, their names.
rules *RULES: (_venv "dev")
    @{{python}} tests/tools/rules.py "$@"

# Try the page in a real browser, chromium, and leave pictures of it in .cache/page/. Status 77: there is none.
test-page *ARGS: (_venv "dev")
    @build/browser.sh
    @{{python}} -m pytest tests/system/browse_page.py "$@"

# Make the pictures in the README.
pictures: (_venv "dev")
    @build/browser.sh
    {{python}} tests/tools/pictures.py

# Check style, types and the C sources.
check: (_venv "dev")
    {{python}} -m ruff check
    {{python}} -m ruff format --check
    {{python}} -m mypy
    ${CC:-cc} {{warnings}} -shared -fPIC -isystem "$({{python}} -c 'import sysconfig; print(sysconfig.get_path("include"))')" native/*.c -o .cache/check.so

# Make dist/elevator, a program in one file that needs no Python; try its commands, and whether it repairs itself.
build: (_venv "dev")
    {{python}} build/bundle.py
    {{python}} build/smoke.py dist/elevator
    {{python}} build/damage.py dist/elevator

# The file KEY, if there is one, is the group's key for the nodes on HOST.
# Install dist/elevator on HOST (by ssh, with sudo there) as a service of systemd; with an ID, start that node.
install-service HOST ID="" KEY="":
    scp dist/elevator build/elevator.service build/78-elevator.rules "$1":
    if [ -n "${3:-}" ]; then ssh "$1" 'umask 077; cat >elevator.key' <"$3"; fi
    ssh -t "$1" 'set -e; \
        if [ -e elevator.key ]; then sudo install -D -m 600 elevator.key /etc/credstore/elevator.key; rm elevator.key; fi; \
        sudo install -D -m 755 elevator /usr/local/bin/elevator; \
        sudo install -D -m 644 elevator.service /etc/systemd/system/elevator@.service; \
        sudo install -D -m 644 78-elevator.rules /etc/udev/rules.d/78-elevator.rules; \
        rm elevator elevator.service 78-elevator.rules; \
        sudo udevadm control --reload || true; \
        sudo systemctl daemon-reload; \
        for id in {{ID}}; do sudo systemctl enable "elevator@$id"; sudo systemctl restart "elevator@$id"; done'

# Look for bytes that break what reads them: each target (or those named) for so many SECONDS.
fuzz SECONDS="20" *TARGETS: (_venv "fuzz")
    @{{python}} tests/tools/fuzz.py "$@"

# Run in this checkout what CI runs in a fresh one: about a quarter of an hour.
ci:
    @.ci/run

# Measure NAME: assign [PROGRAM], group (press to lamp, take-over, idle load), card, pair, flood or memory [MINUTES].
bench NAME *ARGS: (_venv "dev")
    @PYTHONPATH=tests/tools {{python}} "tests/bench/bench_$1.py" "${@:2}"

# Bring the lock files up to date: the newest versions that fit, for every Python and platform.
lock:
    "$(build/python.sh)" -m venv .cache/lock
    .cache/lock/bin/python -m pip --disable-pip-version-check install --quiet --upgrade uv
    .cache/lock/bin/uv pip compile {{compile}} pyproject.toml --group dev --output-file build/dev.lock
    .cache/lock/bin/uv pip compile {{compile}} pyproject.toml --group build --constraint build/dev.lock --output-file build/runtime.lock
    .cache/lock/bin/uv pip compile {{compile}} pyproject.toml --group fuzz --constraint build/dev.lock --output-file build/fuzz.lock
    .cache/lock/bin/uv pip compile {{compile}} --group just --output-file build/just.lock

compile := "--quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'just lock'"

_venv lock:
    @build/venv.sh {{lock}}
