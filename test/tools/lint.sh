#!/bin/sh
# gofmt, vet, staticcheck, golangci-lint (with depguard), shellcheck, and
# govulncheck where its database can be reached.
# Usage: lint.sh GOBIN STATICCHECK GOLANGCI GOVULNCHECK (modules at versions).
set -eu
bin=$1
tool() { [ -x "$bin/$1" ] || go install "$2"; }
unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'not formatted:\n%s\n' "$unformatted"
	exit 1
fi
go vet ./...
tool staticcheck "$2"
"$bin/staticcheck" ./...
tool golangci-lint "$3"
"$bin/golangci-lint" run ./...
if command -v shellcheck >/dev/null 2>&1; then
	git ls-files '*.sh' .ci/run | xargs shellcheck
else
	echo 'shellcheck is not installed: scripts were not looked at'
fi
tool govulncheck "$4"
if out=$("$bin/govulncheck" ./... 2>&1); then
	echo "$out" | tail -1
elif echo "$out" | grep -qiE 'fetching vulnerabilities|dial|no such host|connection refused|Forbidden|proxy'; then
	echo 'govulncheck: its database cannot be reached from here; not checked'
else
	echo "$out"
	exit 1
fi
