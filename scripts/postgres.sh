#!/usr/bin/env bash
# Sees to it that PostgreSQL's server programs (initdb, postgres) are on this machine, as the demonstration and the tests
# start a private PostgreSQL of their own. Looks first; installs the distribution's package only where it may do so without
# asking, prints each command before it runs it, and never lets the package start a server of its own.
set -euo pipefail

# The same places as internal/throwaway looks in.
find_programs() {
  local initdb dir
  initdb=$(command -v initdb || true)
  [ -n "$initdb" ] && [ -x "$(dirname "$initdb")/postgres" ] && return 0
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
  done
  if command -v pg_config >/dev/null; then
    dir=$(pg_config --bindir)
    [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
  fi
  return 1
}

give_up() {
  echo "PostgreSQL's server programs are missing: $1, then run this again." >&2
  exit 3
}

# run prints a command as one could type it, and runs it. None of its words holds a single quote.
run() {
  local word line=+
  for word; do
    case $word in *[!A-Za-z0-9_./=-]*) word="'$word'" ;; esac
    line+=" $word"
  done
  echo "$line"
  "$@"
}

find_programs && exit 0

case $(uname -s) in
  Darwin) give_up "install them with 'brew install postgresql@17'" ;;
esac
command -v apt-get >/dev/null || give_up "install your distribution's PostgreSQL server package (for example postgresql-server)"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null ||
    give_up "run scripts/postgres.sh as root (sudo scripts/postgres.sh), which installs the package postgresql without a server of its own"
  as_root=(sudo -n)
fi
as_root+=(env DEBIAN_FRONTEND=noninteractive)

echo "PostgreSQL's server programs are missing; installing the distribution's package, without a server of its own:"
run "${as_root[@]}" apt-get update -q
run "${as_root[@]}" apt-get install -q -y --no-install-recommends postgresql-common
conf=/etc/postgresql-common/createcluster.conf
# The last line wins, whatever the file says before it.
# shellcheck disable=SC2016
run "${as_root[@]}" sh -c 'grep -qx "create_main_cluster = false" "$0" || echo "create_main_cluster = false" >>"$0"' "$conf"
run "${as_root[@]}" apt-get install -q -y --no-install-recommends postgresql

find_programs || give_up "apt-get installed the package, but initdb is nowhere to be found; put its folder into PATH"
