#!/bin/sh
# All tests. Most are those of the program itself, most of which wait for a server of their own most of the time: they are run as two halves at
# once, each with its own PostgreSQL, beside those of the other packages.
#
#   scripts/test.sh [FLAG…]     flags of 'go test'
set -u
cd "$(dirname "$0")/.."

program=./cmd/sallyport
half='^(Test[A-L]|Example|Fuzz)' # by their names: what one half runs the other one skips
others=$(go list ./... | grep -v '/cmd/sallyport$') || exit
go build ./... || exit # once, not three times at once

running=
go test -timeout 20m "$@" -run "$half" $program & running="$running $!"
go test -timeout 20m "$@" -skip "$half" $program & running="$running $!"
go test -timeout 20m -p 1 "$@" $others & running="$running $!"
trap 'kill $running 2>/dev/null' INT TERM

failed=0
for one in $running; do
	wait "$one" || failed=1
done
exit $failed
