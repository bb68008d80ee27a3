#!/usr/bin/env bash
# Run a command on the screen that there is, else on a virtual one, else as it is.
set -euo pipefail
if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xvfb-run >/dev/null; then
  exec xvfb-run --auto-servernum --server-args="-screen 0 1920x1080x24" "$@"
fi
exec "$@"
