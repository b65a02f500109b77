package backup

import (
	"fmt"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
)

func TestDecide(t *testing.T) {
	server := target.Server{Version: 170004, SystemID: 7, Timeline: 2, Position: 1000, SegmentSize: 16 << 20, DataChecksums: true, SummarizeWAL: true}
	chain := func(n int) []Backup {
		var out []Backup
		for i := range n {
			b := Backup{ID: fmt.Sprint("b", i), Kind: Full, SystemID: 7, Version: 170001, SegmentSize: 16 << 20, Checksums: true, Method: methodProtocol,
				Start: target.Position{Timeline: 2, LSN: target.LSN(i * 10)}, End: target.Position{Timeline: 2, LSN: target.LSN(i*10 + 5)}}
			if i > 0 {
				b.Kind, b.Parent = Delta, fmt.Sprint("b", i-1)
			}
			out = append(out, b)
		}
		return out
	}
	for name, tc := range map[string]struct {
		previous []Backup
		change   func(s *target.Server, o *TakeOptions, last *Backup)
		parent   string
		server   bool
	}{
		"first":             {nil, nil, "", false},
		"second":            {chain(1), nil, "b0", true},
		"fifth delta":       {chain(5), nil, "b4", true},
		"chain is full":     {chain(6), nil, "", false},
		"asked for a full":  {chain(1), func(_ *target.Server, o *TakeOptions, _ *Backup) { o.Full = true }, "", false},
		"shorter chains":    {chain(3), func(_ *target.Server, o *TakeOptions, _ *Backup) { o.MaxChain = 2 }, "", false},
		"parent gone":       {chain(3)[1:], nil, "", false},
		"another cluster":   {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.SystemID = 8 }, "", false},
		"upgraded":          {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.Version = 180001 }, "", false},
		"segment size":      {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.SegmentSize = 1 << 20 }, "", false},
		"checksums on":      {chain(1), func(_ *target.Server, _ *TakeOptions, b *Backup) { b.Checksums = false }, "", false},
		"no summaries":      {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.SummarizeWAL = false }, "b0", false},
		"read files":        {chain(1), func(_ *target.Server, o *TakeOptions, _ *Backup) { o.ReadFiles = true }, "b0", false},
		"parent from files": {chain(1), func(_ *target.Server, _ *TakeOptions, b *Backup) { b.Method = methodFiles }, "b0", false},
		"promoted":          {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.Timeline = 3 }, "b0", false},
		"put back":          {chain(1), func(s *target.Server, _ *TakeOptions, _ *Backup) { s.Position = 1 }, "b0", false},
		"version 16":        {chain(1), func(s *target.Server, _ *TakeOptions, b *Backup) { s.Version, b.Version = 160001, 160001 }, "b0", false},
	} {
		s, o := server, TakeOptions{}
		if tc.change != nil {
			tc.change(&s, &o, &tc.previous[len(tc.previous)-1])
		}
		p := decide(tc.previous, s, o)
		parent := ""
		if p.parent != nil {
			parent = p.parent.ID
		}
		if parent != tc.parent || p.server != tc.server || p.why == "" {
			t.Errorf("%s: parent %q, server %v (%s); want %q, %v", name, parent, p.server, p.why, tc.parent, tc.server)
		}
	}
}

func TestMissingLog(t *testing.T) {
	const size = 16 << 20
	at := func(tl target.Timeline, lsn target.LSN) target.Position {
		return target.Position{Timeline: tl, LSN: lsn}
	}
	for name, tc := range map[string]struct {
		have       []string
		start, end target.Position
		missing    int
	}{
		"one":            {[]string{"000000010000000000000002"}, at(1, 2*size+40), at(1, 2*size+900), 0},
		"ends at border": {[]string{"000000010000000000000002"}, at(1, 2*size+40), at(1, 3*size), 0},
		"last missing":   {[]string{"000000010000000000000002"}, at(1, 2*size+40), at(1, 3*size+1), 1},
		"none":           {nil, at(1, 2*size), at(1, 5*size), 3},
		"hole":           {[]string{"000000010000000000000002", "000000010000000000000004"}, at(1, 2*size), at(1, 5*size), 1},
		"new timeline":   {[]string{"000000010000000000000002", "000000020000000000000003"}, at(1, 2*size), at(2, 4*size), 0},
	} {
		if got := missingLog(tc.have, tc.start, tc.end, size); len(got) != tc.missing {
			t.Errorf("%s: %v", name, got)
		}
	}
}
