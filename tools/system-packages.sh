#!/usr/bin/env bash
# See to the libraries that Qt and OpenGL need but no wheel brings, on Debian and
# its relatives. As root the missing ones are installed; others are told what to
# type. Elsewhere nothing happens: desktops have these libraries.
set -euo pipefail

packages=(
  xvfb xauth
  libgl1 libegl1 libopengl0 libgl1-mesa-dri libglx-mesa0
  libglib2.0-0 libfontconfig1 libdbus-1-3 libgssapi-krb5-2
  libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1
  libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xfixes0 libxcb-xinerama0
  fonts-dejavu-core
)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  exit 0
fi

# Since the 64-bit time_t transition some libraries carry the suffix t64.
is_installed() {
  local name
  for name in "$1" "$1t64"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; then
      return 0
    fi
  done
  return 1
}

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if [ "${#missing[@]}" = 0 ]; then
  exit 0
fi

if [ "$(id -u)" = 0 ]; then
  echo "Installing system packages: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  exit 0
fi

cat >&2 <<TEXT
These system packages are missing; without them Qt may not start. Install them with

  sudo apt-get install --no-install-recommends ${missing[*]}

and run make again, or go on without them with: make SYSTEM_PACKAGES=no ...
TEXT
exit 1
