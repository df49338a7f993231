#!/usr/bin/env bash
# Set up everything that `make demo` and `make test` need, on a machine that has Python 3.11+, its venv module, make and git.
#
#   scripts/setup.sh venv             the project's own .venv from the hash-pinned lock
#   scripts/setup.sh system [test]    GL libraries (for `test` PostgreSQL, Chromium, Podman and ImageMagick too) through apt, or the line to type
#   scripts/setup.sh suites           the suites' own environments that the tests use, as `vla-bench env create` makes them
#
# PYTHON=/path/to/python chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

LOCK=requirements/dev.lock
GL_PACKAGES=(libegl1 libegl-mesa0 libgl1 libglx-mesa0 libgl1-mesa-dri libosmesa6)
# ImageMagick's library, which LIBERO-Plus draws motion blur with; its name differs from release to release.
SUITE_PACKAGES=(libmagickwand-6.q16-6 libmagickwand-6.q16-7t64 libmagickwand-7.q16-10)

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 2; }

# Run quietly; show the end of the output only where it failed.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  [ "$status" = 0 ] || tail -n 15 "$log" >&2
  rm -f "$log"
  return "$status"
}

is_usable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if is_usable_python "$candidate"; then echo "$candidate"; return; fi
  done
  fail "no Python 3.11 or later with its venv module was found${PYTHON:+ at $PYTHON}." \
    "On Debian and Ubuntu type: apt-get install python3 python3-venv"
}

make_venv() {
  local python
  if .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then return; fi
  python=$(find_python)
  say "virtual environment .venv with $("$python" --version)"
  quietly "$python" -m venv --clear .venv || fail "the virtual environment cannot be made; the lines above say why."
}

# uv alone, cut out of the lock: it installs the rest in seconds. Where it has no wheel, pip does all.
install_uv() {
  local one status=0
  one=$(mktemp)
  awk '/^uv==/ {on = 1} on {print} on && !/\\$/ {exit}' "$LOCK" >"$one"
  .venv/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes -r "$one" \
    >/dev/null 2>&1 </dev/null || status=$?
  rm -f "$one"
  return "$status"
}

install_packages() {
  local pip=(.venv/bin/python -m pip install -q --disable-pip-version-check)
  say "packages from $LOCK"
  if [ -z "${SETUP_WITHOUT_UV:-}" ] && install_uv; then
    local uv=(.venv/bin/uv pip install -q --python .venv/bin/python)
    if quietly "${uv[@]}" --require-hashes -r "$LOCK" && quietly "${uv[@]}" --no-deps --no-build-isolation -e .; then
      return
    fi
    say "uv did not get there; pip takes over"
  fi
  quietly "${pip[@]}" --require-hashes -r "$LOCK" || fail "the packages cannot be installed; the lines above say why."
  quietly "${pip[@]}" --no-deps --no-build-isolation -e . || fail "the project cannot be installed; the lines above say why."
}

set_up_venv() {
  make_venv
  install_packages
  touch .venv/.complete
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Names that are neither installed nor unknown to this release of the system (OSMesa left the newest ones).
missing_packages() {
  local package
  for package in "$@"; do
    is_installed "$package" || printf '%s\n' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() {
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# The tests start a server of their own; the package would start one for the whole system.
keep_postgres_asleep() {
  local file=/etc/postgresql-common/createcluster.conf
  [ -e "$file" ] || as_root sh -c \
    "mkdir -p ${file%/*} && echo '# No cluster when the package is installed: vla-bench tests make their own.
create_main_cluster = false' >$file"
}

apt_install() {
  local wanted=() package
  quietly as_root apt-get update -q || true
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then wanted+=("$package"); fi
  done
  [ "${#wanted[@]}" = 0 ] || quietly as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 \
    apt-get install -y -q --no-install-recommends "${wanted[@]}"
}

set_up_system() {
  local wanted=("${GL_PACKAGES[@]}") missing
  [ "${1:-}" != test ] || wanted+=(postgresql chromium curl libatomic1 podman runc docker-compose "${SUITE_PACKAGES[@]}")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    [ "$(uname -s)" = Darwin ] || say "not a Debian system: for pictures install its EGL or OSMesa library"
    return 0
  fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  # What this release does not have stays missing; it is not asked for at every call.
  if [ "${#missing[@]}" = 0 ] || [ "${missing[*]}" = "$(cat .venv/.unavailable 2>/dev/null)" ]; then return 0; fi
  if ! can_be_root; then
    say "missing system packages (without them: no pictures, no tests of PostgreSQL, pages and containers). Type:" \
      "sudo apt-get install -y ${missing[*]}"
    return 0
  fi
  say "system packages: ${missing[*]}"
  case " ${missing[*]} " in *" postgresql "*) keep_postgres_asleep ;; esac
  if apt_install "${missing[@]}"; then
    missing_packages "${wanted[@]}" | paste -sd ' ' >.venv/.unavailable
  else
    say "apt-get did not install them; going on without. The lines above say why."
  fi
}

# 400 MB of wheels the first time, which pip and uv keep; nothing at all where it is there.
set_up_suites() {
  say "environment of libero"
  quietly .venv/bin/vla-bench env create libero || fail "the environment of libero cannot be made; the lines above say why."
}

case "${1:-}" in
  suites) set_up_suites ;;
  venv) set_up_venv ;;
  system) set_up_system "${2:-}" ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
