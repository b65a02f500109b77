package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/email"
)

// Replies say where answers to pages arrive by mail; empty for nowhere.
type Replies struct {
	Address string // ours
	Listen  string // host:port on this machine
}

// replyTo is the address that acknowledges an alert by mail.
func (r *running) replyTo(alertID, person string) string {
	return email.Replies{Address: r.o.Replies.Address}.For(alert.ReplyToken(alertID, person, r.doors.key))
}

// openInbox listens for answers to pages.
func (r *running) openInbox(ctx context.Context) error {
	if r.o.Replies.Address == "" {
		return nil
	}
	inbox, err := email.Open(ctx, email.Replies{
		Address: r.o.Replies.Address, Listen: r.o.Replies.Listen, Logger: r.log, Acknowledge: r.acknowledgeByMail,
		Known: func(token string) bool { _, err := r.readReply(token); return err == nil },
	})
	if err != nil {
		return err
	}
	r.inbox = inbox
	r.later(inbox.Close)
	r.log.Info("answers to pages", "address", inbox.Address())
	return nil
}

func (r *running) readReply(token string) (alert.Link, error) {
	return alert.ReadReplyToken(token, slices.Collect(maps.Keys(r.o.Paging.Roster.People)), r.doors.key)
}

func (r *running) acknowledgeByMail(ctx context.Context, token string) error {
	l, err := r.readReply(token)
	if err != nil {
		return err
	}
	by := l.Person
	if by == "" {
		by = "whoever answered the mail"
	}
	_, err = r.pager.Acknowledge(ctx, l.Alert, by, time.Now())
	if errors.Is(err, errNoAlert) {
		return fmt.Errorf("alert %s is not open any more: it has ended, there is nothing to acknowledge", l.Alert)
	}
	return err
}
