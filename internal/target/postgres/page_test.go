package postgres

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/refloat-db/refloat/internal/target"
)

// goodPage is a page of rubbish with the right checksum for a block.
func goodPage(block uint32, lsn target.LSN) [target.PageSize]byte {
	var page [target.PageSize]byte
	r := rand.New(rand.NewPCG(uint64(block), 1))
	for i := range page {
		page[i] = byte(r.Uint32())
	}
	le := binary.LittleEndian
	le.PutUint32(page[0:], uint32(lsn>>32))
	le.PutUint32(page[4:], uint32(lsn))
	page[14], page[15] = 0, 32
	le.PutUint16(page[checksumAt:], pageChecksum(&page, block))
	return page
}

func TestPageChecker(t *testing.T) {
	const pages = 40
	var file bytes.Buffer
	for b := range uint32(pages) {
		page := goodPage(131072+b, target.LSN(b))
		if b == 5 || b == 17 {
			page[4000] ^= 8
		}
		if b == 9 {
			page = [target.PageSize]byte{} // new
		}
		file.Write(page[:])
	}
	for _, step := range []int{1, 100, 8191, 8192, 8193, 100000, 1 << 20} {
		var got []suspect
		c := &pageChecker{first: 131072, bad: func(s suspect) { got = append(got, s) }}
		for rest := file.Bytes(); len(rest) > 0; {
			n := min(step, len(rest))
			c.write(rest[:n])
			rest = rest[n:]
		}
		if len(got) != 2 || got[0] != (suspect{5, 5}) || got[1] != (suspect{17, 17}) {
			t.Errorf("steps of %d: %+v", step, got)
		}
	}
}

func TestParseRelationPath(t *testing.T) {
	for p, want := range map[string]int{
		"base/5/1259": 0, "base/5/1259.3": 3, "base/5/1259_fsm": 0, "base/5/1259_vm.1": 1, "base/5/16400_init": 0, "global/1262": 0,
		"pg_tblspc/16385/PG_15_202209061/5/16390": 0, "pg_tblspc/16385/PG_15_202209061/5/16390.12": 12,
		"base/5/PG_VERSION": -1, "base/5/pg_filenode.map": -1, "global/pg_control": -1, "base/5/t3_123": -1, "base/1259": -1,
		"pg_xact/0000": -1, "pg_wal/000000010000000000000001": -1, "x/base/5/1": -1, "base/5/1.99999999999": -1, "base/5/1_x": -1,
	} {
		rel, is := parseRelationPath(p)
		if is != (want >= 0) || is && rel.segment != uint32(want) {
			t.Errorf("%s: %+v, %t", p, rel, is)
		}
	}
}

func TestPageVerdicts(t *testing.T) {
	v := newPageVerdicts()
	v.suspect("old", suspect{1, 50})
	v.suspect("torn", suspect{2, 150})
	v.suspect("future", suspect{3, 999})
	v.suspect("warned", suspect{4, 150})
	if !v.warn(`checksum verification failed in file "./warned", block 4: calculated 1 but expected 2`) || v.warn("something else") {
		t.Fatal("the server's warning was not understood")
	}
	v.warn(`checksum verification failed in file "./unseen", block 7: calculated 1 but expected 2`)
	for b := range int64(3 * maxPerFile) {
		v.suspect("rubbish", suspect{b, 1})
	}
	v.failed("checksum verification failure during base backup")
	findings, torn := v.result(100, 200)
	if torn != 1 || len(findings) != 4+maxPerFile+1 {
		t.Fatalf("%d torn, %d findings: %+v", torn, len(findings), findings)
	}
	for i, want := range []struct {
		file  string
		block int64
	}{{"future", 3}, {"old", 1}, {"rubbish", -1}} {
		if f := findings[i]; f.File != want.file || f.Block != want.block {
			t.Errorf("finding %d: %+v", i, f)
		}
	}
	only := newPageVerdicts()
	only.failed("in another language")
	if findings, _ := only.result(1, 2); len(findings) != 1 || findings[0].Block != -1 {
		t.Errorf("the server's error was lost: %+v", findings)
	}
}

func BenchmarkPageChecksum(b *testing.B) {
	page := goodPage(1, 1)
	b.SetBytes(target.PageSize)
	for b.Loop() {
		pageChecksum(&page, 1)
	}
}
