package foreign

import (
	"slices"
	"testing"
)

func TestMissing(t *testing.T) {
	names := []string{
		"0000000100000000000000FD", "0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000", // over a log's end
		"000000010000000100000003", "000000010000000100000004",
		"000000020000000100000004", "000000020000000100000005", // left the first timeline in 4
		"archive.info", "000000010000000100000007.partial",
	}
	slices.Reverse(names)
	a := Archive{SegmentSize: DefaultSegmentSize, Spans: Spans(names, DefaultSegmentSize)}
	if len(a.Spans) != 3 || a.Spans[0].Count != 4 || a.Newest() != "000000020000000100000005" {
		t.Fatalf("%+v", a.Spans)
	}
	for _, x := range []struct {
		first, last, name string
		count             uint64
	}{
		{"0000000100000000000000FD", "000000010000000100000000", "", 0},
		{"0000000100000000000000FD", "000000010000000100000004", "000000010000000100000001", 2},
		{"000000010000000100000003", "000000020000000100000005", "", 0},
		{"0000000100000000000000FC", "0000000100000000000000FD", "0000000100000000000000FC", 1},
		{"000000010000000100000004", "000000010000000100000007", "000000010000000100000005", 3},
	} {
		if name, n := a.Missing(x.first, x.last); name != x.name || n != x.count {
			t.Errorf("%s to %s: %q, %d; want %q, %d", x.first, x.last, name, n, x.name, x.count)
		}
	}
	if name, n := (Archive{SegmentSize: DefaultSegmentSize}).Missing("000000010000000000000001", "0000000100000000000000FF"); name != "000000010000000000000001" || n != 255 {
		t.Errorf("nothing is there: %s, %d", name, n)
	}
}

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{
		"pgbackrest:main":                {Tool: PgBackRest, Name: "main"},
		"pgbackrest:main@/srv/rest.conf": {Tool: PgBackRest, Name: "main", Config: "/srv/rest.conf"},
		"barman:main":                    {Tool: Barman, Name: "main"},
		"wal-g":                          {Tool: WALG},
		"wal-g:s3://bucket/prefix":       {Tool: WALG, Name: "s3://bucket/prefix"},
		"wal-g:@/etc/wal-g/env":          {Tool: WALG, Config: "/etc/wal-g/env"},
		"dump:/srv/dumps@/x":             {Tool: Dump, Name: "/srv/dumps@/x"},
		"pgbackrest":                     {},
		"dump:dumps":                     {},
		"rsync:/x":                       {},
		"wal-g:":                         {},
	} {
		got, err := ParsePlace(text)
		if (err != nil) != (want == Place{}) || err == nil && got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if err == nil && got.String() != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}
