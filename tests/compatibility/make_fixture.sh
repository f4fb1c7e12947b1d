#!/bin/sh
# sh make_fixture.sh TREE WORK OUT
# TREE: a clone of the project with its environment in .venv. WORK: a new folder. OUT: gets project.tar.xz, expected.json.
# Lends TREE (read-only) and the project the places /srv/code and /srv/project, in a mount namespace of its own: nothing
# outside WORK and OUT is written. Needs root, or a kernel that lends user namespaces (then: unshare --map-root-user).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$1" && pwd)
mkdir -p "$2/srv/code" "$2/srv/project" "$3"
work=$(cd "$2" && pwd) out=$(cd "$3" && pwd)
options=--mount
[ "$(id -u)" = 0 ] || options='--mount --map-root-user'
exec unshare $options sh -euc '
  mount --bind "$2/srv" /srv
  mount --bind "$1" /srv/code
  mount -o remount,bind,ro /srv/code
  export PYTHONDONTWRITEBYTECODE=1
  exec /srv/code/.venv/bin/python "$4/make_fixture.py" --tree /srv/code --project /srv/project --work "$2" --out "$3"
' sh "$tree" "$work" "$out" "$here"
