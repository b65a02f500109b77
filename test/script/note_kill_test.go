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

// alone is the program beside a state of its own, with a target that does not
// answer.
type alone struct {
	t        *testing.T
	bin, dir string
}

func newAlone(t *testing.T, config string) alone {
	a := alone{t: t, bin: build(t), dir: targettest.TempDir(t)}
	if err := os.WriteFile(filepath.Join(a.dir, "refloat.yaml"), []byte(strings.ReplaceAll(config, "DIR", a.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a alone) run(args ...string) *exec.Cmd {
	cmd := exec.Command(a.bin, args...)
	cmd.Dir, cmd.Env = a.dir, append(os.Environ(), "PASS=correct-horse")
	return cmd
}

func (a alone) must(args ...string) []byte {
	a.t.Helper()
	out, err := a.run(args...).Output()
	if err != nil {
		a.t.Fatalf("%v: %v", args, err)
	}
	return out
}

// serve starts a server, and returns what kills it.
func (a alone) serve() (kill func()) {
	a.t.Helper()
	server := a.run("server")
	if err := server.Start(); err != nil {
		a.t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = server.Process.Kill()
			_ = server.Wait() // killed
		})
	}
	a.t.Cleanup(kill)
	return kill
}

// until waits for what other processes do.
func (a alone) until(what string, ok func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("in 30 s not: %s", what)
		}
	}
}

const aloneConfig = `version: 1
state_dir: state
repository: {url: "file://DIR/repo", passphrase_env: PASS}
server: {listen: off}
targets:
  shop: {dsn: "postgres://refloat@127.0.0.1:9/postgres"}
`

// Three people write notes at once, each with a program of its own, while a
// server runs; they are killed at moments of no choice. Each note that somebody
// was told is kept is there, once.
func TestNoNoteIsLostByKill(t *testing.T) {
	t.Parallel()
	a := newAlone(t, aloneConfig+"incidents: {open: {outages: never}}\n")
	a.must("repo", "init")
	a.serve()
	a.until("an incident is opened", func() bool { return a.run("incident", "open", "it is slow").Run() == nil })
	kept := map[string]bool{}
	for round := range 3 {
		var writers sync.WaitGroup
		var mu sync.Mutex
		told := 0
		for who := range 3 {
			loop := exec.Command("sh", "-c", `i=0; while "$0" incident note 1 "note $1.$i"; do echo "kept note $1.$i"; i=$((i+1)); done`, a.bin, fmt.Sprintf("%d.%d", round, who))
			loop.Dir, loop.Env = a.dir, append(os.Environ(), "PASS=correct-horse")
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
	if err := json.Unmarshal(a.must("incident", "show", "1", "--json"), &x); err != nil {
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
	a.must("journal", "verify")
}
