package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTextIsReadBackTheSameWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"pass", "pw"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("s3cret-"+f+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `version: 1
repository: {url: "file:///backups", passphrase_file: ` + filepath.Join(dir, "pass") + `}
targets:
  shop:
    dsn: postgres://refloat@db:5432/postgres
    password_file: ` + filepath.Join(dir, "pw") + `
    objectives: {resolution: 2h, data_loss: 30s}
    heartbeat: {enabled: false}
people:
  ada: {contacts: [{via: email, to: ada@example.org}]}
email: {host: mail, from: r@example.org}
`
	none := func(string) (string, bool) { return "", false }
	c, err := Parse("refloat.yaml", []byte(text), none)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"resolution: 2h", "data_loss: 30s", "every: 1s", "enabled: false", "to: ada@example.org", "schedule: 0 2 * * *"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "s3cret") || strings.Contains(out, "redacted") {
		t.Errorf("a secret:\n%s", out)
	}
	again, err := Parse("refloat.yaml", []byte(out), none)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if twice, err := again.Text(); err != nil || twice != out {
		t.Errorf("%v\n%s\nthen\n%s", err, out, twice)
	}
}
