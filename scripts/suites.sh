#!/bin/bash
# Other people's test suites, straight at a PostgreSQL and through Sallyport: what passes there must pass here.
#
#   scripts/suites.sh [relay|guard] [SUITE…]     SUITE: libpq_pipeline pgx libpq-go regress isolation (default: all)
#
# relay: nothing is protected. guard: the suite's own database also holds the reference schema,
# protected, so every statement of the suite is analysed. Without the first word both are run.
# The suites' scripts are ../shared/checks/postgresql (CHECKS=…); they start a PostgreSQL of their own and install what they
# need by apt as root. WORK is their scratch directory, PORT where Sallyport listens, DIRECT_PORT where that PostgreSQL does.
set -eu

cd "$(dirname "$0")/.."
CHECKS=${CHECKS:-../shared/checks/postgresql}
export WORK=${WORK:-/var/tmp/conformance}
PORT=${PORT:-26460}
export DIRECT_PORT=${DIRECT_PORT:-26432}
SERVER=127.0.0.1:$DIRECT_PORT
TEMPLATE=sallyport_suite
export PGPASSWORD=hold-pw

if [ ! -f "$CHECKS/regress.sh" ]; then
  echo "suites: $CHECKS is not there, so nothing is run (CHECKS=FOLDER names another place)"
  exit 0
fi
ways="relay guard"
case ${1:-} in relay | guard) ways=$1; shift ;; esac
suites=${*:-libpq_pipeline pgx libpq-go regress isolation}

# database is the one in which a suite works.
database() {
  case $1 in
    libpq_pipeline) echo hold_pipeline ;;
    pgx) echo pgx_test ;;
    libpq-go) echo pqgo ;;
    regress) echo regression ;;
    isolation) echo isolation_regression ;;
    *) echo "suites: there is no suite $1" >&2; exit 2 ;;
  esac
}
for suite in $suites; do database "$suite" >/dev/null; done

direct() { psql -X -q -v ON_ERROR_STOP=1 -h "${SERVER%:*}" -p "${SERVER#*:}" -U hold "$@"; }

# serve starts Sallyport with the given flags and waits until it serves.
serve() {
  rm -f "$run/serve.out"
  "$run/sallyport" serve --listen "127.0.0.1:$PORT" --data "$run/data" "$@" >"$run/serve.out" 2>"$run/serve.log" &
  served=$!
  for _ in $(seq 200); do
    grep -q 'sallyport: ready' "$run/serve.out" 2>/dev/null && return
    kill -0 "$served" 2>/dev/null || break
    sleep 0.1
  done
  echo "suites: sallyport serve did not start:" >&2
  cat "$run/serve.log" >&2
  exit 3
}

stop() {
  [ -n "${served:-}" ] || return 0
  kill "$served" 2>/dev/null || true
  wait "$served" 2>/dev/null || true
  served=
}
trap stop EXIT

# protect makes a template with the reference schema in it, protected, and the configuration that guards one database.
protect() {
  stop
  direct -d postgres -c "DROP DATABASE IF EXISTS $1 WITH (FORCE)" -c "DROP DATABASE IF EXISTS $TEMPLATE WITH (FORCE)" \
    -c "CREATE DATABASE $1 TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
  direct -d "$1" -f sim/support.sql >/dev/null
  direct -d "$1" <<'SQL'
INSERT INTO support.staff VALUES ('s001', 'Ada Example', 'support', 'agent');
INSERT INTO support.customers SELECT n, 'Name ' || n, 'name' || n || '@mail.example', '+49301234' || 1000 + n, '1980-01-01', 'DE', 'basic', NULL, now()
  FROM generate_series(1, 50) n;
INSERT INTO support.tickets SELECT n, 'CS-0001-' || 1000 + n, n, 's001', 'general', 'open', 'a question', now(), NULL FROM generate_series(1, 50) n;
SQL
  openssl rand -hex 16 >"$run/reader.password"
  chmod 600 "$run/reader.password"
  sed -e "s/^  address: .*/  address: $SERVER/" -e "s/^  database: .*/  database: $1/" \
    -e "s/^tls: .*/tls: {certificate: server.crt, key: server.key}/" examples/sallyport.yaml |
    awk '/^[a-z_]+:/ { out = /^(directory|canary|drill|detect|reports|export|metrics):/ } !out' >"$run/sallyport.yaml" # what needs files of its own, and no suite asks for
  echo 10.4.0.0/16,DE >"$run/networks.csv"
  rm -rf "$run/data" "$run/key.txt"
  "$run/sallyport" protect --config "$run/sallyport.yaml" --data "$run/data" --key-file "$run/key.txt" \
    --owner "postgres://hold@$SERVER/$1" >"$run/protect.log" 2>&1 || { cat "$run/protect.log" >&2; exit 3; }
  direct -d postgres -c "ALTER DATABASE $1 RENAME TO $TEMPLATE" -c "CREATE DATABASE $1 TEMPLATE $TEMPLATE"
}

# checks is a copy of the scripts; guard's makes each suite's database from the template, for both of its runs.
checks() {
  rm -rf "$run/checks"
  cp -r "$CHECKS" "$run/checks"
  [ "$1" = guard ] || return 0
  sed -i 's/-c "create database $1 ${2:-}"/-c "create database $1 template '$TEMPLATE'"/' "$run/checks/lib.sh"
  grep -q "template $TEMPLATE" "$run/checks/lib.sh" || { echo "suites: $CHECKS/lib.sh makes its databases in a way that is not known here" >&2; exit 3; }
}

# one runs a suite and appends its line to the report.
one() {
  local script=$2 settings=
  case $2 in
    libpq_pipeline) script=regress settings="LIBPQ=1 REGRESS=0" ;;
    isolation) script=regress settings="ISOLATION=1 REGRESS=0" ;;
  esac
  echo "== $1: $2"
  env HOST=127.0.0.1 PORT="$PORT" NAME="$2" STRICT_OPTIONS=1 VERBOSE=1 OUT="$run/out-$1" $settings nice -n 10 "$run/checks/$script.sh" 2>&1 |
    tee "$run/$1-$2.txt" || true
  sed -n -E "s#^[a-z_-]+: ([0-9/]+) direct, ([0-9/]+) via proxy \[lost ([0-9]+);.*#| $2 | $1 | \1 | \2 | \3 |#p" "$run/$1-$2.txt" >>"$run/report"
}

mkdir -p "$WORK"
chmod 755 "$WORK"
run=$WORK/sallyport-run
mkdir -p "$run"
rm -f "$run/report"
nice -n 10 go build -o "$run/sallyport" ./cmd/sallyport
"$CHECKS/setup-pg.sh"
install -m 600 "$WORK/pg/proxy.key" "$run/server.key" # the server's own certificate, so that clients who verify it do
install -m 644 "$WORK/pg/server.crt" "$run/server.crt"
for way in $ways; do
  checks "$way"
  for suite in $suites; do
    stop
    if [ "$way" = guard ]; then
      protect "$(database "$suite")"
      serve --config "$run/sallyport.yaml" --key-file "$run/key.txt"
    else
      rm -rf "$run/data"
      direct -d postgres -c 'SET client_min_messages = warning' -c "DROP ROLE IF EXISTS sallyport_mark" # an earlier run's guard: nothing is relayed in front of its mark
      printf '%s\n' "version: 1" "upstream: {address: '$SERVER'}" "listen: 127.0.0.1:$PORT" "tls: {certificate: server.crt, key: server.key}" >"$run/relay.yaml"
      serve --config "$run/relay.yaml"
    fi
    one "$way" "$suite"
  done
done
stop
echo
echo "| suite | through | direct | Sallyport | lost |"
echo "|---|---|---|---|---|"
cat "$run/report"
