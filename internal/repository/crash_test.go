package repository_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository"
	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/secret"
)

// crashFlag makes the test binary a writer to be killed: its URL and a round.
const crashFlag = "-crash-writer="

func TestMain(m *testing.M) {
	for _, a := range os.Args[1:] {
		if rest, ok := strings.CutPrefix(a, crashFlag); ok {
			url, round, _ := strings.Cut(rest, "#")
			if err := crashWriter(url, round); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// crashWriter stores without end, and says what was acknowledged.
func crashWriter(url, round string) error {
	ctx := context.Background()
	r, err := repository.Open(ctx, repository.Options{URL: url, Passphrase: secret.New(repositorytest.Passphrase)})
	if err != nil {
		return err
	}
	fmt.Println("open")
	for i := 0; ; i++ {
		seed := uint64(crashSeed(round, i))
		name := fmt.Sprintf("log/db/%s-%06d", round, i)
		if err := r.PutSealed(ctx, name, repositorytest.Noise(seed, 100<<10)); err != nil {
			return err
		}
		fmt.Println("sealed", name, seed)
		w, err := r.NewWriter(ctx, "crash")
		if err != nil {
			return err
		}
		b := repositorytest.Noise(seed, 2<<20+i)
		id, n, err := w.WriteObject(ctx, "f", bytes.NewReader(b))
		if err != nil {
			return err
		}
		now := time.Now()
		s, err := w.Commit(ctx, repository.Snapshot{Source: "/db", Start: now, End: now}, []repository.Node{{Path: "f", Mode: 0o600, Size: n, Object: id}})
		if err != nil {
			return err
		}
		fmt.Println("snapshot", s.ID, seed, n)
	}
}

func crashSeed(round string, i int) int {
	n, _ := strconv.Atoi(round)
	return n*100000 + i
}

// TestKilledWriter: what was acknowledged before a SIGKILL is all there, the
// repository is whole after each one, and what the killed left is reclaimed.
func TestKilledWriter(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector finds nothing in it that it does not elsewhere")
	}
	t.Parallel()
	ctx := context.Background()
	o := repositorytest.File(t)
	r := repositorytest.New(t, o)
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	acked := 0
	for round := range rounds {
		lines := killedRun(t, o.URL, round)
		if err := r.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			f := strings.Fields(l)
			switch f[0] {
			case "sealed":
				seed, _ := strconv.ParseUint(f[2], 10, 64)
				if b, err := r.GetSealed(ctx, f[1]); err != nil || !bytes.Equal(b, repositorytest.Noise(seed, 100<<10)) {
					t.Errorf("round %d: %s: %v", round, l, err)
				}
				acked++
			case "snapshot":
				seed, _ := strconv.ParseUint(f[2], 10, 64)
				n, _ := strconv.Atoi(f[3])
				repositorytest.Check(t, r, f[1], map[string][]byte{"f": repositorytest.Noise(seed, n)})
				acked++
			case "error":
				t.Fatalf("round %d: %s", round, l)
			}
		}
		if round%5 == 4 || round == rounds-1 {
			repositorytest.Clean(t, r)
		}
	}
	if acked == 0 {
		t.Fatal("nothing was acknowledged in any round")
	}
	if _, err := r.Maintain(ctx, repository.MaintainOptions{Exclusive: true}); err != nil {
		t.Fatal(err)
	}
	repositorytest.Clean(t, r)
	t.Logf("%d acknowledged", acked)
}

// killedRun runs the writer, kills it at a random moment after it opened, and
// gives the lines that it had printed.
func killedRun(t *testing.T, url string, round int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], crashFlag+url+"#"+strconv.Itoa(round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	sc := bufio.NewScanner(out)
	var timer *time.Timer
	for sc.Scan() {
		if timer == nil {
			timer = time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		lines = append(lines, sc.Text())
	}
	_ = cmd.Wait()
	return lines
}
