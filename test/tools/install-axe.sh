#!/bin/sh
# Installs axe-core, which the browser tests look for barriers with.
# Usage: install-axe.sh [DIR]. Idempotent.
set -eu
version=4.14.1
sum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
dir=${1:-}
if [ -z "$dir" ]; then
	if [ "$(id -u)" = 0 ]; then dir=/opt/refloat-test/axe; else dir=$HOME/.cache/refloat-test/axe; fi
fi
if [ -f "$dir/axe.min.js" ] && echo "$sum  $dir/axe.min.js" | sha256sum --check --status; then
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "axe-core@$version" >/dev/null && tar xzf ./*.tgz)
echo "$sum  $tmp/package/axe.min.js" | sha256sum --check --quiet
mkdir -p "$dir"
cp "$tmp/package/axe.min.js" "$tmp/package/LICENSE" "$dir/"
