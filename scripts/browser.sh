#!/bin/sh
# Prints the path of a Chromium for the browser tests and the screenshots, and installs one if there is none.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
has_apt() { command -v apt-get >/dev/null; }

# A snap sees a /tmp of its own, so it cannot use the profile that a test gives it.
is_usable() {
    case "$(readlink -f "$1" 2>/dev/null || printf '%s' "$1")" in /snap/* | */bin/snap) return 1 ;; esac
    "$1" --version >/dev/null 2>&1
}

installed() {
    for name in chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
        path=$(command -v "$name" 2>/dev/null) && is_usable "$path" && printf '%s\n' "$path" && return
    done
    path=$(.venv/bin/python -c '
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)' 2>/dev/null) && is_usable "$path" && printf '%s\n' "$path"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_be_root() { as_root true 2>/dev/null; }

if [ -n "${STILLROOM_CHROMIUM:-}" ]; then
    is_usable "$STILLROOM_CHROMIUM" || { say "STILLROOM_CHROMIUM=$STILLROOM_CHROMIUM does not start. Point it at a Chromium, or leave it unset."; exit 1; }
    printf '%s\n' "$STILLROOM_CHROMIUM"
    exit
fi
installed && exit

say "No Chromium here; installing one for the browser tests ..."
if has_apt && may_be_root; then
    as_root apt-get update -qq >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >&2 && installed && exit
    .venv/bin/python -m playwright install --with-deps chromium >&2 && installed && exit
else
    .venv/bin/python -m playwright install chromium >&2 && installed && exit
fi
say "No Chromium could be installed. Install Chromium or Google Chrome, or set STILLROOM_CHROMIUM to the path of one."
exit 1
