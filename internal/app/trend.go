package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/action"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/journal"
	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/trend"
)

// What the report command speaks of.
type (
	TrendReport = trend.Report
	TrendPeriod = trend.Period
)

// ParsePeriod reads which period a report is about: a quarter as 2026Q4 (empty for
// the one that runs at now), or the days from and until, both in it.
func ParsePeriod(quarter, from, until string, zone *time.Location, now time.Time) (TrendPeriod, error) {
	if from != "" || until != "" {
		a, aerr := time.ParseInLocation(time.DateOnly, from, zone)
		b, berr := time.ParseInLocation(time.DateOnly, until, zone)
		if aerr != nil || berr != nil || b.Before(a) || quarter != "" {
			return TrendPeriod{}, fmt.Errorf("%w: give --quarter, or --from and --until as 2026-12-31", ErrUsage)
		}
		return trend.Days(a, b.AddDate(0, 0, 1)), nil
	}
	if quarter == "" {
		return trend.QuarterOf(now.In(zone)), nil
	}
	var year, q int
	if n, err := fmt.Sscanf(strings.ToUpper(quarter)+"\n", "%4dQ%1d\n", &year, &q); err != nil || n != 2 || year < 2000 || q < 1 || q > 4 {
		return TrendPeriod{}, fmt.Errorf("%w: %q is no quarter: write it as 2026Q4", ErrUsage, quarter)
	}
	return trend.QuarterOf(time.Date(year, time.Month(3*q-2), 1, 0, 0, 0, 0, zone)), nil
}

// Trend says how a period went, from the journal and the proofs in the
// repository.
func (a *App) Trend(ctx context.Context, p TrendPeriod, now time.Time) (TrendReport, error) {
	f, _, err := a.trendFacts(ctx, now)
	if err != nil {
		return TrendReport{}, err
	}
	return trend.Make(p, f, now), nil
}

func (a *App) trendFacts(ctx context.Context, now time.Time) (trend.Facts, []journal.Entry, error) {
	s, err := a.state(ctx)
	if err != nil { // says it better when no server ever ran
		return trend.Facts{}, nil, err
	}
	runs, err := workIsDone(ctx, s, a.cfg.StateDir)
	if err = errors.Join(err, s.Close()); err != nil {
		return trend.Facts{}, nil, err
	}
	entries, err := a.JournalList(ctx, JournalFilter{})
	if err != nil {
		return trend.Facts{}, nil, err
	}
	proofs, err := a.Proofs(ctx, "")
	if err != nil {
		return trend.Facts{}, nil, fmt.Errorf("read the proofs: %w", err)
	}
	f := trend.Facts{Incidents: incident.FoldAll(incidentEvents(entries)), Actions: action.Fold(actionEvents(entries)), Watched: watchedSpans(entries, runs, now)}
	var errs []error
	f.Outages, err = outagesOf(entries)
	errs = append(errs, err)
	f.Findings, err = findingsOf(entries)
	errs = append(errs, err)
	since := map[string]time.Time{}
	for _, e := range entries {
		if name, is := strings.CutPrefix(e.Subject, "target/"); is && since[name].IsZero() {
			since[name] = e.Time
		}
	}
	for _, x := range proofs {
		if x.Source == "" {
			f.Proofs = append(f.Proofs, x)
		}
		if t := since[string(x.Target)]; x.StartedAt.Before(t) || t.IsZero() {
			since[string(x.Target)] = x.StartedAt
		}
	}
	blind := blindSpans(entries, now)
	for _, name := range a.Targets() {
		t := trend.Target{Name: name, Objectives: objectives(a.cfg.Targets[name]), Since: since[name], Unwatched: !a.cfg.Targets[name].Watch.Enabled, Blind: blind[name]}
		if t.Since.IsZero() {
			t.Since = now // nothing was ever heard of it
		}
		f.Targets = append(f.Targets, t)
	}
	return f, entries, errors.Join(errs...)
}

// watchedSpans are when a server ran. One that was killed ran at least until the
// last entry before the next start, and no longer is claimed.
func watchedSpans(entries []journal.Entry, runs bool, now time.Time) []trend.Span {
	var out []trend.Span
	var from, last time.Time
	end := func(t time.Time) {
		if !from.IsZero() {
			out = append(out, trend.Span{From: from, Until: t})
		}
		from = time.Time{}
	}
	for _, e := range entries {
		switch e.Kind {
		case "server.started":
			end(last)
			from = e.Time
		case "server.stopped":
			end(e.Time)
		}
		if e.Actor == incident.Server {
			last = e.Time
		}
	}
	if runs {
		last = now
	}
	end(last)
	return out
}

// blindSpans are when a server ran and could not tell whether a target served, by
// target. Its alarm comes after it has seen nothing for a while.
func blindSpans(entries []journal.Entry, now time.Time) map[string][]trend.Span {
	out, since := map[string][]trend.Span{}, map[string]time.Time{}
	for _, e := range entries {
		name, is := strings.CutPrefix(e.Subject, "target/")
		var a struct {
			Code string `json:"code"`
		}
		if !is || e.Kind != "alarm.raised" && e.Kind != "alarm.cleared" || json.Unmarshal(e.Body, &a) != nil || a.Code != status.AlarmBlind {
			continue
		}
		from, open := since[name]
		switch {
		case e.Kind == "alarm.raised" && !open:
			since[name] = e.Time.Add(-monitor.BlindAfter)
		case e.Kind == "alarm.cleared" && open:
			out[name] = append(out[name], trend.Span{From: from, Until: e.Time})
			delete(since, name)
		}
	}
	for name, from := range since {
		out[name] = append(out[name], trend.Span{From: from, Until: now})
	}
	return out
}

// outagesOf are all outages, as their last entry has them.
func outagesOf(entries []journal.Entry) ([]trend.Outage, error) {
	var out []trend.Outage
	for _, e := range entries {
		if !strings.HasPrefix(e.Kind, "outage.") {
			continue
		}
		var o monitor.Outage
		if err := json.Unmarshal(e.Body, &o); err != nil {
			return nil, fmt.Errorf("read entry %d of the journal: %w", e.Seq, err)
		}
		x := trend.Outage{Target: string(o.Target), Sees: string(o.Sees), From: o.FirstBad, Until: o.Recovered}
		if i := slices.IndexFunc(out, func(y trend.Outage) bool { return y.Target == x.Target && y.From.Equal(x.From) }); i >= 0 {
			x.Sees = out[i].Sees // that it began with
			out[i] = x
		} else {
			out = append(out, x)
		}
	}
	return out, nil
}

// findingsOf are all findings of audits, each time that one appeared.
func findingsOf(entries []journal.Entry) ([]trend.Finding, error) {
	var out []trend.Finding
	for _, e := range entries {
		if e.Kind != "finding.appeared" && e.Kind != "finding.gone" {
			continue
		}
		var f audit.Finding
		if err := json.Unmarshal(e.Body, &f); err != nil {
			return nil, fmt.Errorf("read entry %d of the journal: %w", e.Seq, err)
		}
		name := strings.TrimPrefix(e.Subject, "target/")
		if e.Kind == "finding.appeared" {
			out = append(out, trend.Finding{Target: name, Rule: f.Rule, Object: f.Object, Severity: f.Severity.String(), Opened: e.Time})
			continue
		}
		for i := range slices.Backward(out) {
			if x := &out[i]; x.Target == name && x.Rule == f.Rule && x.Object == f.Object && x.Closed.IsZero() {
				x.Closed = e.Time
				break
			}
		}
	}
	return out, nil
}

// TrendPage renders a report as a page.
func TrendPage(r TrendReport) ([]byte, error) { return trend.HTML(r) }

// TrendDistribution is how long something took.
type TrendDistribution = trend.Distribution

// Words is a duration as people write it.
func Words(d time.Duration) string { return trend.Words(d) }

// TrendPDF renders a report as a PDF.
func TrendPDF(r TrendReport) ([]byte, error) { return trend.PDF(r) }
