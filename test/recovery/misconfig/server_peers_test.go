package misconfig

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// peers asks other tools what they say of the same misconfigurations:
//
//	go test ./test/recovery/misconfig -run TestPeers -peers -v
var peers = flag.Bool("peers", false, "also ask pgBackRest and Barman, and print a table")

// TestPeers prints, for each misconfiguration of a server, whether Refloat,
// pgBackRest and Barman say something that they do not say of the sound server.
func TestPeers(t *testing.T) {
	if !*peers {
		t.Skip("-peers asks other tools too")
	}
	for _, tool := range []string{"pgbackrest", "barman"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	type row struct{ refloat, check, verify, info, barman string }
	rows, order := map[string]*row{}, []string(nil)
	note := func(c serverCase) *row {
		name := c.rule + ": " + c.name
		if rows[name] == nil {
			rows[name], order = &row{}, append(order, name)
		}
		return rows[name]
	}
	b := newServerBed(t)
	p := withPgBackRest(t, b)
	check, verify, info := p.ask("check"), p.ask("verify"), p.ask("info")
	if check != "" || verify != "" || info != "" {
		t.Fatalf("pgBackRest is not content with the sound server:\n%s\n%s\n%s", check, verify, info)
	}
	for _, c := range serverCases(b) {
		c.breakIt(t, b)
		f := look(t, b.srv, keeper)
		f.At = f.At.Add(c.later)
		r := note(c)
		r.refloat = "-"
		for _, x := range audit.Judge(audit.Rules(), f).Findings {
			if x.Rule == c.rule {
				r.refloat = x.Severity.String()
				break
			}
		}
		r.check, r.verify, r.info = said(p.ask("check")), said(p.ask("verify")), said(p.ask("info"))
		c.mend(t, b)
	}
	b = newServerBed(t)
	m := withBarman(t, b)
	m.settle(t)
	if got := m.check(); got != "" {
		t.Fatalf("Barman is not content with the sound server:\n%s", got)
	}
	for _, c := range serverCases(b) {
		c.breakIt(t, b)
		note(c).barman = said(m.check())
		c.mend(t, b)
		m.settle(t)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n| misconfiguration | refloat check | pgbackrest check | verify | info | barman check |\n|---|---|---|---|---|---|\n")
	for _, name := range order {
		r := rows[name]
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |\n", name, r.refloat, r.check, r.verify, r.info, r.barman)
	}
	t.Log(out.String())
}

func said(what string) string {
	if what == "" {
		return "✗"
	}
	return "✓"
}

// peer is another tool, run as the server's user.
type peer struct {
	t    *testing.T
	srv  *targettest.Cluster
	args []string // the program, and what every call has
}

func (p *peer) run(args ...string) (string, error) {
	cmd := p.command(args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *peer) command(args ...string) *exec.Cmd {
	all := slices.Concat(p.args, args)
	path, err := exec.LookPath(all[0])
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := p.srv.Command(p.t, "postgres", all[1:]...)
	cmd.Path, cmd.Args[0] = path, all[0]
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(p.srv.Dir))
	return cmd
}

func (p *peer) must(args ...string) string {
	p.t.Helper()
	out, err := p.run(args...)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", p.args[0], strings.Join(args, " "), err, out)
	}
	return out
}

func withPgBackRest(t *testing.T, b *serverBed) *peer {
	t.Helper()
	dir := targettest.TempDir(t)
	conf := filepath.Join(dir, "pgbackrest.conf")
	text := fmt.Sprintf("[global]\nrepo1-path=%[1]s/repo\nlog-path=%[1]s\nlock-path=%[1]s\nspool-path=%[1]s\nlog-level-console=warn\nlog-level-file=off\narchive-timeout=3\nstart-fast=y\nrepo1-retention-full=2\n\n[demo]\npg1-path=%[2]s\npg1-port=%[3]d\npg1-socket-path=%[4]s\npg1-user=postgres\n",
		dir, b.srv.Dir, b.srv.Port, filepath.Dir(b.srv.Dir))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, srv: b.srv, args: []string{"pgbackrest", "--config=" + conf, "--stanza=demo"}}
	b.srv.Append(t, "postgresql.conf", fmt.Sprintf("archive_command = 'pgbackrest --config=%s --stanza=demo archive-push %%p'", conf))
	reload(t, b.srv)
	p.must("stanza-create")
	p.must("backup", "--type=full")
	return p
}

// ask is what pgBackRest complains of.
func (p *peer) ask(command string) string {
	out, err := p.run(command)
	bad := strings.Contains(out, "ERROR") || strings.Contains(out, "WARN") || command == "info" && !strings.Contains(out, "status: ok") || command == "verify" && strings.Contains(out, "status: error")
	if err != nil || bad {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return ""
}

func withBarman(t *testing.T, b *serverBed) *peer {
	t.Helper()
	dir := targettest.TempDir(t)
	conf := filepath.Join(dir, "barman.conf")
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres password=%s", b.srv.Port, password)
	text := fmt.Sprintf("[barman]\nbarman_user = postgres\nbarman_home = %[1]s\nlog_file = %[1]s/barman.log\nlog_level = ERROR\n\n[demo]\ndescription = demo\nconninfo = %[2]s\nstreaming_conninfo = %[2]s\nbackup_method = postgres\narchiver = on\npath_prefix = %[3]s\n", dir, dsn, b.srv.Bin)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, srv: b.srv, args: []string{"barman", "-c", conf}}
	p.must("cron")
	in := dir + "/demo/incoming"
	b.srv.Append(t, "postgresql.conf", fmt.Sprintf("archive_command = 'test ! -f %[1]s/%%f && cp %%p %[1]s/%%f'", in))
	reload(t, b.srv)
	return p
}

// settle lets Barman take what was archived, until it is content.
func (p *peer) settle(t *testing.T) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	fillSegments(t, p.srv, 1)
	targettest.WaitFor(t, "Barman to be content", func() bool {
		p.must("archive-wal", "demo")
		last = p.check()
		return last == ""
	})
}

// check is what Barman complains of.
func (p *peer) check() string {
	out, err := p.run("check", "demo")
	if err == nil {
		return ""
	}
	return out
}
