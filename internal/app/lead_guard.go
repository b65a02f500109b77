package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/store/pgstore"
)

// may is nil while this node may act as the leader of fence: send what people
// get. The store is asked; when it does not answer, a leader whose last renewal
// is fresh acts, and so does one that no other node knows to be replaced: people
// are paged from memory rather than not at all.
func (l *lead) may(ctx context.Context, fence int64) error {
	l.mu.Lock()
	t, verdict, fresh := l.tenure, l.verdict, time.Since(l.at) < verdictLasts
	l.mu.Unlock()
	switch {
	case t.fence != fence:
		return errLostLead
	case fresh:
		return verdict
	}
	err := l.judge(ctx, fence)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure.fence != fence {
		return errLostLead
	}
	l.verdict, l.at = err, time.Now()
	return err
}

func (l *lead) judge(ctx context.Context, fence int64) error {
	limited, cancel := context.WithTimeout(ctx, verdictWithin)
	defer cancel()
	err := l.store.Leads(limited, fence)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, pgstore.ErrFenced) {
		l.lost(fence)
		return errLostLead
	}
	if l.replaced(ctx) {
		l.lost(fence)
		return errLostLead
	}
	return nil
}

// replaced reports that another node says that it leads, asked when the store has
// not answered here for longer than this node can be sure.
func (l *lead) replaced(ctx context.Context) bool {
	l.mu.Lock()
	sure := l.tenure.sure(time.Now())
	l.mu.Unlock()
	r := l.n.leading()
	if sure || r == nil {
		return false
	}
	who := r.peers.whoLeads(ctx)
	if who != "" {
		l.log.Error("the store does not answer here, and another node leads", "leader", who)
	}
	return who != ""
}

// leadSender sends while this node leads, and breaks off what is being sent when
// another does.
type leadSender struct {
	to   alert.Sender
	term context.Context
	may  func(context.Context) error
}

// Send implements alert.Sender.
func (g leadSender) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	if err := g.may(ctx); err != nil {
		return alert.Receipt{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.term, cancel)()
	return g.to.Send(ctx, m)
}

// guarded guards what clients see in the same way: a page of an old leader would
// take the place of a newer one, and its message to an endpoint would be the second.
func (o StatusPageOptions) guarded(term context.Context, may func(context.Context) error) *StatusPageOptions {
	if o.Mail != nil {
		o.Mail = leadSender{o.Mail, term, may}
	}
	o.May = func(ctx context.Context) (context.Context, context.CancelFunc, error) {
		if err := may(ctx); err != nil {
			return nil, nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(term, cancel)
		return ctx, func() { stop(); cancel() }, nil
	}
	o.Places = slices.Clone(o.Places)
	for i, p := range o.Places {
		o.Places[i].Write = func(ctx context.Context, all []statuspage.File) error {
			ctx, done, err := o.May(ctx)
			if err != nil {
				return err
			}
			defer done()
			return p.Write(ctx, all)
		}
	}
	return &o
}
