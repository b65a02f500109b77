package config

import (
	"strings"
	"testing"
	"time"
)

func TestMaintenance(t *testing.T) {
	const base = "version: 1\nrepository: {url: \"file:///r\", passphrase_env: PASS}\ntargets:\n  shop:\n    dsn: postgres://r@h/postgres\n    maintenance:\n"
	c, err := Parse("refloat.yaml", []byte(base+
		"      - {schedule: weekly sun 03:00, for: 2h, zone: Europe/Berlin, owner: ada, reason: kernel}\n"+
		"      - {from: 2026-12-24 22:00, until: 2026-12-25 02:00, zone: Europe/Berlin, owner: ada, reason: move}\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Targets["shop"].Maintenance
	if m[0].Place.String() != "Europe/Berlin" || m[0].Schedule == "" || m[0].For.Std() != 2*time.Hour {
		t.Errorf("%+v", m[0])
	}
	if want := time.Date(2026, 12, 24, 21, 0, 0, 0, time.UTC); !m[1].Begin.Equal(want) || m[1].End.Sub(m[1].Begin) != 4*time.Hour {
		t.Errorf("%+v", m[1])
	}
	for text, want := range map[string]string{
		"{schedule: daily 03:00, for: 1h, reason: x}":                                                              "owner and reason",
		"{schedule: daily 03:00, for: 1h, owner: ada}":                                                             "owner and reason",
		"{owner: ada, reason: x}":                                                                                  "either schedule and for",
		"{schedule: daily 03:00, owner: ada, reason: x}":                                                           "of at most 1d",
		"{schedule: weekly sun 03:00, for: 2d, owner: ada, reason: x}":                                             "of at most 1d",
		"{schedule: daily 03:00, for: 13h, owner: ada, reason: x}":                                                 "more than half",
		"{schedule: '0 * * * *', for: 31m, owner: ada, reason: x}":                                                 "more than half",
		"{schedule: every 6h, for: 1h, owner: ada, reason: x}":                                                     "times of the day",
		"{from: 2026-12-24 22:00, owner: ada, reason: x}":                                                          "from and until",
		"{from: 2026-12-24 22:00, until: 2026-12-24 21:00, owner: ada, reason: x}":                                 "ends after it begins",
		"{from: 2026-12-24 22:00, until: 2027-01-24 21:00, owner: ada, reason: x}":                                 "within 7d",
		"{from: 2026-12-24 22:00, until: 2026-12-24 23:00, schedule: daily 03:00, for: 1h, owner: ada, reason: x}": "either schedule and for",
		"{schedule: daily 03:00, for: 1h, zone: Berlin, owner: ada, reason: x}":                                    "zone",
	} {
		if _, err := Parse("refloat.yaml", []byte(base+"      - "+text+"\n"), env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
