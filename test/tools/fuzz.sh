#!/bin/sh
# Runs every fuzz target for a while. Usage: fuzz.sh TIME
set -eu
for pkg in $(go list ./...); do
	for f in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $f"
		go test -run '^$' -fuzz "^$f\$" -fuzztime "$1" -fuzzminimizetime 1x "$pkg"
	done
done
