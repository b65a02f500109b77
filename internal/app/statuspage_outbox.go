package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/alert/webhook"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/status"
	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/store/pgstore"
	"github.com/refloat-db/refloat/internal/store/sqlite"
)

// subscriberStore keeps subscribers, and what is on its way to them.
type subscriberStore interface {
	AskSubscriber(ctx context.Context, x statuspage.Subscriber, now time.Time) error
	ConfirmSubscriber(ctx context.Context, id string, now time.Time) (bool, error)
	RemoveSubscriber(ctx context.Context, id string) (bool, error)
	Subscribers(ctx context.Context) ([]statuspage.Subscriber, error)
	FanOut(ctx context.Context, n statuspage.Notice, now time.Time) (int, error)
	DueDeliveries(ctx context.Context, now time.Time, limit int) ([]statuspage.Delivery, error)
	SaveDelivery(ctx context.Context, d statuspage.Delivery) error
	Backlog(ctx context.Context, via string, before time.Time) (int, error)
	TidySubscribers(ctx context.Context, now, before time.Time) error
}

var (
	_ subscriberStore = (*sqlite.Store)(nil)
	_ subscriberStore = (*pgstore.Store)(nil)
)

const (
	subscriberFlights = 16                     // messages to subscribers at once
	subscriberEvery   = 200 * time.Millisecond // what is due is looked for
	subscriberTidy    = time.Hour              // between tidying
	subscriberKeep    = 30 * 24 * time.Hour
	mailLate          = 15 * time.Minute // mail to subscribers that waits so long is an alert
	lookUpWithin      = 5 * time.Second
)

// subscriptions takes those who subscribe to the page and sees each update
// through to each of them: kept before it is sent, tried again, once.
type subscriptions struct {
	o     *StatusPageOptions
	store subscriberStore
	key   []byte // of links
	log   *slog.Logger
	sends sync.WaitGroup

	tidied, judged time.Time
	handed         map[string]bool // keys of notices
	failed         bool
	mute           bool // of send

	mu     sync.Mutex
	flying map[string]bool
}

// kindSubscriberKey is the kind of the record of the key that signs links in
// messages to subscribers. It is in the store rather than beside it: a link to
// unsubscribe must be good on whichever node leads, for as long as the subscriber
// is there.
const kindSubscriberKey = "subscriber-key"

// subscriberKey reads the key, and makes it the first time.
func subscriberKey(ctx context.Context, s Store, now time.Time) ([]byte, error) {
	var key []byte
	r, err := s.OneRecord(ctx, kindSubscriberKey, "links")
	if err == nil {
		err = r.Read(&key)
	} else if errors.Is(err, status.ErrNothing) {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails, crypto/rand
		if r, err = alert.NewRecord(kindSubscriberKey, "links", "", false, now, key); err == nil {
			err = s.Save(ctx, r)
		}
	}
	if err == nil && len(key) != 32 {
		err = errors.New("it is not whole")
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of subscribers' links: %w", err)
	}
	return key, nil
}

func newSubscriptions(o *StatusPageOptions, s subscriberStore, key []byte, log *slog.Logger) *subscriptions {
	return &subscriptions{o: o, store: s, key: key, log: log, handed: map[string]bool{}, flying: map[string]bool{}}
}

// work hands out what is new on the page, tidies, and tells of mail that does not
// go out.
func (b *subscriptions) work(ctx context.Context, p statuspage.Publication, alerts *pager, now time.Time) {
	err := b.handOut(ctx, p, now)
	if err == nil && now.Sub(b.tidied) > subscriberTidy {
		err = b.store.TidySubscribers(ctx, now, now.Add(-subscriberKeep))
		b.tidied = now
	}
	if err == nil && now.Sub(b.judged) > watchedEvery {
		b.judged = now
		var late int
		if late, err = b.store.Backlog(ctx, statuspage.ByEmail, now.Add(-mailLate)); err == nil {
			alerts.Signal(ctx, alert.Signal{
				Key: "status-page/mail", Code: "status-page-mail", Source: "refloat", At: now, Firing: late > 0, Severity: alert.Medium,
				Summary: fmt.Sprintf("%d mails to subscribers of the status page have waited for more than %d min", late, int(mailLate/time.Minute)), Next: "see that the mail server takes mail from this machine, and the log of refloat server",
			})
		}
	}
	if err != nil && !b.failed && ctx.Err() == nil {
		b.log.ErrorContext(ctx, "look after subscribers; trying again", "error", err)
	}
	b.failed = err != nil
}

// handOut makes deliveries of updates that are fresh: who was told late of an old
// one would take it for news.
func (b *subscriptions) handOut(ctx context.Context, p statuspage.Publication, now time.Time) error {
	for _, n := range p.Notices() {
		if b.handed[n.Key] || now.Sub(n.Update.At) > updateFresh {
			continue
		}
		made, err := b.store.FanOut(ctx, n, now)
		if err != nil {
			return err
		}
		if b.handed[n.Key] = true; made > 0 {
			b.log.Info("an update goes to subscribers", "update", n.Key, "subscribers", made)
		}
	}
	return nil
}

// send begins what is due, and can be begun.
func (b *subscriptions) send(ctx context.Context, now time.Time) {
	due, err := b.store.DueDeliveries(ctx, now, 4*subscriberFlights)
	if err != nil && !b.mute && ctx.Err() == nil {
		b.log.ErrorContext(ctx, "read what is due to subscribers; trying again", "error", err)
	}
	b.mute = err != nil
	for _, d := range due {
		id := d.Subscriber.ID + "." + d.Key
		b.mu.Lock()
		start := !b.flying[id] && len(b.flying) < subscriberFlights
		if start {
			b.flying[id] = true
		}
		b.mu.Unlock()
		if start {
			b.sends.Go(func() { b.attempt(context.WithoutCancel(ctx), d, id) })
		}
	}
}

// attempt tries once and keeps what came of it.
func (b *subscriptions) attempt(ctx context.Context, d statuspage.Delivery, id string) {
	defer func() {
		b.mu.Lock()
		delete(b.flying, id)
		b.mu.Unlock()
	}()
	limited, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	said, err := b.deliver(limited, d)
	try := statuspage.Attempt{At: time.Now().UTC(), Said: said}
	if err != nil {
		try.Error = err.Error()
	}
	// An endpoint that does not know its challenge yet refuses it.
	refused := errors.Is(err, alert.ErrRefused) && (d.Key != statuspage.ConfirmKey || d.Subscriber.Via == statuspage.ByEmail)
	d = d.After(try, refused)
	if err := b.store.SaveDelivery(ctx, d); err != nil {
		b.log.ErrorContext(ctx, "keep what came of a message to a subscriber", "subscriber", d.Subscriber.ID, "error", err)
	}
	log := b.log.With("subscriber", d.Subscriber.ID, "message", d.Key, "attempt", len(d.Attempts))
	switch {
	case err == nil:
		log.Debug("sent")
	case d.State == statuspage.Failed:
		log.Warn("a subscriber could not be told, and it is given up", "error", err)
	default:
		log.Info("a subscriber could not be told; trying again", "error", err, "at", d.NotBefore)
	}
}

func (b *subscriptions) deliver(ctx context.Context, d statuspage.Delivery) (said string, err error) {
	if d.Subscriber.Via == statuspage.ByWebhook {
		if b.o.May != nil {
			limited, done, err := b.o.May(ctx)
			if err != nil {
				return "", err
			}
			defer done()
			ctx = limited
		}
		return b.post(ctx, d)
	}
	if b.o.Mail == nil {
		return "", errors.New("status_page.subscribe has email no more")
	}
	r, err := b.o.Mail.Send(ctx, b.mail(d))
	return r.Said, err
}

func (b *subscriptions) link(p statuspage.Purpose, id string, until time.Time) string {
	return strings.TrimRight(b.o.Page.URL, "/") + "/" + string(p) + "/" + statuspage.Link{For: p, Subscriber: id, Until: until}.Sign(b.key)
}

// mail is a message to a mailbox: of what is on the page, or to be confirmed.
func (b *subscriptions) mail(d statuspage.Delivery) alert.Message {
	x, title, home := d.Subscriber, b.o.Page.Title, strings.TrimRight(b.o.Page.URL, "/")
	m := alert.Message{
		ID: "refloat.status." + x.ID + "." + d.Key, Kind: alert.Announcement, At: time.Now(),
		To: alert.Contact{ID: "subscriber", Via: alert.Email, Address: x.Address},
	}
	if d.Key == statuspage.ConfirmKey {
		m.ID += "." + fmt.Sprint(x.Asks)
		if x.Confirmed.IsZero() {
			m.Subject = "Please confirm: updates from " + title
			m.Body = fmt.Sprintf("Somebody asked for updates from %s (%s) to this address.\n\nIf it was you, open this link within a day:\n%s\n\nIf not, do nothing: you are not subscribed, and this is forgotten.\n", title, home, b.link(statuspage.ToConfirm, x.ID, d.At.Add(statuspage.ConfirmWithin)))
			return m
		}
		m.Subject = "You are subscribed to " + title
		m.Body = fmt.Sprintf("Somebody asked for updates from %s (%s) to this address, which gets them already. There is nothing to do.\n", title, home)
	} else {
		m.Subject, m.Body = noticeText(d.Notice, title, home, b.o.Page.Zone)
	}
	m.Unsubscribe = b.link(statuspage.ToUnsubscribe, x.ID, time.Time{})
	return m
}

func noticeText(n statuspage.Notice, title, home string, zone *time.Location) (subject, body string) {
	if zone == nil {
		zone = time.UTC
	}
	const layout = "2 Jan 2006, 15:04 MST"
	subject = fmt.Sprintf("[%s] %s", strings.ToUpper(n.Update.Status), n.Title)
	body = fmt.Sprintf("%s\n\n%s\n", n.Update.At.In(zone).Format(layout), n.Update.Text)
	if !n.Update.Next.IsZero() {
		body += fmt.Sprintf("\nThe next update is promised by %s.\n", n.Update.Next.In(zone).Format(layout))
	}
	return subject, body + fmt.Sprintf("\nAll updates: %s/incident-%s.html\n\nYou get this since you subscribed to %s.\n", home, n.Incident, title)
}

// hookBody is what an endpoint is sent. docs/formats/status-page.md has it.
type hookBody struct {
	Type      string             `json:"type"`
	ID        string             `json:"id"`
	Page      string             `json:"page"`
	Challenge string             `json:"challenge,omitempty"`
	Notice    *statuspage.Notice `json:"notice,omitempty"`
	// Unsubscribe ends the subscription when it is posted to.
	Unsubscribe string `json:"unsubscribe"`
}

// post posts to an endpoint. One that is to confirm is sent a challenge, and is a
// subscriber once it answers it with the secret.
func (b *subscriptions) post(ctx context.Context, d statuspage.Delivery) (said string, err error) {
	x := d.Subscriber
	o := webhook.Options{URL: secret.New(x.Address), Secret: secret.New(x.Secret), Version: Version, Plain: b.o.AllowPrivate, Guard: b.guard}
	s, err := webhook.New(o)
	if err != nil {
		return "", fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	body := hookBody{Type: "status.update", ID: "refloat.status." + x.ID + "." + d.Key, Page: strings.TrimRight(b.o.Page.URL, "/"), Notice: &d.Notice, Unsubscribe: b.link(statuspage.ToUnsubscribe, x.ID, time.Time{})}
	if d.Key == statuspage.ConfirmKey {
		body.Type, body.Notice, body.Challenge = "status.challenge", nil, challenge()
	}
	text, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("%w: %w", alert.ErrRefused, err)
	}
	answer, receipt, err := s.Post(ctx, body.ID, "of a subscriber", text)
	if err != nil || d.Key != statuspage.ConfirmKey {
		return receipt.Said, err
	}
	var given struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(answer, &given); err != nil || !same(given.Challenge, secret.New(statuspage.ChallengeAnswer(x.Secret, body.Challenge))) {
		return "", errors.New("the endpoint did not answer its challenge with the secret")
	}
	_, err = b.store.ConfirmSubscriber(ctx, x.ID, time.Now())
	return receipt.Said, err
}

// guard refuses connections into networks that are not public, whatever name led
// there.
func (b *subscriptions) guard(to netip.AddrPort) error {
	if b.o.AllowPrivate || statuspage.PublicAddress(to.Addr()) {
		return nil
	}
	return fmt.Errorf("%w: %s is not on the public internet (status_page.allow_private_webhooks)", alert.ErrRefused, to.Addr())
}

func challenge() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails, crypto/rand
	return hex.EncodeToString(b)
}

// Subscribe implements site.Signup.
func (b *subscriptions) Subscribe(ctx context.Context, via, address string) (hookSecret string, err error) {
	x := statuspage.Subscriber{ID: newID() + newID(), Via: via}
	switch {
	case !b.takes(via):
		return "", fmt.Errorf("%w: subscribing by %s is not offered here", statuspage.ErrAddress, via)
	case via == statuspage.ByEmail:
		x.Address, err = statuspage.ReadEmail(address)
	default:
		if x.Address, err = statuspage.ReadWebhook(address, b.o.AllowPrivate); err == nil {
			err = b.lookUp(ctx, x.Address)
		}
		raw := make([]byte, 24)
		_, _ = rand.Read(raw) // never fails, crypto/rand
		x.Secret = "whsec_" + base64.StdEncoding.EncodeToString(raw)
	}
	if err != nil {
		return "", err
	}
	return x.Secret, b.store.AskSubscriber(ctx, x, time.Now())
}

func (b *subscriptions) takes(via string) bool {
	for _, w := range b.o.Page.Ways {
		if w == via {
			return true
		}
	}
	return false
}

// lookUp refuses an endpoint whose name leads into a network of ours now; it is
// asked again at each connection.
func (b *subscriptions) lookUp(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || b.o.AllowPrivate {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpWithin)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return fmt.Errorf("%w: its host cannot be found", statuspage.ErrAddress)
	}
	for _, a := range all {
		if !statuspage.PublicAddress(a) {
			return fmt.Errorf("%w: its host is not on the public internet", statuspage.ErrAddress)
		}
	}
	return nil
}

// Check implements site.Signup.
func (b *subscriptions) Check(p statuspage.Purpose, token string) error {
	_, err := statuspage.ReadLink(token, p, b.key, time.Now())
	return err
}

// Confirm implements site.Signup.
func (b *subscriptions) Confirm(ctx context.Context, token string) error {
	now := time.Now()
	l, err := statuspage.ReadLink(token, statuspage.ToConfirm, b.key, now)
	if err != nil {
		return err
	}
	ok, err := b.store.ConfirmSubscriber(ctx, l.Subscriber, now)
	if err == nil && !ok {
		err = statuspage.ErrLinkInvalid
	}
	return err
}

// Unsubscribe implements site.Signup. Who is gone already is gone.
func (b *subscriptions) Unsubscribe(ctx context.Context, token string) error {
	l, err := statuspage.ReadLink(token, statuspage.ToUnsubscribe, b.key, time.Now())
	if err != nil {
		return err
	}
	_, err = b.store.RemoveSubscriber(ctx, l.Subscriber)
	return err
}
