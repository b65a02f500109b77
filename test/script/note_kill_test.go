package script

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target/targettest"
)

const aloneConfig = `version: 1
state_dir: state
repository: {url: "file://%s/repo", passphrase_env: PASS}
server: {listen: off}
targets:
  shop: {dsn: "postgres://refloat@127.0.0.1:9/postgres"}
incidents: {open: {outages: never}}
`

// Three people write notes at once, each with a program of its own, while a
// server runs; they are killed at moments of no choice. Each note that somebody
// was told is kept is there, once.
func TestNoNoteIsLostByKill(t *testing.T) {
	t.Parallel()
	bin, dir := build(t), targettest.TempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "refloat.yaml"), fmt.Appendf(nil, aloneConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PASS=correct-horse")
		return cmd
	}
	must := func(args ...string) []byte {
		t.Helper()
		out, err := run(args...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	must("repo", "init")
	server := run("server")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait() // killed
	}()
	deadline := time.Now().Add(30 * time.Second)
	for run("incident", "open", "it is slow").Run() != nil {
		if time.Now().After(deadline) {
			t.Fatal("no incident could be opened")
		}
		time.Sleep(50 * time.Millisecond) // until the server has made its state
	}
	kept := map[string]bool{}
	for round := range 3 {
		var writers sync.WaitGroup
		var mu sync.Mutex
		told := 0
		for who := range 3 {
			loop := exec.Command("sh", "-c", `i=0; while "$0" incident note 1 "note $1.$i"; do echo "kept note $1.$i"; i=$((i+1)); done`, bin, fmt.Sprintf("%d.%d", round, who))
			loop.Dir, loop.Env = dir, append(os.Environ(), "PASS=correct-horse")
			loop.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := loop.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := loop.Start(); err != nil {
				t.Fatal(err)
			}
			stop := 2 + rand.IntN(4)
			writers.Go(func() {
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); {
					note, is := strings.CutPrefix(lines.Text(), "kept ")
					if !is {
						continue
					}
					mu.Lock()
					kept[note], told = true, told+1
					mu.Unlock()
					if n++; n == stop {
						time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = syscall.Kill(-loop.Process.Pid, syscall.SIGKILL) })
					}
				}
				_ = loop.Wait() // killed
			})
		}
		writers.Wait()
		if told < 6 {
			t.Fatalf("only %d notes were kept in round %d", told, round)
		}
	}
	var x struct {
		Notes []struct{ Text string }
	}
	if err := json.Unmarshal(must("incident", "show", "1", "--json"), &x); err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for _, n := range x.Notes {
		there[n.Text]++
	}
	for n := range kept {
		if there[n] != 1 {
			t.Errorf("%s was kept, and is there %d times", n, there[n])
		}
	}
	must("journal", "verify")
}
