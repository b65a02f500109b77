package statuspage

import (
	"slices"
	"time"
)

// The ways in which somebody can subscribe.
const (
	ByEmail   = "email"
	ByWebhook = "webhook"
)

func subscribeSheet(p Publication, now time.Time) sheet {
	s := newSheet(p, now, "subscribe", "Get updates – "+p.Title)
	s.Email, s.Webhook = slices.Contains(p.Ways, ByEmail), slices.Contains(p.Ways, ByWebhook)
	s.By = listed(p.Ways)
	return s
}

// Form is the page on which somebody subscribes: with its forms when open, else
// it says that signing up is not possible now. Trouble is what was wrong with
// the last attempt; empty for none.
func (g *Pages) Form(p Publication, now time.Time, open bool, trouble string) ([]byte, error) {
	s := subscribeSheet(p, now)
	s.Live, s.Closed, s.Trouble = open, !open, trouble
	return g.page("subscribe", s)
}

// Word is a page that says one thing to one reader, and may ask for one press of
// a button.
type Word struct {
	Headline string
	Words    []string
	Secret   string // of a webhook
	Button   string // empty for none; it posts to the same address
	Deep     bool   // it is one folder down
}

// Word makes such a page.
func (g *Pages) Word(p Publication, now time.Time, w Word) ([]byte, error) {
	s := newSheet(p, now, "word", w.Headline+" – "+p.Title)
	s.Headline, s.Words, s.Secret, s.Button = w.Headline, w.Words, w.Secret, w.Button
	if w.Deep {
		s.Base = "../"
	}
	return g.page("word", s)
}
