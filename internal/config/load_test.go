package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

const good = `version: 1
repository:
  url: file:///srv/refloat
  passphrase_env: PASS
targets:
  main:
    dsn: postgres://refloat@db/postgres
    objectives: {data_loss: 10s, proof_age: 7d}
    backup: {schedule: daily 02:00}
    log: {enabled: true, max_retained: 10GiB}
`

func env(k string) (string, bool) { return "s3cret-words", k == "PASS" }

func TestParse(t *testing.T) {
	c, err := Parse("refloat.yaml", []byte(good), env)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Targets["main"]
	if m.Objectives.ProofAge != Duration(7*24*time.Hour) || m.Objectives.Resolution != Duration(4*time.Hour) ||
		m.Backup.Schedule != "00 02 * * *" || m.Log.MaxRetained != 10<<30 || c.Repository.Passphrase.Reveal() != "s3cret-words" {
		t.Errorf("read %+v", c)
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	for _, x := range []struct{ name, old, new, want string }{
		{"unknown key", "max_retained:", "max_retaned:", `refloat.yaml:10:26: unknown key "max_retaned"; did you mean "max_retained"?`},
		{"unit", "10s", "10", `refloat.yaml:8:29: "10" is not a duration`},
		{"size", "10GiB", "10GB", `refloat.yaml:10:40: "10GB" is not a size`},
		{"schedule", "daily 02:00", "dayly", `refloat.yaml:9:24: "dayly" is not a schedule`},
		{"environment", "PASS", "NONE", "refloat.yaml:4:19: the environment variable NONE is not set"},
		{"secret file", "passphrase_env: PASS", "passphrase_file: /nowhere/x", "refloat.yaml:4:20: secret file"},
		{"password", "refloat@db", "refloat:hunter2@db", "refloat.yaml:7:10: the dsn holds a password"},
		{"wrong place", "version: 1", "version: 1\ndsn: x", `refloat.yaml:2:1: unknown key "dsn" here`},
		{"second document", "10GiB}", "10GiB}\n---\na: 1", "refloat.yaml:11:1: more than one"},
		{"no value", "10s", "", "refloat.yaml:8:28: data_loss has no value"},
		{"tag", "10s", "!!str 10s", "refloat.yaml:8:29: tags like !!str are not understood"},
		{"list", "{schedule: daily 02:00}", "[1]", "refloat.yaml:9:13: backup wants keys with values"},
		{"whole number", "{schedule: daily 02:00}", "{workers: many}", `refloat.yaml:9:23: workers wants a whole number, not "many"`},
		{"true or false", "enabled: true", "enabled: yes", `refloat.yaml:10:20: enabled wants true or false, not "yes"`},
		{"hint of another place", "schedule:", "shedul:", `refloat.yaml:9:14: unknown key "shedul"; did you mean "schedule"?`},
		{"duplicate", "version: 1", "version: 1\nversion: 1", "refloat.yaml:2:1: not readable as YAML: mapping key"},
		{"too little", "10s", "0s", "refloat.yaml:8:29: objectives.data_loss wants at least 1s"},
		{"version", "version: 1", "version: 2", "refloat.yaml:1:10: version must be 1"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := Parse("refloat.yaml", []byte(strings.Replace(good, x.old, x.new, 1)), env)
			if err == nil || !strings.HasPrefix(err.Error(), x.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v\nwant %s", err, x.want)
			}
		})
	}
}

func TestAddTarget(t *testing.T) {
	const block = "  new:\n    # PostgreSQL\n    dsn: postgres://refloat@new/postgres\n    log:\n      enabled: true\n"
	wide := strings.Replace(good, "  main:\n    dsn", "    # ours\n    main:\n      dsn", 1)
	wide = strings.ReplaceAll(wide, "\n    objectives", "\n      objectives")
	wide = strings.ReplaceAll(wide, "\n    backup", "\n      backup")
	wide = strings.ReplaceAll(wide, "\n    log", "\n      log")
	for name, text := range map[string]string{"two": good, "four": wide, "comment": strings.Replace(good, "targets:", "targets: # all of them", 1), "on call": withOnCall} {
		out, err := AddTarget("refloat.yaml", []byte(text), "new", block, env)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		c, err := Parse("refloat.yaml", out, env)
		if err != nil || len(c.Targets) != 2 || !strings.Contains(string(out), "# PostgreSQL") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for name, x := range map[string][2]string{
		"there":  {good, "main"},
		"flow":   {good[:strings.Index(good, "targets:")] + "targets: {main: {dsn: postgres://refloat@db/postgres}}\n", "new"},
		"broken": {good + "\nnonsense: 1\n", "new"},
		"alias":  {good, "other"}, // the block holds another name than was asked for
	} {
		if _, err := AddTarget("refloat.yaml", []byte(x[0]), x[1], block, env); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDefaults(t *testing.T) {
	text := "version: 1\nrepository: {url: file:///srv/refloat, passphrase_env: PASS}\ntargets: {my-db: {dsn: host=db}}\n"
	c, err := Parse("refloat.yaml", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Targets["my-db"]
	if m.Retention != (Retention{Schedule: "0 5 * * *", Days: 14, Weekly: 4, Monthly: 6}) || m.Log.Slot != "refloat_my_db" ||
		!m.Log.Enabled || m.Log.MaxRetained != 10<<30 || m.Log.MaxSpool != 10<<30 || m.Backup.MaxChain != 5 ||
		m.Objectives.DataLoss != Duration(time.Minute) || m.Objectives.ProofAge != Duration(7*24*time.Hour) || m.Drill.Schedule == "" || m.Backup.Schedule == "" {
		t.Errorf("%+v", m)
	}
}

func TestSchemaIsCurrent(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/refloat.schema.json"
	if os.Getenv("REFLOAT_UPDATE") != "" {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("docs/refloat.schema.json is not what the types say; REFLOAT_UPDATE=1 go test ./internal/config writes it (%v)", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(withOnCall))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = Parse("refloat.yaml", b, env) })
}

func TestDocumentedExampleIsUnderstood(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	_, err = Parse("refloat.yaml", []byte(text), env)
	if err == nil {
		return // its secret files exist on this machine
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.Contains(line, "secret file: stat /etc/refloat/") {
			t.Error(line)
		}
	}
}
