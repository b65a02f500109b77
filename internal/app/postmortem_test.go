package app

import (
	"errors"
	"strings"
	"testing"
)

// What cannot be looked at is an error, never a report without findings.
func TestNoReportIsNotHealthy(t *testing.T) {
	for _, text := range []string{"", " \n\t\n", "\xff\xfeR\x00e\x00p\x00", "\x7fELF\x00\x01"} {
		if _, err := LintReport("-", strings.NewReader(text)); !errors.Is(err, ErrNoReport) {
			t.Errorf("%q: %v", text, err)
		}
	}
	r, err := LintReport("-", strings.NewReader("# Outage\n\nIt was down.\n"))
	if err != nil || len(r.Findings) == 0 {
		t.Errorf("a report without anything has %d findings (%v)", len(r.Findings), err)
	}
}
