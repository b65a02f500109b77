#!/bin/sh
# Makes the Go of the console's pages from their .templ files, or checks that
# what is committed is what would be made.
# Usage: templ.sh GOBIN MODULE@VERSION generate|check
set -eu
bin=$1
[ "$("$bin/templ" version 2>/dev/null)" = "${2#*@}" ] || go install "$2"
pages=internal/server/web
case $3 in
generate)
	"$bin/templ" fmt "$pages" >/dev/null
	"$bin/templ" generate -path "$pages"
	;;
check)
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	# A copy is made anew, so that a check changes nothing here.
	cp -r "$pages" "$dir/web"
	find "$dir/web" -name '*_templ.go' -delete
	"$bin/templ" fmt -fail "$dir/web" >/dev/null 2>&1 || {
		echo 'pages are not formatted: run make generate'
		exit 1
	}
	"$bin/templ" generate -path "$dir/web" >/dev/null
	diff -rq "$pages" "$dir/web" || {
		echo 'the Go of pages is not what their .templ files make: run make generate'
		exit 1
	}
	;;
*)
	echo "usage: templ.sh GOBIN MODULE@VERSION generate|check" >&2
	exit 2
	;;
esac
