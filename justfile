# The commands of this project. Each recipe first installs what it needs in .cache/. Without `just`, use build/just.

set positional-arguments

export HYPOTHESIS_STORAGE_DIRECTORY := justfile_directory() / ".cache/hypothesis"
python := ".cache/venv/bin/python"
warnings := "-std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"

# List the recipes.
_default:
    @"{{just_executable()}}" --list --unsorted

# Run real nodes in a simulated building, shown on a web page and in this terminal.
[no-exit-message]
demo *ARGS: (_venv "runtime")
    @exec {{python}} -m elevator demo "$@"

# Run the program: a node, or another command.
[no-exit-message]
run *ARGS: (_venv "runtime")
    @exec {{python}} -m elevator "$@"

# Some tests wait, so there is one more process than cores.
# Run the fast tests, in about two minutes on two cores. Arguments go to pytest: `just test -n 0` uses one core.
test *ARGS: (_venv "dev")
    @{{python}} -m pytest --numprocesses=$(($(nproc) + 1)) --dist=loadgroup -m "not slow and not exam" "$@"

# Run the slow tests, which `just test` skips: whole programs, mutants and more seeds. Many wait, so four run at once.
test-all *ARGS: (_venv "dev")
    @{{python}} -m pytest --numprocesses=4 --dist=loadgroup -m slow "$@"

# Test the exam: its reference controller passes, and each broken variant of it fails. The tests mostly wait, so six run at once.
test-exam *ARGS: (_venv "dev")
    @{{python}} -m pytest --numprocesses=6 -m exam "$@" tests/exam

# Simulate groups with fault injection in virtual time, with new seeds. Without arguments, stop after a minute.
soak *ARGS: (_venv "runtime")
    @{{python}} -m elevator soak "${@:---minutes=1}"

# Rewrite the transcripts in tests/scenarios/golden/, or only NAMES. Review the differences.
golden *NAMES: (_venv "dev")
    @{{python}} tests/scenarios/test_golden.py "$@"

# Print how many scenarios, tests, mutants and judges cover each rule of the specification. With RULES, list the names.
rules *RULES: (_venv "dev")
    @{{python}} tests/tools/rules.py "$@"

# Test the page in chromium and save screenshots in .cache/page/. Exit status 77 if there is no browser.
test-page *ARGS: (_venv "dev")
    @build/browser.sh
    @{{python}} -m pytest --numprocesses=2 tests/system/browse_page.py "$@"

# Make the screenshots in the README.
pictures: (_venv "dev")
    @build/browser.sh
    @PYTHONPATH=tests/system {{python}} tests/tools/pictures.py

# Check style, types and the C sources.
check: (_venv "dev")
    {{python}} -m ruff check
    {{python}} -m ruff format --check
    {{python}} -m mypy
    ${CC:-cc} {{warnings}} -shared -fPIC -isystem "$({{python}} -c 'import sysconfig; print(sysconfig.get_path("include"))')" native/*.c -o .cache/check.so

# Build dist/elevator, one file that needs no Python. Test its commands and its self-repair.
build: (_venv "dev")
    {{python}} build/bundle.py
    {{python}} build/smoke.py dist/elevator
    {{python}} build/damage.py dist/elevator

# KEY is the file with the group's key, if the group has one.
# Install dist/elevator on HOST as a systemd service, by ssh and sudo. With an ID, start the node with this id, also at boot.
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

# Examine dist/elevator like any other controller. `just build` makes that file.
exam *ARGS:
    @dist/elevator exam "$@" -- dist/elevator --id {id} --port {port} --floors {floors} --state-dir {dir}

# Fuzz each of TARGETS (default: all) for SECONDS.
fuzz SECONDS="20" *TARGETS: (_venv "fuzz")
    @{{python}} tests/tools/fuzz.py "$@"

# Run what CI runs, but in this checkout: about a quarter of an hour.
ci:
    @.ci/run

# Run a benchmark: assign [PROGRAM], group (press to lamp, take-over, idle), card, pair, flood, nodes, scale, memory [MINUTES].
bench NAME *ARGS: (_venv "dev")
    @program="tests/bench/bench_$1.py"; shift; PYTHONPATH=tests/tools exec {{python}} "$program" "$@"

# Update the lock files to the newest versions of the packages, for every supported Python and platform.
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
