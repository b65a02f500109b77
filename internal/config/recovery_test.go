package config

import (
	"slices"
	"strings"
	"testing"
)

func withRecovery(lines string) string {
	return "version: 1\nrepository: {url: file:///srv/refloat, passphrase_env: PASS}\ntargets:\n  my-db:\n    dsn: host=db\n    recovery:\n" + lines
}

func TestRecoveryCommandsAreWords(t *testing.T) {
	c, err := Parse("refloat.yaml", []byte(withRecovery("      start: /usr/bin/pg_ctl -D '{directory}' -o \"-c port=5433\" start\n      restart: systemctl restart postgresql@15-main\n      standby: postgres://refloat@db2/postgres\n      promote: sql\n      data_directory: /var/lib/pg\n")), env)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Targets["my-db"].Recovery
	if want := []string{"/usr/bin/pg_ctl", "-D", "{directory}", "-o", "-c port=5433", "start"}; !slices.Equal(r.StartWords, want) {
		t.Errorf("%q", r.StartWords)
	}
	if r.PromoteWords != nil || len(r.RestartWords) != 3 || r.Timeout == 0 {
		t.Errorf("%+v", r)
	}
}

func TestRecoveryRefusals(t *testing.T) {
	for lines, says := range map[string]string{
		"      restart: systemctl restart pg && true\n":           "without a shell",
		"      restart: kill $(pidof postgres)\n":                 "without a shell",
		"      restart: bin/restart\n":                            "absolute path",
		"      restart: \"restart 'x\"\n":                         "cannot be read",
		"      start: pg_ctl start\n":                             "write {directory}",
		"      promote: sql\n":                                    "recovery.standby",
		"      standby: postgres://refloat:geheim@db2/postgres\n": "holds a password: use standby_password_file",
		"      timeout: 0s\n":                                     "at least 1s",
		"      standbye: x\n":                                     "did you mean \"standby\"",
	} {
		_, err := Parse("refloat.yaml", []byte(withRecovery(lines)), env)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", lines, err)
		}
	}
}
