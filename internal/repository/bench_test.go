package repository_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
)

// halfNoise gives data of which about half compresses away, as a cluster's does.
func halfNoise(seed uint64, n int) []byte {
	b := repositorytest.Noise(seed, n)
	for i := 0; i+8192 <= n; i += 8192 {
		copy(b[i:], bytes.Repeat([]byte(fmt.Sprintf("row %08d|", i)), 350)[:4096])
	}
	return b
}

const benchFile = 64 << 20

func BenchmarkWrite(b *testing.B) {
	ctx := context.Background()
	files := make([][]byte, 4)
	for i := range files {
		files[i] = halfNoise(uint64(i), benchFile)
	}
	for _, size := range []int{benchFile, 64 << 10} {
		b.Run(fmt.Sprintf("objects of %d KiB", size>>10), func(b *testing.B) {
			r := repositorytest.NewFile(b)
			b.SetBytes(16 * benchFile)
			for n := range b.N {
				w, err := r.NewWriter(ctx, "bench")
				if err != nil {
					b.Fatal(err)
				}
				for i := range 16 {
					f := files[i%4]
					// A new first byte in each chunk keeps deduplication out.
					for at := 0; at < len(f); at += min(size, 1<<20) {
						copy(f[at:], fmt.Sprintf("%d %d %d", n, i, at))
					}
					for at := 0; at < len(f); at += size {
						if _, _, err := w.WriteObject(ctx, "f", bytes.NewReader(f[at:at+size])); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := w.Checkpoint(ctx); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(w.Stored())/(1<<20), "stored-MiB")
				if err := w.Abort(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	r := repositorytest.NewFile(b)
	w, err := r.NewWriter(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	var ids []repository.ObjectID
	for i := range 16 {
		id, _, err := w.WriteObject(ctx, "f", bytes.NewReader(halfNoise(uint64(i), benchFile)))
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := w.Commit(ctx, repository.Snapshot{Source: "/b", Start: time.Now(), End: time.Now()}, nil); err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d workers", workers), func(b *testing.B) {
			b.SetBytes(16 * benchFile)
			for range b.N {
				work := make(chan repository.ObjectID, len(ids))
				for _, id := range ids {
					work <- id
				}
				close(work)
				done := make(chan error, workers)
				for range workers {
					go func() {
						for id := range work {
							rd, err := r.OpenObject(ctx, id)
							if err == nil {
								_, err = io.Copy(io.Discard, rd)
							}
							if err != nil {
								done <- err
								return
							}
						}
						done <- nil
					}()
				}
				for range workers {
					if err := <-done; err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkListSealed(b *testing.B) {
	ctx := context.Background()
	o := repositorytest.File(b)
	r := repositorytest.New(b, o)
	fillSealed(b, r, o, 20000)
	for b.Loop() {
		n := 0
		for _, err := range r.ListSealed(ctx, "log/db/") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 20000 {
			b.Fatalf("%d objects", n)
		}
	}
}

func BenchmarkPutSealed16M(b *testing.B) {
	ctx := context.Background()
	r := repositorytest.NewFile(b)
	seg := halfNoise(1, 16<<20)
	b.SetBytes(int64(len(seg)))
	for b.Loop() {
		if err := r.PutSealed(ctx, "log/db/segment", seg); err != nil {
			b.Fatal(err)
		}
	}
}
