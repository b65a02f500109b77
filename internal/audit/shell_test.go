package audit

import (
	"strings"
	"testing"
)

// The forms of archive commands that are in use, good and bad.
func TestArchiveCommands(t *testing.T) {
	for command, want := range map[string]string{
		// good
		`test ! -f /mnt/a/%f && cp %p /mnt/a/%f`:                                     "",
		`[ ! -e /mnt/a/%f ] && cp %p /mnt/a/%f`:                                      "",
		`cp -n %p /mnt/a/%f`:                                                         "",
		`cp --no-clobber %p "/mnt/a/%f"`:                                             "",
		`pgbackrest --stanza=main archive-push %p`:                                   "",
		`/usr/bin/pgbackrest --stanza=main archive-push %p >/dev/null 2>&1`:          "",
		`envdir /etc/wal-e.d/env wal-g wal-push %p`:                                  "",
		`barman-wal-archive backup main %p`:                                          "",
		`rsync -a --ignore-existing %p backup@host:/a/%f`:                            "",
		`test ! -f /a/%f && gzip < %p > /a/%f.tmp && mv /a/%f.tmp /a/%f`:             "",
		`set -e; test ! -f /a/%f; gzip -c %p > /a/%f; echo done`:                     "",
		`bash -o pipefail -c "test ! -f /a/%f; zstd -c %p | ssh host 'cat > /a/%f'"`: "",
		`bash -c 'set -o pipefail; zstd -c %p | ssh host "cat > /a/%f"'`:             "",
		`cp -n %p /a/%f; rc=$?; logger "archived %f: $rc"; exit $rc`:                 "",
		`cp -n %p /a/%f || exit 1`:                                                   "",
		`cp -n %p /a/%f || { logger failed; exit 1; }`:                               "",
		`if [ ! -f /a/%f ]; then cp %p /a/%f; fi`:                                    "",
		`if cp -n %p /a/%f; then exit 0; else exit 1; fi`:                            "",
		`aws s3 cp %p s3://bucket/%f`:                                                "",
		`/opt/scripts/archive.sh %p %f`:                                              "",
		`nice -n 19 timeout 60 cp -n %p /a/%f`:                                       "",
		`cp -n %p /a/%f || scp %p host:/a/%f`:                                        "",
		`(test ! -f /a/%f && cp %p /a/%f)`:                                           "",
		`echo secret | gpg --batch --passphrase-fd 0 -c -o /a/%f %p`:                 "",
		// stores nothing
		`/bin/true`:                         "discards",
		`true`:                              "discards",
		`:`:                                 "discards",
		`exit 0`:                            "discards",
		`echo %p`:                           "discards",
		`/bin/true # cp %p /a/%f`:           "discards",
		`test -f %p`:                        "discards",
		`cp %p /dev/null`:                   "discards",
		`cat %p > /dev/null`:                "discards",
		`/opt/archive.sh`:                   "discards",
		`sh -c 'exit 0'`:                    "discards",
		`logger "would archive %f"; exit 0`: "discards",
		`dd if=%p of=/dev/null`:             "discards",
		// swallows
		`cp -n %p /a/%f || true`:                                       "swallows",
		`cp -n %p /a/%f; true`:                                         "swallows",
		`cp -n %p /a/%f; exit 0`:                                       "swallows",
		`cp -n %p /a/%f || echo failed`:                                "swallows",
		`pgbackrest --stanza=main archive-push %p || /bin/true`:        "swallows",
		`pgbackrest --stanza=main archive-push %p; logger archived %f`: "swallows",
		`gzip -c %p | ssh host "cat > /a/%f"`:                          "swallows",
		`zstd -c %p | aws s3 cp - s3://bucket/%f`:                      "swallows",
		`rsync -a --ignore-existing %p host:/a/%f &`:                   "swallows",
		`cp -n %p /a/%f & wait`:                                        "swallows",
		`! cp -n %p /a/%f`:                                             "swallows",
		`if cp -n %p /a/%f; then echo ok; fi`:                          "swallows",
		`sh -c "cp -n %p /a/%f; exit 0"`:                               "swallows",
		`{ cp -n %p /a/%f; scp %p host:/a/%f; } 2>&1`:                  "swallows",
		// overwrites
		`cp %p /a/%f`:              "overwrites",
		`cp -f %p /a/%f`:           "overwrites",
		`cat %p > /a/%f`:           "overwrites",
		`gzip < %p > /a/%f.gz`:     "overwrites",
		`rsync -a %p /a/%f`:        "overwrites",
		`dd if=%p of=/a/%f bs=1M`:  "overwrites",
		`mv %p /a/%f`:              "overwrites",
		`mkdir -p /a && cp %p /a/`: "overwrites",
		`install -m 600 %p /a/%f`:  "overwrites",
	} {
		c, err := readShell(command)
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		var got []string
		if discards(command, c) != "" {
			got = append(got, "discards")
		}
		if len(c.Swallowed) > 0 {
			got = append(got, "swallows")
		}
		if overwrites(c) != "" {
			got = append(got, "overwrites")
		}
		if strings.Join(got, ",") != want && (len(got) == 0 || got[0] != want || want == "") {
			t.Errorf("%s: got %v, want %q: %+v", command, got, want, c)
		}
	}
	if _, err := readShell(`cp %p "/a/%f`); err == nil {
		t.Error("an open quote was read")
	}
}

func TestArchiveDirectories(t *testing.T) {
	for command, want := range map[string]string{
		`cp %p /a/b/%f`: "/a/b", `cp %p /a/b/`: "/a/b", `cp %p /a/b`: "/a/b", `cp -t /a/b %p`: "/a/b", `gzip < %p > archive/%f.gz`: "archive",
		`rsync %p host:/a/%f`: "", `cp %p $HOME/%f`: "", `scp %p host:a/%f`: "", `zstd -o /a/%f.zst %p`: "/a", `pgbackrest archive-push %p`: "",
	} {
		c, err := readShell(command)
		if got := strings.Join(archiveDirectories(c), ","); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", command, got, want, err)
		}
	}
}

func FuzzReadShell(f *testing.F) {
	f.Add("cp %p /a/%f || true")
	f.Add("bash -c 'set -e; x | y' & if a; then b; elif c; then d; else e; fi")
	f.Fuzz(func(t *testing.T, command string) {
		if c, err := readShell(command); err == nil {
			_, _, _ = discards(command, c), overwrites(c), archiveDirectories(c)
		}
	})
}
