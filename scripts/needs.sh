#!/usr/bin/env bash
# Sees to it that what the tests use besides Go and the server is on this machine: a C compiler, psql and libpq, pgbouncer, Python's drivers for
# PostgreSQL, SQLAlchemy, the JDBC driver, curl, openssl and Chromium.
# It installs the distribution's packages where it may do so without asking, prints each command before it runs it, and never lets a package start a
# server of its own. Whatever it cannot install it tells of, and ends well: the tests concerned are then left out, and say so.
set -uo pipefail

has() { command -v "$1" >/dev/null; }

# The tests look at both.
python_has() {
  local python
  for python in python3 /usr/bin/python3; do
    has "$python" && "$python" -c "import $1" 2>/dev/null && return 0
  done
  return 1
}

missing=()
has make || missing+=(make)
has gcc || has cc || missing+=(gcc libc6-dev)
has psql || missing+=(postgresql-client)
[ -e /usr/include/postgresql/libpq-fe.h ] || missing+=(libpq-dev)
has pgbouncer || [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
has curl || missing+=(curl)
has openssl || missing+=(openssl)
has chromium || has chromium-browser || has google-chrome || missing+=(chromium) # the pages are tried in it
python_has psycopg || missing+=(python3-psycopg)
python_has psycopg2 || missing+=(python3-psycopg2)
python_has sqlalchemy || missing+=(python3-sqlalchemy)
! has javac || [ -e /usr/share/java/postgresql.jar ] || missing+=(libpostgresql-jdbc-java) # where there is a JDK
for dir in /usr/lib/postgresql/*/; do # the log that `sallyport import` reads
  [ -x "$dir/bin/initdb" ] && [ ! -e "$dir/lib/pgaudit.so" ] && missing+=("postgresql-$(basename "$dir")-pgaudit")
done
[ ${#missing[@]} -eq 0 ] && exit 0

without() {
  echo "Without ${missing[*]} ($1) the tests that use them are left out." >&2
  exit 0
}

has apt-get || without "this is no Debian or Ubuntu"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || without "installing takes root: sudo scripts/needs.sh"
  as_root=(sudo -n)
fi

# While this is there packages start no service (invoke-rc.d(8)). One that stands there already stays as it is.
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
  trap '"${as_root[@]}" rm -f "$guard"' EXIT
  "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' >$guard && chmod 755 $guard" || without "$guard cannot be written"
fi

run() {
  echo "+ $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

run apt-get update -q || echo "apt-get update failed; trying with what it knows" >&2
# One by one: a package that is not to be had takes none of the others with it.
failed=()
for package in "${missing[@]}"; do
  run apt-get install -q -y --no-install-recommends "$package" || failed+=("$package")
done
[ ${#failed[@]} -eq 0 ] || echo "Not installed: ${failed[*]}. The tests that use them are left out." >&2
exit 0
