package app

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/trend"
)

//go:embed evidence.md
var evidenceText string

// Evidence is a bundle for an auditor.
type Evidence struct {
	File   string   `json:"file"`
	Proofs int      `json:"proofs"`
	Key    string   `json:"key"`    // that the manifest is signed with
	Faults []string `json:"faults"` // of the proofs' chains and of the journal, as the bundle says too
}

// EvidenceBundle writes what shows that backups were tested in a period as one ZIP
// file: the report, every proof with its signature and the keys, the entries of
// the journal, what it answers for which control, and a signed list of all of it.
// A file that is there is not overwritten.
func (a *App) EvidenceBundle(ctx context.Context, p TrendPeriod, path string, force bool, now time.Time) (Evidence, error) {
	if _, err := os.Stat(path); err == nil && !force {
		return Evidence{}, fmt.Errorf("%w: %s", ErrFileExists, path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Evidence{}, fmt.Errorf("write the bundle: %w", err)
	}
	f, entries, err := a.trendFacts(ctx, now)
	if err != nil {
		return Evidence{}, err
	}
	report := trend.Make(p, f, now)
	b := &bundle{files: map[string][]byte{}}
	out := Evidence{File: path, Faults: []string{}}
	if out.Proofs, err = a.bundleProofs(ctx, p, b); err != nil {
		return out, err
	}
	chains, err := a.ProofVerify(ctx, "", nil)
	if err != nil {
		return out, err
	}
	for _, c := range chains {
		for _, x := range c.Faults {
			out.Faults = append(out.Faults, string(c.Target)+": "+x)
		}
	}
	said, err := a.JournalVerify(ctx)
	if err != nil {
		return out, err
	}
	for _, x := range said.Findings {
		out.Faults = append(out.Faults, fmt.Sprintf("journal, entry %d: %s: %s", x.Seq, x.Fault, x.Detail))
	}
	if err := b.reports(report, entries, out.Faults, said.Head); err != nil {
		return out, err
	}
	s, err := a.signer()
	if err != nil {
		return out, err
	}
	out.Key = s.Public().ID()
	b.files["keys/refloat-"+out.Key+".pub"] = s.Public().File()
	data, err := b.seal(s, p, now)
	if err != nil {
		return out, err
	}
	return out, writeWhole(path, data)
}

// bundle gathers files by their names in the bundle.
type bundle struct{ files map[string][]byte }

func (a *App) bundleProofs(ctx context.Context, p TrendPeriod, b *bundle) (int, error) {
	c, err := a.catalogue(ctx, true)
	if err != nil {
		return 0, err
	}
	ids, err := a.selected(ctx, c, "")
	if err != nil {
		return 0, err
	}
	store, n := proofStore(c.Repo), 0
	for _, id := range ids {
		all, err := store.List(ctx, id)
		if err != nil {
			return n, err
		}
		for _, x := range all {
			if !p.Has(x.Proof.EndedAt) {
				continue
			}
			n++
			dir, err := os.MkdirTemp("", "refloat-evidence-*")
			if err != nil {
				return n, fmt.Errorf("make the bundle: %w", err)
			}
			err = b.export(ctx, store, x, dir)
			if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (b *bundle) export(ctx context.Context, s proof.Store, x proof.Stored, dir string) error {
	names, err := s.Export(ctx, x, dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			return fmt.Errorf("make the bundle: %w", err)
		}
		where := "proofs/"
		if strings.HasSuffix(n, ".pub") {
			where = "keys/"
		}
		b.files[where+filepath.Base(n)] = data
	}
	return nil
}

// evidenceKinds are the entries that belong to whether backups are tested.
var evidenceKinds = [...]string{"backup", "drill", "restore", "proof", "repository", "log", "finding", "alarm", "outage", "incident", "action", "server", "retention", "job"}

func (b *bundle) reports(r TrendReport, entries []journal.Entry, faults []string, head journal.Head) error {
	page, err := trend.HTML(r)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("make the bundle: %w", err)
	}
	b.files["report.html"], b.files["report.json"] = page, append(raw, '\n')
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for _, e := range entries {
		kind, _, _ := strings.Cut(e.Kind, ".")
		if !r.Period.Has(e.Time) || !slices.Contains(evidenceKinds[:], kind) {
			continue
		}
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("make the bundle: %w", err)
		}
	}
	b.files["journal.jsonl"] = lines.Bytes()
	t, err := template.New("evidence").Funcs(template.FuncMap{"day": func(t time.Time) string { return t.Format(time.DateOnly) }}).Parse(evidenceText)
	if err != nil {
		return fmt.Errorf("make the bundle: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{"R": r, "Rows": evidenceRows(r), "Faults": faults, "Head": head, "Version": Version, "Watched": fmt.Sprintf("%.1f %%", r.Figures.Watched*100)}); err != nil {
		return fmt.Errorf("make the bundle: %w", err)
	}
	b.files["README.md"] = text.Bytes()
	return nil
}

// evidenceRow sums up the proofs of a target.
type evidenceRow struct {
	Name, Last, Longest                 string
	Total, Proven, Failed, Inconclusive int
}

func evidenceRows(r TrendReport) []evidenceRow {
	var out []evidenceRow
	for _, t := range r.Targets {
		x := evidenceRow{Name: t.Name, Last: "none", Longest: "never proven", Total: len(t.Proofs)}
		for _, p := range t.Proofs {
			switch p.Verdict {
			case proof.Proven:
				x.Proven++
			case proof.Failed:
				x.Failed++
			default:
				x.Inconclusive++
			}
			x.Last = p.At.UTC().Format("2006-01-02 15:04 UTC") + ", " + string(p.Verdict)
		}
		if !t.Never {
			x.Longest = trend.Words(t.OldestAge)
		}
		out = append(out, x)
	}
	return out
}

// seal writes all files, their list in the form of sha256sum, and its signature.
func (b *bundle) seal(s *proof.Signer, p TrendPeriod, now time.Time) ([]byte, error) {
	names := make([]string, 0, len(b.files)+2)
	for n := range b.files {
		names = append(names, n)
	}
	slices.Sort(names)
	var list bytes.Buffer
	for _, n := range names {
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(b.files[n]), n)
	}
	sig, err := s.SignFile(list.Bytes(), fmt.Sprintf("refloat evidence period:%s to %s made:%s", p.From.Format(time.DateOnly), p.Until.Add(-1).Format(time.DateOnly), now.UTC().Format("2006-01-02T15:04:05Z")))
	if err != nil {
		return nil, err
	}
	b.files["SHA256SUMS"], b.files["SHA256SUMS.minisig"] = list.Bytes(), sig
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, n := range append(names, "SHA256SUMS", "SHA256SUMS.minisig") {
		w, err := z.CreateHeader(&zip.FileHeader{Name: n, Method: zip.Deflate, Modified: now.UTC()})
		if err == nil {
			_, err = w.Write(b.files[n])
		}
		if err != nil {
			return nil, fmt.Errorf("make the bundle: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("make the bundle: %w", err)
	}
	return out.Bytes(), nil
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".refloat-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone when it was renamed
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
