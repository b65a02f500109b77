package proof

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

var errAbsent = errors.New("absent")

// memory keeps records in memory.
type memory map[string][]byte

func (m memory) Put(_ context.Context, name string, b []byte) error {
	m[name] = bytes.Clone(b)
	return nil
}

func (m memory) Get(_ context.Context, name string) ([]byte, error) {
	if b, ok := m[name]; ok {
		return b, nil
	}
	return nil, errAbsent
}

func (m memory) Names(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, n := range slices.Sorted(maps.Keys(m)) {
			if strings.HasPrefix(n, prefix) && !yield(n, nil) {
				return
			}
		}
	}
}

func (m memory) Absent(err error) bool { return errors.Is(err, errAbsent) }

var began = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

func sample(v Verdict) Proof {
	loss := 120 * time.Millisecond
	outcome := map[Verdict]Outcome{Proven: Passed, Failed: CheckFailed, Inconclusive: CouldNotRun}[v]
	return Proof{
		Target: "main", Verdict: v, Summary: "Restored <b>for</b> real.", StartedAt: began, EndedAt: began.Add(42 * time.Second),
		Repository: "file:///srv/refloat", Fingerprint: "0011-2233-4455-6677", Host: "db1", SystemID: 7301234567890123456, Server: 150018, Scratch: "15.18",
		Backup: "20261123T010000Z-0001", BackupKind: "delta", BackupEnd: target.Position{Timeline: 1, LSN: 0x5000000}, Asked: "latest", DataLoss: &loss,
		Resolution: 12 * time.Second, Objectives: Objectives{DataLoss: time.Minute, Resolution: 4 * time.Hour, ProofAge: 7 * 24 * time.Hour},
		Rows: 123456, Pages: 9000, Relations: 42,
		Phases: []Phase{{Name: "plan", Took: time.Second}, {Name: "restore", Took: 9 * time.Second, Bytes: 3 << 30}, {Name: "recover", Took: 3 * time.Second, Bytes: 64 << 20}, {Name: "check", Took: 29 * time.Second}},
		Checks: []Check{{Name: "end-of-recovery", Title: "Recovery reached what production had", Outcome: outcome, Detail: "replay ended at 1:0/6000000", Took: 3 * time.Millisecond},
			{Name: "amcheck", Title: "Tables and indexes are consistent", Outcome: NotAsked, Detail: "pg_amcheck is not installed", Evidence: []string{"first line", "second line"}}},
	}
}

func signer(t *testing.T) *Signer {
	t.Helper()
	s, err := OpenSigner(filepath.Join(t.TempDir(), "state", "proof.key"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func chain(t *testing.T, n int) (memory, Store, *Signer) {
	t.Helper()
	m, k := memory{}, signer(t)
	s := Store{Records: m}
	for range n {
		if _, err := s.Append(t.Context(), k, sample(Proven)); err != nil {
			t.Fatal(err)
		}
	}
	return m, s, k
}

func TestChain(t *testing.T) {
	m, s, k := chain(t, 3)
	all, err := s.List(t.Context(), "main")
	if err != nil || len(all) != 3 || all[2].Proof.Sequence != 3 || all[2].Proof.Previous != all[1].Hash() {
		t.Fatalf("%d proofs, %v", len(all), err)
	}
	if r, err := s.VerifyChain(t.Context(), "main", []PublicKey{k.Public()}); err != nil || len(r.Faults) != 0 || r.Proofs != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := s.VerifyChain(t.Context(), "main", []PublicKey{signer(t).Public()}); err != nil || len(r.Faults) != 3 {
		t.Fatalf("another key was taken: %+v, %v", r, err)
	}
	_ = m
}

func TestFaultsOfAChainAreSeen(t *testing.T) {
	name := func(m memory, i int, suffix string) string {
		var names []string
		for n := range m {
			if strings.HasPrefix(n, "proofs/main/") && strings.HasSuffix(n, ".json") {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		return strings.TrimSuffix(names[i], ".json") + suffix
	}
	for what, harm := range map[string]func(*testing.T, memory, *Signer){
		"a changed verdict": func(_ *testing.T, m memory, _ *Signer) {
			n := name(m, 1, ".json")
			m[n] = bytes.Replace(m[n], []byte(`"verdict": "proven"`), []byte(`"verdict": "failed"`), 1)
		},
		"a changed figure": func(_ *testing.T, m memory, _ *Signer) {
			n := name(m, 2, ".json")
			m[n] = bytes.Replace(m[n], []byte(`123456`), []byte(`123457`), 1)
		},
		"one missing in the middle": func(_ *testing.T, m memory, _ *Signer) { delete(m, name(m, 1, ".json")) },
		"the first missing":         func(_ *testing.T, m memory, _ *Signer) { delete(m, name(m, 0, ".json")) },
		"a signature missing":       func(_ *testing.T, m memory, _ *Signer) { delete(m, name(m, 1, ".json.minisig")) },
		"two in each other's place": func(_ *testing.T, m memory, _ *Signer) {
			for _, x := range []string{".json", ".json.minisig"} {
				a, b := name(m, 0, x), name(m, 1, x)
				m[a], m[b] = m[b], m[a]
			}
		},
		"one signed again by the same key": func(t *testing.T, m memory, k *Signer) {
			n := name(m, 1, ".json")
			p, err := Decode(m[n])
			if err != nil {
				t.Fatal(err)
			}
			p.Rows++
			signed, err := Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			m[n] = signed
			if m[n+".minisig"], err = k.sign(p, signed); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			m, s, k := chain(t, 4)
			harm(t, m, k)
			r, err := s.VerifyChain(t.Context(), "main", nil)
			if err != nil || len(r.Faults) == 0 {
				t.Fatalf("unseen: %+v, %v", r, err)
			}
		})
	}
}

func TestStockProgramVerifies(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip("minisign is not installed")
	}
	_, s, k := chain(t, 1)
	p, err := s.Latest(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files, err := s.Export(t.Context(), p, dir)
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	verify := func() ([]byte, error) {
		return exec.Command(program, "-Vm", files[0], "-p", filepath.Join(dir, "refloat-"+k.Public().ID()+".pub")).CombinedOutput()
	}
	out, err := verify()
	if err != nil || !strings.Contains(string(out), "verdict:proven") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(files[0], append(p.Signed, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err == nil {
		t.Fatalf("a changed proof was verified\n%s", out)
	}
}

func TestSignerIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proof.key")
	a, err := OpenSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenSigner(path)
	if err != nil || a.Public().ID() != b.Public().ID() {
		t.Fatalf("another key on the second opening: %v", err)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", i, err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSigner(path); err == nil {
		t.Fatal("a damaged key was replaced")
	}
}

func TestJudge(t *testing.T) {
	c := func(o ...Outcome) (out []Check) {
		for _, x := range o {
			out = append(out, Check{Outcome: x})
		}
		return out
	}
	for _, x := range []struct {
		checks []Check
		want   Verdict
	}{
		{nil, Inconclusive}, {c(NotAsked), Inconclusive}, {c(Passed), Proven}, {c(Passed, NotAsked), Proven}, {c(Passed, CouldNotRun), Inconclusive},
		{c(Passed, ""), Inconclusive}, {c(Passed, "well"), Inconclusive}, {c(CouldNotRun, Passed, CheckFailed), Failed},
	} {
		if got := Judge(x.checks); got != x.want {
			t.Errorf("%v: %s, want %s", x.checks, got, x.want)
		}
	}
}

func TestStand(t *testing.T) {
	week := Objectives{ProofAge: 7 * 24 * time.Hour}
	good, bad := sample(Proven), sample(Failed)
	for _, c := range []struct {
		p    *Proof
		o    Objectives
		now  time.Time
		want State
	}{
		{nil, week, began, StandsNone}, {&good, week, began.Add(time.Hour), StandsProven}, {&good, week, began.Add(8 * 24 * time.Hour), StandsStale},
		{&good, Objectives{}, began.Add(999 * time.Hour), StandsProven}, {&bad, week, began.Add(time.Hour), StandsFailed}, {&good, week, began.Add(-48 * time.Hour), StandsStale},
	} {
		if got := Stand(c.p, c.o, c.now); got.State != c.want {
			t.Errorf("%s: %+v, want %s", c.now, got, c.want)
		}
	}
}

func TestHTML(t *testing.T) {
	_, s, _ := chain(t, 2)
	p, err := s.Latest(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	page, err := HTML(p)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{"Proven", p.Hash(), "promised 4h0m0s", "&lt;b&gt;for&lt;/b&gt;", "second line", "<rect"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"http://", "https://", "<script", "<b>for"} {
		if strings.Contains(text, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if dir := os.Getenv("REFLOAT_TEST_PAGES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "proof.html"), page, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range []Verdict{Proven, Failed} {
		p := sample(v)
		p.Format = Format
		b, err := Encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		if p.Verdict == Proven && Judge(p.Checks) != Proven {
			t.Fatal("a proof without the checks for it")
		}
		if _, err := Encode(p); err != nil {
			t.Fatal(err)
		}
	})
}

// A proof of before there were ways reads as it was, and says the same bytes
// again; ways that are not open change no verdict.
func TestWaysAreNoPartOfTheVerdict(t *testing.T) {
	old := Proof{Format: Format, ID: "main-00000001-x", Target: "main", Verdict: Proven, Checks: []Check{{Name: "a", Outcome: Passed}}}
	before, err := Encode(old)
	if err != nil || bytes.Contains(before, []byte("ways")) {
		t.Fatalf("%s %v", before, err)
	}
	read, err := Decode(before)
	if err != nil || read.Ways != nil {
		t.Fatalf("%+v %v", read, err)
	}
	if again, err := Encode(read); err != nil || !bytes.Equal(again, before) {
		t.Errorf("%s %v", again, err)
	}
	old.Ways = []Way{{Name: "promote", Title: "Promote", Checks: []Check{{Name: "standby", Outcome: CheckFailed, Detail: "none"}, {Name: "x", Outcome: CouldNotRun}}}}
	now, err := Encode(old)
	if err != nil {
		t.Fatal(err)
	}
	if read, err = Decode(now); err != nil || read.Verdict != Proven || read.Ways[0].Open() != CheckFailed {
		t.Errorf("%+v %v", read, err)
	}
}
