package app

import (
	"context"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/monitor"
	"github.com/refloat-db/refloat/internal/status"
)

const (
	// voteWithin is how much longer than the outage takes to confirm the other
	// nodes are waited for; whoever has not answered has no vote.
	voteWithin = 300 * time.Millisecond
	voteLasts  = 3 * time.Second // what was seen longer ago says nothing of now
	voteAgain  = 5 * time.Second // while only this node sees the trouble
)

// bench holds what one target's watcher found until the other nodes have said
// what they see. Its functions run one after the other, on a line of its own.
type bench struct {
	r    *running
	w    *watch
	line *line

	votes *ballot        // taken since the suspicion began; nil for none
	held  *monitor.Event // an outage that only this node sees; nil for none
	told  bool           // an outage was told, and is not over
}

// run works until ctx ends.
func (b *bench) run(ctx context.Context) {
	asking, end := context.WithCancel(ctx)
	defer end()
	go every(asking, voteAgain, func(context.Context) { b.line.add(b.again) })
	b.line.run(ctx)
}

// take decides what becomes of an event.
func (b *bench) take(ctx context.Context, e monitor.Event) {
	switch e.Kind {
	case monitor.Suspected:
		if !b.told && monitor.PathMatters(e.Outage.Sees) {
			b.votes = b.r.peers.vote(ctx, b.w)
		}
	case monitor.Cleared:
		b.votes = nil
	case monitor.Returned:
	case monitor.Recovered:
		b.votes = nil
		if b.held != nil {
			b.release(ctx)
			return
		}
		b.told = false
	default:
		b.judge(ctx, e, voteWithin)
		return
	}
	b.r.onWatch(ctx, b.w, e)
}

// judge tells of an outage unless it is seen here only.
func (b *bench) judge(ctx context.Context, e monitor.Event, within time.Duration) {
	if b.told {
		b.r.onWatch(ctx, b.w, e)
		return
	}
	if monitor.PathMatters(e.Outage.Sees) {
		if b.votes == nil || time.Since(b.votes.began) > voteLasts {
			b.votes = b.r.peers.vote(ctx, b.w)
		}
		votes := b.votes.wait(ctx, within)
		b.votes = nil
		if monitor.HereOnly(votes) {
			b.hold(ctx, e, monitor.Served(votes))
			return
		}
	}
	if b.held != nil {
		b.release(ctx)
		e.Outage.Confirmed = time.Now()
	}
	b.told, e.Kind = true, monitor.Confirmed
	b.r.onWatch(ctx, b.w, e)
}

// again asks anew while only this node sees the trouble.
func (b *bench) again(ctx context.Context) {
	if b.held != nil {
		b.judge(ctx, *b.held, peerWithin)
	}
}

// hold keeps back an outage that only this node sees, and tells of the network.
func (b *bench) hold(ctx context.Context, e monitor.Event, served []string) {
	fresh := b.held == nil
	b.held = &e
	detail := "only this node does not reach it: it " + e.Outage.Reason + ", and serves " + strings.Join(served, " and ")
	b.w.mu.Lock()
	b.w.elsewhere = detail
	b.w.mu.Unlock()
	b.r.notes.add(func(ctx context.Context) {
		if fresh {
			b.r.record(ctx, "target/"+string(b.w.Target), "network.suspected", e.Outage)
		}
		b.w.raise(ctx, status.Alarm{Code: status.AlarmNetwork, Detail: detail, Next: "look at the network between this machine and the target"})
	})
	if fresh {
		b.w.log.Warn("the target serves others", "reason", e.Outage.Reason, "nodes", strings.Join(served, ", "))
	}
}

// release ends the trouble that only this node saw.
func (b *bench) release(context.Context) {
	b.held = nil
	b.w.mu.Lock()
	b.w.elsewhere = ""
	b.w.mu.Unlock()
	b.r.notes.add(func(ctx context.Context) { b.w.clear(ctx, status.AlarmNetwork, "*") })
}
