// Package chat delivers messages to chat and push services through shoutrrr,
// which knows their APIs; a contact's URL says which
// (https://shoutrrr.nickfedor.com/services/overview).
package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// Sender delivers to one service.
type Sender struct {
	url    secret.Value
	router *router.ServiceRouter
	scheme string
}

var _ alert.Sender = (*Sender)(nil)

// New checks the URL, which holds a secret and is shown nowhere. It does not
// connect.
func New(at secret.Value) (*Sender, error) {
	u, err := url.Parse(at.Reveal())
	if err != nil || u.Scheme == "" {
		return nil, errors.New("chat: the URL cannot be read: it wants the form that shoutrrr documents for the service, like ntfy://ntfy.sh/topic")
	}
	if u.Scheme == "logger" {
		return nil, errors.New("chat: logger reaches nobody")
	}
	s := &Sender{url: at, scheme: u.Scheme}
	// The library's log could show URLs.
	if s.router, err = router.New(log.New(io.Discard, "", 0), at.Reveal()); err != nil {
		return nil, fmt.Errorf("chat: the %s URL is not understood: %s", u.Scheme, s.scrub(err.Error()))
	}
	return s, nil
}

// Send hands the message to the service. The library does not take a context;
// when ctx ends first, the message may still arrive, and is sent again later:
// at least once.
func (s *Sender) Send(ctx context.Context, m alert.Message) (alert.Receipt, error) {
	text := m.Body
	if m.AckURL != "" {
		text += "\nAcknowledge: " + m.AckURL
	} else if m.AckCommand != "" {
		text += "\nAcknowledge: " + m.AckCommand
	}
	params := types.Params{}
	params.SetTitle(m.Subject)
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the service's adapter broke: %v", p)
			}
		}()
		done <- errors.Join(s.router.Send(text, &params)...)
	}()
	select {
	case <-ctx.Done():
		return alert.Receipt{}, fmt.Errorf("send to %s (%s): %w", m.To.Address, s.scheme, ctx.Err())
	case err := <-done:
		if err != nil {
			return alert.Receipt{}, fmt.Errorf("send to %s (%s): %s", m.To.Address, s.scheme, s.scrub(err.Error()))
		}
	}
	return alert.Receipt{Said: s.scheme + " took it over"}, nil
}

// scrub takes out of a text every part of the URL that could be secret: all but
// its scheme and host.
func (s *Sender) scrub(text string) string {
	u, err := url.Parse(s.url.Reveal())
	if err != nil {
		return "unreadable URL"
	}
	hide := []string{s.url.Reveal(), u.RequestURI(), u.User.String(), u.User.Username(), u.RawQuery, u.Fragment}
	if p, ok := u.User.Password(); ok {
		hide = append(hide, p)
	}
	hide = append(hide, strings.Split(u.Path, "/")...)
	for _, all := range u.Query() {
		hide = append(hide, all...)
	}
	for _, h := range hide {
		for _, form := range []string{h, url.QueryEscape(h), url.PathEscape(h)} {
			if len(form) > 3 {
				text = strings.ReplaceAll(text, form, "…")
			}
		}
	}
	return strings.Join(strings.Fields(text), " ")
}
