#!/bin/sh
# Makes .venv fit for use: scripts/setup.sh [local|dev]. Does nothing when nothing has changed since the last time.
# PYTHON=/path/to/python3 picks another interpreter for a new .venv.
set -eu
cd "$(dirname "$0")/.."
extra=${1:-dev}
here=$(pwd -P)

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not Python 3.11 or newer. Point it at one, or leave it unset."
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "Stillroom needs Python 3.11 or newer, and none is here. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"
}

# Installs a Debian package when this is Debian and we may.
apt_install() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    say "Installing $1 ..."
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"; } >&2
}

# Debian ships Python without ensurepip, which a virtual environment needs.
need_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$package" ||
        die "$1 cannot make virtual environments yet. On Debian or Ubuntu: sudo apt-get install $package"
}

# The engine for local models is linked to OpenMP, which slim systems lack; all the rest works without it.
want_openmp() {
    .venv/bin/python -c 'import xllamacpp' 2>/dev/null && return
    apt_install libgomp1 ||
        say "Models on this machine need OpenMP, all else works. On Debian or Ubuntu: sudo apt-get install libgomp1"
}

fingerprint="$here $(cat pyproject.toml constraints.txt scripts/setup.sh | cksum)"
is_done() { [ "$(cat ".venv/.stillroom-$1" 2>/dev/null)" = "$fingerprint" ]; }
works() { .venv/bin/python -m pip --version >/dev/null 2>&1; }

# The dev set contains the local one.
if .venv/bin/python -c '' 2>/dev/null && { is_done "$extra" || is_done dev; }; then
    exit 0
fi

# Scripts in a virtual environment name its folder, so a moved one is made anew.
made_in=$(cat .venv/.stillroom-folder 2>/dev/null || printf '%s' "$here")
if [ "$made_in" != "$here" ] || ! works; then
    python=$(find_python)
    need_venv "$python"
    say "Setting up Stillroom in .venv. This takes a minute or two, once."
    "$python" -m venv --clear .venv || die "$python could not make .venv. Is the disk full, or the folder read-only?"
    printf '%s' "$here" >.venv/.stillroom-folder
else
    say "Bringing .venv up to date ..."
fi
.venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$extra]" ||
    die "The packages could not be installed; the reason stands above. Check the network, then run the same command again."
want_openmp
printf '%s' "$fingerprint" >".venv/.stillroom-$extra"
