#!/bin/sh
# Installs Debian packages that Refloat's demo or tests use.
# Usage: install-debian.sh demo|test. Idempotent; asks for root through sudo
# only when something is missing.
set -eu
need=
want() { # program package
	command -v "$1" >/dev/null 2>&1 || need="$need $2"
}
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need="$need postgresql"
want git git
if [ "${1:-demo}" = test ]; then
	[ -x /usr/lib/postgresql/15/bin/postgres ] || need="$need postgresql-15"
	want npm npm
	want zstd zstd
	want age age
	want minisign minisign
	want pdftotext poppler-utils
	want unzip unzip
	want shellcheck shellcheck
	want chromium chromium
	want pgbackrest pgbackrest
	want barman barman
	want faketime faketime
fi
[ -n "$need" ] || exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
# The servers are started by the demo and the tests themselves; Debian's
# default cluster is not wanted.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	$sudo mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of package names
$sudo apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold $need
