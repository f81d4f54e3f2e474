#!/bin/sh
# All tests. Most are those of the program itself, most of which wait for a server of their own most of the time: they are built once, as that
# takes a processor half a minute, and run as two halves at once, each with its own PostgreSQL, beside those of the other packages.
set -u
cd "$(dirname "$0")/.."

program=serve
half='^Test[A-L]' # by their names: what one half runs the other one skips
others=$(go list ./... | grep -v "/$program$") || exit

running=
built=$(mktemp -d) || exit
trap 'kill $running 2>/dev/null; rm -rf "$built"' EXIT
trap 'exit 130' INT TERM
go test -o "$built/sallyport.test" -run '^$' "./$program" || exit # vets and builds; the parts run what is built

part() {
	(cd "$program" && exec "$built/sallyport.test" -test.paniconexit0 -test.timeout 20m "$@") & running="$running $!"
}
part -test.run "$half"
part -test.skip "$half"
# shellcheck disable=SC2086
go test -timeout 20m -p 1 $others & running="$running $!"

failed=0
for each in $running; do
	wait "$each" || failed=1
done
running=
exit $failed
