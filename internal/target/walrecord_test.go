package target

import "testing"

// FuzzWalkLog: whatever the bytes, the walk ends, and never past them.
func FuzzWalkLog(f *testing.F) {
	page := make([]byte, 2*logPage)
	page[0], page[1], page[2] = 0x0f, 0xd1, 2
	f.Add(page, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, from uint64) {
		from %= 1 << 20
		read := func(n uint64) ([]byte, error) {
			if n > 1 {
				return nil, nil
			}
			return b, nil
		}
		n := 0
		end, err := WalkLog(LSN(from), 1<<20, read, func(r LogRecord) bool {
			_, _ = r.EndOfTransaction()
			_, _, _ = r.MakesTablespace()
			n++
			return n < 100000
		})
		if err != nil || end < LSN(from) || end > 3<<20 {
			t.Fatalf("%s, %v", end, err)
		}
	})
}
