#!/bin/sh
# Print the Python to use. If this machine lacks anything, print a line for each missing thing and exit with status 1.
#
# The script runs each program, because its presence in the PATH proves little. pyenv puts commands there for versions
# that are not installed. Debian splits Python into packages. A C compiler may lack the headers of the C library.
set -eu
lacking=
lacks() {
    echo "elevator needs $1" >&2
    lacking=yes
}

system=$(uname -s)
if [ "$system" != Linux ]; then
    lacks "Linux; this is $system"
    exit 1
fi

# Prints the version and the missing parts. This code must run in old versions of Python too.
ask='import os, sys, sysconfig
found = ["%d.%d" % tuple(sys.version_info[:2])]
if tuple(sys.version_info) < (3, 11):
    found.append("old")
else:
    try:
        import ensurepip, venv
    except ImportError:
        found.append("venv")
    if not os.path.exists(sysconfig.get_path("include") + "/Python.h"):
        found.append("headers")
print(" ".join(found))'
python='' best=''
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    found=$("$name" -c "$ask" 2>/dev/null) || continue
    case $found in
        *old) best=${best:-$found} ;;
        *' '*) case $best in '' | *old) best=$found ;; esac ;;
        *)
            python=$name
            break
            ;;
    esac
done
version=${best%% *}
case $python,$best in
    ?*,*) ;;
    ,) lacks "Python 3.11 or newer: no python3 runs here (Debian, Ubuntu: apt install python3 python3-venv python3-dev)" ;;
    *old) lacks "Python 3.11 or newer: python3 is $version (Ubuntu 22.04: apt install python3.11-venv python3.11-dev)" ;;
    *)
        case $best in
            *venv*) lacks "Python's venv and ensurepip (Debian, Ubuntu: apt install python$version-venv)" ;;
        esac
        case $best in
            *headers*) lacks "Python's C headers (Debian, Ubuntu: apt install python$version-dev; Fedora: dnf install python3-devel)" ;;
        esac
        ;;
esac

if ! echo '#include <stdlib.h>' | ${CC:-cc} -x c -c -o /dev/null - 2>/dev/null; then
    lacks "a C compiler with headers: ${CC:-cc} does not compile (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc)"
fi

[ -z "$lacking" ] || exit 1
echo "$python"
