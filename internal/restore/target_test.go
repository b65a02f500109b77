package restore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/restore"
	"github.com/refloat-db/refloat/internal/target"
)

func TestParseTarget(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 43, 0, 500000000, time.UTC)
	for text, want := range map[string]restore.Target{
		"latest":                          {Kind: restore.ToLatest},
		" backup ":                        {Kind: restore.ToBackup},
		"2026-11-23T11:43:00.5Z":          {Kind: restore.ToTime, Time: at},
		"2026-11-23 12:43:00.5+01:00":     {Kind: restore.ToTime, Time: at},
		"2026-11-23 12:43:00.5+01":        {Kind: restore.ToTime, Time: at},
		"2026-11-23 11:43:00.5 UTC":       {Kind: restore.ToTime, Time: at},
		"2026-11-23 06:43:00.5000009 -05": {Kind: restore.ToTime, Time: at},
		"16/B374D848":                     {Kind: restore.ToLSN, LSN: target.LSN(0x16B374D848)},
		"name:before: the change":         {Kind: restore.ToName, Name: "before: the change"},
		"xid:745":                         {Kind: restore.ToXID, XID: 745},
	} {
		got, err := restore.ParseTarget(text)
		if err != nil || got.Kind != want.Kind || !got.Time.Equal(want.Time) || got.LSN != want.LSN || got.Name != want.Name || got.XID != want.XID {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, say := range map[string]string{
		"2026-11-23 11:43:00":  "2026-11-23 11:43:00Z", // no zone: says how to give one
		"2026-11-23T11:43":     "no time zone",
		"2026-13-23 11:43:00Z": "not a time",
		"yesterday":            "use latest",
		"name:":                "1 to 63",
		"name:a\nb":            "1 to 63",
		"xid:2":                "from 3 on",
		"xid:-5":               "decimal",
		"FFFFFFFFF/0":          "",
		"":                     "use latest",
	} {
		if got, err := restore.ParseTarget(text); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %+v, %v; want an error with %q", text, got, err, say)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"latest", "2026-11-23T11:43:00Z", "2026-11-23 11:43:00 -07", "0/15D68C50", "name:x", "xid:3", "2026-11-23"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := restore.ParseTarget(s)
		if err != nil {
			return
		}
		again, err := restore.ParseTarget(got.String())
		if err != nil || again.Kind != got.Kind || !again.Time.Equal(got.Time) || again.LSN != got.LSN || again.Name != got.Name || again.XID != got.XID {
			t.Fatalf("%q is %+v, which renders as %q and reads as %+v, %v", s, got, got.String(), again, err)
		}
	})
}
