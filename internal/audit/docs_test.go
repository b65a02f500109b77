package audit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// findingsPage renders every rule as docs/findings.md has it.
func findingsPage() string {
	var b strings.Builder
	b.WriteString("# Findings\n\nEvery rule of [`refloat check`](check.md), by what it looks at. This page is made\nfrom the rules themselves.\n")
	titles := map[Area]string{AreaServer: "The database server", AreaBackup: "Backups that Refloat makes", AreaForeign: "Backups that another tool makes"}
	area := Area("")
	for _, r := range Rules() {
		if r.Area != area {
			area = r.Area
			fmt.Fprintf(&b, "\n## %s\n", titles[area])
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s. Severity: %s at most.\n\n- **Why it matters:** %s.\n- **What mends it:** %s\n- **What it looks at:** %s.\n",
			r.ID, strings.ToUpper(r.Title[:1])+r.Title[1:], r.Severity, r.Why, strings.ReplaceAll(r.Fix, "\n", "\n  "), r.Looks)
	}
	return b.String()
}

func TestFindingsPageIsCurrent(t *testing.T) {
	const file = "../../docs/findings.md"
	want := findingsPage()
	if os.Getenv("REFLOAT_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("docs/findings.md is not what the rules say; REFLOAT_UPDATE=1 go test ./internal/audit writes it (%v)", err)
	}
}
