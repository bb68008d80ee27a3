#!/usr/bin/env bash
# Make .venv with this project and the dependency groups named as arguments.
#
#   tools/environment.sh test        editable install + group "test"
#   tools/environment.sh lint bench  two groups
#
# Does nothing when .venv already holds them for the present pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv

# The newest interpreter that runs and can make a virtual environment. A name on
# the PATH is not enough: version managers put stubs there that only print help.
find_python() {
  local name
  for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
      "$name" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$name"
      return 0
    fi
  done
  return 1
}

explain_python() {
  local found
  found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
  case "$found" in
    "") echo "No Python was found. Install the packages python3 and python3-venv (3.11 or newer)." ;;
    3.[0-9] | 3.10)
      echo "Python $found is too old: 3.11 or newer is needed."
      echo "Install the packages python3.12 and python3.12-venv (or 3.11, 3.13), or set PYTHON."
      ;;
    *) echo "Python $found cannot make a virtual environment. Install the package python3-venv." ;;
  esac >&2
}

if ! python=$(find_python); then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      python3 python3-venv ca-certificates
  fi
  python=$(find_python) || {
    explain_python
    exit 1
  }
fi

if [ ! -x "$venv/bin/python" ]; then
  echo "Making $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi

wanted=()
for group in "$@"; do
  stamp="$venv/.installed-$group"
  # -nt is also true when the stamp does not exist yet.
  if [ pyproject.toml -nt "$stamp" ]; then
    wanted+=("$group")
  fi
done
if [ "${#wanted[@]}" = 0 ]; then
  exit 0
fi

echo "Installing napari-liso and its dependency groups: ${wanted[*]}"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
# Dependency groups (PEP 735) came with pip 25.1.
"${pip[@]}" install --quiet --upgrade "pip>=25.1"
groups=()
for group in "${wanted[@]}"; do
  groups+=(--group "$group")
done
"${pip[@]}" install --quiet --editable . "${groups[@]}"
for group in "${wanted[@]}"; do
  touch "$venv/.installed-$group"
done
