#!/bin/sh
# Say whether there is a browser for the tests of the page, and its driver; where this may be done, install them.
# Exit status 77 means that there is none and why it was said: what needs one is to be left out.
set -eu
missing() { for program in chromium chromedriver; do command -v "$program" || echo "none"; done | grep -q "^none$"; }

if missing && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium and chromium-driver" >&2
    export DEBIAN_FRONTEND=noninteractive
    install() { apt-get -qq install --yes --no-install-recommends chromium chromium-driver fonts-dejavu-core; }
    { install || { apt-get -qq update && install; }; } >/dev/null 2>.cache/browser.log || tail -3 .cache/browser.log >&2
fi
if missing; then
    echo "no browser to try the page in: it takes chromium and chromedriver (on Debian: chromium, chromium-driver)" >&2
    exit 77
fi
