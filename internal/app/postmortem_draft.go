package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/postmortem"
)

// DraftReport makes the draft of an incident's postmortem from the journal. Times
// are written by the clock of zone; nil is UTC.
func (a *App) DraftReport(ctx context.Context, name string, zone *time.Location, now time.Time) (d postmortem.Document, err error) {
	s, err := a.state(ctx)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f, err := a.reportFacts(ctx, s, incidentID(name))
	if err != nil {
		return d, err
	}
	f.Now, f.Zone = now, zone
	return postmortem.Draft(f), nil
}

// reportFacts gathers what the journal and the configuration say of an incident.
func (a *App) reportFacts(ctx context.Context, j journal.Log, id string) (postmortem.Facts, error) {
	f := postmortem.Facts{}
	events, err := incidentLog{j}.Events(ctx, "")
	if err != nil {
		return f, err
	}
	for _, x := range incident.FoldAll(events) {
		if x.ID == id {
			f.Incident = x
		} else {
			f.Earlier = append(f.Earlier, x)
		}
	}
	switch x := f.Incident; {
	case x.ID == "":
		return f, fmt.Errorf("%w: %s", incident.ErrNone, id)
	case x.MergedInto != "":
		return f, fmt.Errorf("%s was merged into %s, whose report tells of both: refloat postmortem new %s", id, x.MergedInto, x.MergedInto)
	}
	for _, target := range f.Incident.Targets {
		entries, err := j.ReadScope(ctx, "target/"+target, 0)
		if err != nil {
			return f, err
		}
		f.Findings = append(f.Findings, openFindings(target, entries, f.Incident.Started)...)
		t, configured := a.cfg.Targets[target]
		if p := lastDrill(target, entries, f.Incident.Started); p != nil {
			if configured {
				p.Allowed = t.Objectives.ProofAge.Std()
			}
			f.Proofs = append(f.Proofs, *p)
		}
		if n, currency := t.CostPerHour.Hundredths(); n > 0 {
			f.Costs = append(f.Costs, postmortem.HourlyCost{Target: target, PerHour: n, Currency: currency})
		}
	}
	return f, nil
}

// openFindings are those of the audit that had appeared before a moment, and were
// not gone by then, the oldest first.
func openFindings(target string, entries []journal.Entry, before time.Time) []postmortem.KnownFinding {
	var out []postmortem.KnownFinding
	for _, e := range entries {
		if !e.Time.Before(before) {
			break
		}
		var f audit.Finding
		if e.Kind != "finding.appeared" && e.Kind != "finding.gone" || json.Unmarshal(e.Body, &f) != nil {
			continue
		}
		out = slices.DeleteFunc(out, func(k postmortem.KnownFinding) bool { return k.Rule == f.Rule && k.Object == f.Object })
		if e.Kind == "finding.appeared" {
			out = append(out, postmortem.KnownFinding{Target: target, Rule: f.Rule, Object: f.Object, Evidence: f.Evidence, Since: e.Time, Seq: e.Seq})
		}
	}
	return out
}

// lastDrill is the last drill before a moment; nil when there was none.
func lastDrill(target string, entries []journal.Entry, before time.Time) *postmortem.KnownProof {
	for _, e := range slices.Backward(entries) {
		var b struct{ Proof, Verdict, Summary, Resolution string }
		if e.Kind != "drill.ended" || !e.Time.Before(before) || json.Unmarshal(e.Body, &b) != nil {
			continue
		}
		took, err := time.ParseDuration(b.Resolution)
		if err != nil {
			took = 0 // an entry without it
		}
		return &postmortem.KnownProof{Target: target, ID: b.Proof, Verdict: b.Verdict, Summary: b.Summary, Resolution: took, At: e.Time, Seq: e.Seq}
	}
	return nil
}

// ErrReportExists means that a draft would be written over a file.
var ErrReportExists = errors.New("the file exists, and somebody may have worked on it")

// WriteReport writes a report to a file that does not exist yet, so that it is
// there whole, or not at all.
func WriteReport(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	defer func() { err = errors.Join(err, ignoreAbsent(os.Remove(f.Name()))) }()
	_, werr := f.Write(content)
	if werr == nil {
		werr = f.Chmod(0o644)
	}
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil { // fails where there is one
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("write the report %s: %w: give another name, or move it away", path, ErrReportExists)
		}
		return fmt.Errorf("write the report: %w", err)
	}
	return syncFolder(dir)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
