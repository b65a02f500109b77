package jobs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/foreign"
)

// A whole machine's jobs, below a directory that stands for its root.
func TestFind(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/crontab":                        "MAILTO=dba\n# 1 2 * * * root pg_dump off\n0 3 * * * postgres pg_dump shop > /srv/dumps/shop-$(date +\\%F).sql\n0 4 * * * root /usr/bin/true\n",
		"etc/cron.d/rest":                    "5 1 * * 0 postgres pgbackrest --stanza=main --type=full backup >/dev/null 2>&1\n",
		"var/spool/cron/crontabs/postgres":   "@daily /usr/local/bin/backup.sh\n",
		"usr/local/bin/backup.sh":            "#!/bin/sh\npg_dumpall > /srv/all/x.sql\n",
		"etc/cron.daily/barman":              "#!/bin/sh\nbarman backup all\n",
		"etc/systemd/system/wal-g.timer":     "[Timer]\nOnCalendar=daily\n",
		"etc/systemd/system/wal-g.service":   "[Service]\nUser=postgres\nExecStart=-/usr/bin/wal-g backup-push /data\n",
		"etc/systemd/system/untimed.service": "[Service]\nExecStart=/usr/bin/pg_dump x\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := foreign.Options{Root: root}
	places, err := Find(o)
	if err != nil || len(places) != 1 {
		t.Fatalf("%v %v", places, err)
	}
	f := Read(o, places[0])
	if !f.Jobs.Seen || len(f.Jobs.Value) != 5 {
		t.Fatalf("%+v", f.Jobs)
	}
	by := map[string]foreign.Job{}
	for _, j := range f.Jobs.Value {
		by[strings.TrimPrefix(j.File, root)] = j
	}
	if j := by["/etc/crontab"]; j.User != "postgres" || j.Line != 3 || !j.Heard || j.Command != "pg_dump shop > /srv/dumps/shop-$(date +%F).sql" {
		t.Errorf("%+v", j)
	}
	if j := by["/etc/cron.d/rest"]; j.Heard || j.Schedule != "5 1 * * 0" {
		t.Errorf("%+v", j)
	}
	if j := by["/var/spool/cron/crontabs/postgres"]; j.Schedule != "@daily" || !strings.Contains(j.Scripts["/usr/local/bin/backup.sh"], "pg_dumpall") {
		t.Errorf("%+v", j)
	}
	if j := by["/etc/systemd/system/wal-g.service"]; !j.Systemd || j.Schedule != "daily" || j.Command != "/usr/bin/wal-g backup-push /data || true" {
		t.Errorf("%+v", j)
	}
	if got := Folders(f.Jobs.Value); len(got) != 2 || got[0] != "/srv/all" || got[1] != "/srv/dumps" {
		t.Errorf("%v", got)
	}
}

func TestFindsNone(t *testing.T) {
	if places, err := Find(foreign.Options{Root: t.TempDir()}); err != nil || len(places) != 0 {
		t.Errorf("%v %v", places, err)
	}
}
