package backup

import (
	"errors"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// errSpool marks trouble with the spool: everything begins anew from what is
// on disk.
var errSpool = errors.New("the spool cannot be used")

// State is a snapshot of what the receiver does. Safe at any time.
func (r *Receiver) State() ReceiverState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.st
	s.SystemID, s.Received, s.Repository = r.sys, r.have, r.stored
	s.Connected = r.relaying != 0
	s.Spooled = target.Position{Timeline: r.have.Timeline, LSN: r.synced}
	s.SpoolBytes = r.spoolBytes()
	s.Alarms = []string{}
	for _, a := range r.alarms {
		s.Alarms = append(s.Alarms, a)
	}
	slices.Sort(s.Alarms)
	s.Lag, s.LagBytes = -1, max(0, int64(s.ServerEnd)-int64(r.stored.LSN))
	if t := r.clock.at(r.stored.LSN); !t.IsZero() {
		s.Lag = max(0, s.ServerTime.Sub(t)+r.o.Now().Sub(s.HeardAt))
	}
	return s
}

// alarm raises or, with "", clears one kind of alarm.
func (r *Receiver) alarm(kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setAlarm(kind, text)
}

func (r *Receiver) setAlarm(kind, text string) {
	if text == "" {
		delete(r.alarms, kind)
		return
	}
	if _, on := r.alarms[kind]; !on {
		r.o.Logger.Error("alarm", "kind", kind, "alarm", text)
	}
	r.alarms[kind] = text
}

func (r *Receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.st.LastError = err.Error()
	}
}

// spoolBytes is what the spool holds, to a segment. Call with mu held.
func (r *Receiver) spoolBytes() int64 {
	var n int64
	if r.cur != nil {
		n += r.cur.length
	}
	n += int64(len(r.pending)) * r.size
	if r.up != nil {
		n += int64(r.up.waiting()) * r.size
	}
	return n
}

func (r *Receiver) noteStored(p target.Position) {
	r.mu.Lock()
	r.stored = p
	if p.Timeline == r.have.Timeline {
		r.clock.forget(p.LSN)
	}
	r.mu.Unlock()
	signal(r.wake)
	signal(r.space)
}

func (r *Receiver) noteUpload(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.setAlarm("repository", "")
		return
	}
	r.st.LastError = err.Error()
	r.setAlarm("repository", "the log cannot be stored in the repository: "+err.Error())
}

func (r *Receiver) timeAt(p target.Position) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Timeline != r.have.Timeline {
		return time.Time{}
	}
	return r.clock.at(p.LSN)
}

// currentPartial reads the segment being received when it holds more than the
// repository does.
func (r *Receiver) currentPartial(after target.Position) (partialCopy, error) {
	r.mu.Lock()
	f := r.cur
	if f == nil || len(r.pending) > 0 {
		r.mu.Unlock()
		return partialCopy{}, nil
	}
	n := f.length
	end := f.seg.Start() + target.LSN(n)
	short := end < r.have.LSN // what the repository has is being streamed again
	r.mu.Unlock()
	if n == 0 || short || f.seg.Timeline == after.Timeline && end <= after.LSN {
		return partialCopy{}, nil
	}
	content, err := f.read(n)
	if err != nil {
		// It was completed meanwhile; its turn as a whole segment comes.
		return partialCopy{}, nil //nolint:nilerr // see above
	}
	return partialCopy{seg: f.seg, content: content}, nil
}
