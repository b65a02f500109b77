package misconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/refloat-db/refloat/internal/app"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/store/sqlite"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// keeping is a target in our care: a server, a repository, and the program.
type keeping struct {
	t       *testing.T
	srv     *targettest.Cluster
	program string
	dir     string
	server  *exec.Cmd
	// The configuration, which cases change.
	repository, target string
}

func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(targettest.TempDir(t), "refloat")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/refloat-db/refloat/cmd/refloat").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// keep writes the configuration of a target in good care; repository is that
// part of it.
func keep(t *testing.T, srv *targettest.Cluster, program, repository string) *keeping {
	t.Helper()
	k := &keeping{t: t, srv: srv, program: program, dir: targettest.TempDir(t), repository: repository}
	k.target = "objectives: {data_loss: 1m, proof_age: 7d}\ndrill: {schedule: daily 04:00}\n"
	k.write("password", password+"\n")
	k.write("passphrase", repositorytest.Passphrase+"\n")
	return k
}

func (k *keeping) write(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by) + "\n"
}

func (k *keeping) text() string {
	dsn := strings.Replace(k.srv.DSN("postgres"), "postgres@", keeper+"@", 1)
	return "version: 1\nstate_dir: state\nserver: {listen: 'off'}\nrepository:\n" + indent(k.repository+"\npassphrase_file: passphrase", "  ") +
		"targets:\n  shop:\n    dsn: " + dsn + "\n    password_file: password\n    owner: ann\n" + indent(k.target, "    ")
}

// run runs the program and returns its output; code is what it must exit with.
func (k *keeping) run(code int, args ...string) string {
	k.t.Helper()
	k.write("refloat.yaml", k.text())
	cmd := exec.Command(k.program, args...)
	cmd.Dir = k.dir
	cmd.Stdin = strings.NewReader(repositorytest.Passphrase + "\n")
	out, _ := cmd.CombinedOutput() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != code {
		k.t.Fatalf("refloat %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// serve starts `refloat server`, and waits until the log is kept.
func (k *keeping) serve() {
	k.t.Helper()
	k.write("refloat.yaml", k.text())
	k.server = exec.Command(k.program, "server")
	k.server.Dir = k.dir
	k.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	k.server.Stdout, k.server.Stderr = &log, &log
	if err := k.server.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { k.endServer(syscall.SIGKILL) })
	targettest.WaitFor(k.t, "a base backup and the log after it", func() bool {
		f := k.facts()
		return f.Care.Log.Seen && time.Since(f.Care.Log.Value.Restorable) < 20*time.Second && len(f.Care.Backups.Value) > 0
	})
}

func (k *keeping) endServer(sig syscall.Signal) {
	if k.server != nil {
		_ = k.server.Process.Signal(sig)
		_ = k.server.Wait()
		k.server = nil
	}
}

// facts are gathered as `refloat check` gathers them.
func (k *keeping) facts() audit.Facts {
	k.t.Helper()
	file := filepath.Join(k.dir, "refloat.yaml")
	c, err := config.Parse(file, []byte(k.text()), func(string) (string, bool) { return "", false })
	if err != nil {
		k.t.Fatal(err)
	}
	a := app.New(c, nil)
	defer func() { _ = a.Close(context.WithoutCancel(k.t.Context())) }()
	f, err := a.Facts(k.t.Context(), "shop")
	if err != nil {
		k.t.Fatal(err)
	}
	f.Foreign = nil // what this machine has of other tools has cases of its own
	return f
}

// finds holds the audit to one rule's finding, a while later.
func (k *keeping) finds(rule string, severity audit.Severity, later time.Duration) {
	k.t.Helper()
	f := k.facts()
	f.At = f.At.Add(later)
	if due := &f.Care.Configured.BackupDue; !due.IsZero() {
		*due = due.Add(later.Truncate(24 * time.Hour))
	}
	r := audit.Judge(audit.Rules(), f)
	for _, x := range r.Findings {
		if x.Rule == rule {
			if x.Severity != severity {
				k.t.Errorf("%s is %s, want %s: %s", rule, x.Severity, severity, x.Evidence)
			}
			return
		}
	}
	i := slices.IndexFunc(r.Results, func(x audit.Result) bool { return x.Rule == rule })
	k.t.Errorf("%s did not find it: %+v\nfound: %s", rule, r.Results[i], strings.Join(above(r), "\n"))
}

// lacks holds the audit to not finding anything by one rule, a while later.
func (k *keeping) lacks(rule string, later time.Duration) {
	k.t.Helper()
	f := k.facts()
	f.At = f.At.Add(later)
	for _, x := range audit.Judge(audit.Rules(), f).Findings {
		if x.Rule == rule {
			k.t.Errorf("%s found where nothing is wrong: %s", rule, x.Evidence)
		}
	}
}

// with changes the configuration for one look.
func (k *keeping) with(change func(k *keeping)) *keeping {
	c := *k
	change(&c)
	return &c
}

func s3Repository(o map[string]string) string {
	return fmt.Sprintf("url: s3://%s/backups\ns3: {endpoint: %s, region: us-east-1, plaintext: true, access_key_id_file: access, secret_access_key_file: secret}", o["bucket"], o["endpoint"])
}

// copyBucket copies every object, as replication of storage would.
func copyBucket(t *testing.T, s *repositorytest.S3Server, access, secret, from, to string) {
	t.Helper()
	c, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for o := range c.ListObjects(t.Context(), from, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if _, err := c.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: to, Object: o.Key}, minio.CopySrcOptions{Bucket: from, Object: o.Key}); err != nil {
			t.Fatal(err)
		}
	}
}

// A target in good care, in storage that nobody can delete, with a copy
// elsewhere; and then everything that can be wrong with that.
func TestCare(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{Settings: map[string]string{"max_slot_wal_keep_size": "1GB"}})
	harden(t, srv)
	s3 := repositorytest.StartS3(t)
	locked, plain := s3.LockedBucket(t, "locked-bucket"), s3.Bucket(t, "plain-bucket")
	for _, b := range []string{"copy-bucket", "early-bucket", "other-bucket"} {
		_ = s3.Bucket(t, b)
	}
	access, secret := locked.S3.AccessKeyID, locked.S3.SecretAccessKey.Reveal()
	in := func(bucket string, copies ...string) string {
		text := s3Repository(map[string]string{"bucket": bucket, "endpoint": plain.S3.Endpoint})
		for i, c := range copies {
			copies[i] = "s3://" + c + "/backups"
		}
		return text + "\ncopies: [" + strings.Join(copies, ", ") + "]"
	}
	k := keep(t, srv, build(t), in("locked-bucket", "copy-bucket"))
	k.write("access", access+"\n")
	k.write("secret", secret+"\n")
	k.run(0, "repo", "init")
	copyBucket(t, s3, access, secret, "locked-bucket", "early-bucket")
	k.finds("backup-none", audit.Critical, 0)
	k.finds("backup-no-proof", audit.High, 0)
	k.finds("backup-passphrase", audit.Medium, 0)
	k.finds("backup-stopped", audit.Critical, 0)
	k.finds("backup-log-lag", audit.Critical, 0)

	k.serve()
	k.run(0, "drill", "shop")
	k.run(0, "repo", "verify")
	k.run(0, "repo", "verify-passphrase")
	copyBucket(t, s3, access, secret, "locked-bucket", "copy-bucket")
	for _, found := range above(audit.Judge(audit.Rules(), k.facts())) {
		t.Errorf("found in good care: %s", found)
	}

	day := 24 * time.Hour
	for name, x := range map[string]struct {
		change   func(k *keeping)
		later    time.Duration
		rule     string
		severity audit.Severity
	}{
		"nothing runs any more":           {nil, 5 * time.Minute, "backup-stopped", audit.Critical},
		"the log is behind":               {nil, 2 * time.Minute, "backup-log-lag", audit.High},
		"the proof is stale":              {nil, 8 * day, "backup-proof-stale", audit.Medium},
		"the proof is very stale":         {nil, 20 * day, "backup-proof-stale", audit.High},
		"not verified for long":           {nil, 20 * day, "backup-unverified", audit.Medium},
		"passphrase typed long ago":       {nil, 400 * day, "backup-passphrase", audit.Low},
		"one copy":                        {func(k *keeping) { k.repository = in("locked-bucket") }, 0, "backup-one-copy", audit.Low},
		"a copy from before the backup":   {func(k *keeping) { k.repository = in("locked-bucket", "early-bucket") }, 0, "backup-copy", audit.High},
		"no log wanted":                   {func(k *keeping) { k.target += "log: {enabled: false}" }, 0, "backup-log-off", audit.High},
		"segments stored too rarely":      {func(k *keeping) { k.target += "log: {partial_every: 5m}" }, 0, "backup-log-promise", audit.Medium},
		"no heartbeat wanted":             {func(k *keeping) { k.target += "heartbeat: {enabled: false}" }, 0, "backup-heartbeat", audit.Low},
		"no drill scheduled":              {func(k *keeping) { k.target = "drill: {schedule: 'off'}" }, 0, "backup-drill-off", audit.Medium},
		"drills too rare":                 {func(k *keeping) { k.target = "drill: {schedule: 0 4 1 * *}" }, 0, "backup-drill-off", audit.Medium},
		"more promised than a drill took": {func(k *keeping) { k.target = "objectives: {resolution: 1s}" }, 0, "backup-resolution", audit.High},
		"a suppression that ended": {func(k *keeping) {
			k.target += "suppress: [{rule: backup-one-copy, owner: ann, reason: soon, until: 2026-01-31}]"
		}, 0, "backup-suppression-expired", audit.Medium},
	} {
		t.Run(name, func(t *testing.T) {
			c := k.with(func(c *keeping) {
				c.t = t
				if x.change != nil {
					x.change(c)
				}
			})
			c.finds(x.rule, x.severity, x.later)
		})
	}

	t.Run("an alarm that stands", func(t *testing.T) {
		k.endServer(syscall.SIGTERM)
		s, err := sqlite.Open(t.Context(), filepath.Join(k.dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Raise(t.Context(), target.ID("shop"), status.Alarm{Code: status.AlarmGap, Key: "x", Detail: "a stretch is lost", Next: "take a backup", Raised: time.Now()})
		if cerr := s.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		k.with(func(c *keeping) { c.t = t }).finds("backup-alarm", audit.High, 0)
	})
	t.Run("the copy is of another repository", func(t *testing.T) {
		o := k.with(func(c *keeping) { c.t, c.repository = t, in("other-bucket") })
		o.run(0, "repo", "init")
		k.with(func(c *keeping) { c.t, c.repository = t, in("locked-bucket", "other-bucket") }).finds("backup-copy", audit.High, 0)
	})
	t.Run("a bucket without a lock", func(t *testing.T) {
		o := k.with(func(c *keeping) { c.t, c.repository = t, in("plain-bucket") })
		o.run(0, "repo", "init")
		o.finds("backup-mutable", audit.Medium, 0)
	})
	t.Run("the heartbeat is not granted", func(t *testing.T) {
		srv.Exec(t, "REVOKE ALL ON SCHEMA refloat FROM "+keeper)
		k.with(func(c *keeping) { c.t = t }).finds("backup-heartbeat", audit.Low, 0)
	})
}

// memoryDisk is a folder on another device than temporary files.
func memoryDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "refloat-care-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// stored lists the files of a repository's objects with a prefix, by name: the
// folders that they are spread over are a part of it.
func stored(t *testing.T, repo, prefix string) []string {
	t.Helper()
	var names []string
	at := map[string]string{}
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(repo, path)
		if name := strings.ReplaceAll(rel, "/", ""); err == nil && strings.HasPrefix(name, prefix) {
			names, at[name] = append(names, name), path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var out []string
	for _, n := range names {
		out = append(out, at[n])
	}
	return out
}

// A repository in a folder, whose files can be lost.
func TestCareOfAFolder(t *testing.T) {
	t.Parallel()
	srv := targettest.Start(t, targettest.Options{SegmentMiB: 1})
	harden(t, srv)
	srv.Exec(t, "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 20) AS pad FROM generate_series(1, 120000) n")
	repo := filepath.Join(memoryDisk(t), "repository")
	k := keep(t, srv, build(t), "url: file://"+repo)
	k.run(0, "repo", "init")
	k.finds("backup-same-host", audit.Medium, 0)
	t.Run("on the data's disk", func(t *testing.T) {
		o := k.with(func(c *keeping) { c.t, c.repository = t, "url: file://"+filepath.Join(k.dir, "repository") })
		o.run(0, "repo", "init")
		o.finds("backup-same-device", audit.High, 0)
	})
	k.serve()
	k.finds("backup-retention", audit.Medium, 3*24*time.Hour) // one base backup, and days later still no second
	for range 3 {
		k.run(0, "backup", "shop")
	}
	k.lacks("backup-retention", 3*24*time.Hour)
	k.finds("backup-old", audit.High, 3*24*time.Hour)

	srv.Exec(t, "TRUNCATE big; CHECKPOINT")
	k.run(0, "backup", "shop")
	k.finds("backup-size", audit.High, 0)

	srv.Exec(t, "CREATE UNLOGGED TABLE cache (a int); INSERT INTO cache VALUES (1)")
	k.run(3, "drill", "shop")
	k.finds("backup-drill-failed", audit.Critical, 0)
	srv.Exec(t, "DROP TABLE cache")

	// Frozen, and left alone: a page that is written again would be whole again.
	srv.Exec(t, "CREATE TABLE hurt WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 5000) n")
	srv.Exec(t, "VACUUM (FREEZE) hurt")
	srv.Exec(t, "CHECKPOINT")
	k.lacks("backup-damaged", 0)
	flip(t, filepath.Join(srv.Dir, srv.Query(t, "SELECT pg_relation_filepath('hurt')")))
	k.run(3, "backup", "shop")
	k.finds("backup-damaged", audit.High, 0)
	srv.Exec(t, "DROP TABLE hurt")
	srv.Exec(t, "CHECKPOINT")
	k.run(0, "backup", "shop")
	k.lacks("backup-damaged", 0)

	// A segment in the middle of what was stored since the last base backup.
	for range 4 {
		srv.Exec(t, "INSERT INTO big VALUES (1, 'x'); SELECT pg_switch_wal()")
	}
	at, err := target.ParseLSN(srv.Query(t, "SELECT pg_current_wal_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	targettest.WaitFor(t, "the log to be stored", func() bool {
		var l app.LogStatus
		if err := json.Unmarshal([]byte(k.run(0, "log", "status", "shop", "--json")), &l); err != nil {
			t.Fatal(err)
		}
		return l.Position != nil && l.Position.Position.LSN >= at
	})
	k.endServer(syscall.SIGTERM)
	segments := stored(t, repo, "refloat.log~shop~00000001000")
	if len(segments) < 3 {
		t.Fatalf("stored: %v", segments)
	}
	if err := os.Remove(segments[len(segments)-3]); err != nil {
		t.Fatal(err)
	}
	k.finds("backup-gap", audit.Critical, 0)

	// A pack of the base backups.
	if err := os.Remove(stored(t, repo, "p")[0]); err != nil {
		t.Fatal(err)
	}
	k.run(5, "repo", "verify")
	k.finds("backup-unverified", audit.High, 0)
}
