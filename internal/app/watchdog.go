package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Watchdog is somebody outside who pages when we stop telling that we are well:
// a service for that, or the heartbeat of another Refloat.
type Watchdog struct {
	Name       string
	URL, Token secret.Value // both may be secret; the token goes into a header
	Every      time.Duration
}

const (
	watchdogTimeout = 10 * time.Second
	watchdogFails   = 3                // in a row, and it is an alert
	pagerStale      = 20 * time.Second // a pager that has not looked for so long is not well
)

// tellWatchdogs tells each watchdog that we are well, as long as we are: when
// the pager stands still, they are left to page.
func (r *running) tellWatchdogs(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range r.o.Watchdogs {
		all.Go(func() { r.tellWatchdog(ctx, w) })
	}
	all.Wait()
}

func (r *running) tellWatchdog(ctx context.Context, w Watchdog) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	fails := 0
	for {
		if r.pager.looked(time.Now()) < pagerStale {
			err := w.tell(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				fails = 0
			default:
				fails++
				r.log.WarnContext(ctx, "tell a watchdog", "watchdog", w.Name, "error", err)
			}
			s := alert.Signal{Key: "watchdog/" + w.Name, Code: "watchdog", Source: "refloat", At: time.Now(), Firing: fails >= watchdogFails, Severity: alert.Medium,
				Summary: "the watchdog " + w.Name + " does not hear that Refloat is well; it may page for nothing, or for nothing more", Next: "see that it can be reached from this machine"}
			if err != nil {
				s.Detail = err.Error()
			}
			r.pager.Signal(ctx, s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w Watchdog) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchdogTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL.Reveal(), http.NoBody)
	if err != nil {
		return errors.New("its URL cannot be used") // the error would quote it
	}
	q.Header.Set("User-Agent", "refloat/"+Version)
	if !w.Token.IsZero() {
		q.Header.Set("Authorization", "Bearer "+w.Token.Reveal())
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
