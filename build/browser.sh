#!/bin/sh
# Check that the browser and its driver, which the tests of the page need, are installed. As root on Debian, install
# them if they are missing. Exit with status 77 if they are still missing: the caller then skips these tests.
set -eu
missing() { for program in chromium chromedriver; do command -v "$program" || echo "none"; done | grep -q "^none$"; }

if missing && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium and chromium-driver" >&2
    export DEBIAN_FRONTEND=noninteractive
    install() { apt-get -qq install --yes --no-install-recommends chromium chromium-driver fonts-dejavu-core; }
    { install || { apt-get -qq update && install; }; } >/dev/null 2>.cache/browser.log || tail -3 .cache/browser.log >&2
fi
if missing; then
    echo "skipped the tests of the page: they need chromium and chromedriver (Debian: chromium, chromium-driver)" >&2
    exit 77
fi
