package app

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/backup"
	"github.com/refloat-db/refloat/internal/mcp"
	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/status"
)

// AnswerAssistant speaks the Model Context Protocol on a pair of streams, about
// what this machine remembers, until the other side closes them or ctx ends.
// Nothing is changed by it.
func (a *App) AnswerAssistant(ctx context.Context, in io.ReadCloser, out io.WriteCloser) (err error) {
	r, end, err := a.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(context.WithoutCancel(ctx))) }()
	who := access.Principal{Kind: access.Local, Name: caller(""), Everywhere: access.Viewer}
	return mcp.New(mcp.Options{Reader: r, Who: who, Rules: audit.Rules(), Version: Version, Logger: a.log}).Run(ctx, in, out)
}

// AnswerAssistant does the same about a server elsewhere, as whoever the token
// belongs to.
func (r *Remote) AnswerAssistant(ctx context.Context, in io.ReadCloser, out io.WriteCloser) error {
	if _, err := r.desk.Me(ctx); err != nil { // now, rather than at the first question
		return err
	}
	return mcp.New(mcp.Options{Reader: r.desk, Rules: audit.Rules(), Version: Version}).Run(ctx, in, out)
}

// localReader is a desk over what this machine remembers, without a server's
// work. How targets stand it works out as refloat status does.
type localReader struct {
	*desk
	app *App
}

// reader opens one; what it returns beside it closes it.
func (a *App) reader(ctx context.Context) (server.Reader, func(context.Context) error, error) {
	state, err := a.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	o := DaemonOptions{StateDir: a.cfg.StateDir, Version: Version, Logger: a.log, Incidents: a.circles()}
	if o.Paging, err = a.paging(); err == nil {
		for _, name := range a.Targets() {
			o.Targets = append(o.Targets, a.looked(name))
		}
	}
	var end func(context.Context) error
	d := newDesk(o, a.log, state, func() *running { return nil })
	if err == nil {
		end, err = d.start(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, state.Close())
	}
	return localReader{d, a}, func(ctx context.Context) error { return errors.Join(end(ctx), state.Close()) }, nil
}

// looked is a target to look at. The repository is opened when it is asked for
// something, so that the rest is answered without it.
func (a *App) looked(name string) Care {
	id, t, err := a.target(name)
	if err != nil {
		return Care{} // it is of the configuration
	}
	c := Care{Target: id, Objectives: objectives(t)}
	c.Facts.Backups = func(ctx context.Context) ([]backup.Backup, error) {
		repo, err := a.open(ctx, true)
		if err != nil {
			return nil, err
		}
		return (&backup.Catalogue{Repo: repo}).List(ctx, id)
	}
	c.Facts.Report = func(ctx context.Context) (backup.CoverageReport, error) {
		repo, err := a.open(ctx, true)
		if err != nil {
			return backup.CoverageReport{}, err
		}
		return (&backup.Catalogue{Repo: repo}).Coverage(ctx, id, time.Now())
	}
	c.Facts.Proofs = func(ctx context.Context) ([]proof.Proof, error) {
		repo, err := a.open(ctx, true)
		if err != nil {
			return nil, err
		}
		return a.proofs(ctx, repo, id)
	}
	c.Facts.OneProof = a.Proof
	return c
}

// Board implements server.Reader.
func (l localReader) Board(ctx context.Context, who access.Principal) (server.Board, error) {
	b, err := l.desk.Board(ctx, who)
	if err != nil || len(b.Targets) == 0 {
		return b, err
	}
	reports := l.reports(ctx, "")
	for i := range b.Targets {
		stands(&b.Targets[i], reports)
	}
	slices.SortStableFunc(b.Targets, worseFirst)
	return b, nil
}

// Target implements server.Reader.
func (l localReader) Target(ctx context.Context, who access.Principal, name string) (server.TargetView, error) {
	v, err := l.desk.Target(ctx, who, name)
	if err != nil {
		return v, err
	}
	stands(&v.TargetRow, l.reports(ctx, name))
	return v, nil
}

// reports are how targets stand. When that cannot be seen, each says so.
func (l localReader) reports(ctx context.Context, name string) []status.Report {
	reports, err := l.app.Status(ctx, name)
	if err == nil {
		return reports
	}
	for i := range l.o.Targets {
		f := status.Facts{Target: l.o.Targets[i].Target, Objectives: l.o.Targets[i].Objectives}
		for _, what := range []string{status.UnreadBackup, status.UnreadLog, status.UnreadProof} {
			f.Unread = append(f.Unread, status.Unread{What: what, Error: err.Error()})
		}
		reports = append(reports, status.Evaluate(f, time.Now().UTC()))
	}
	return reports
}

// stands puts in how a target stands.
func stands(row *server.TargetRow, reports []status.Report) {
	if i := slices.IndexFunc(reports, func(r status.Report) bool { return r.Target == row.Target }); i >= 0 {
		row.Report = reports[i]
	}
}
