package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"
)

// Replies say where answers to pages arrive.
type Replies struct {
	// Address is ours, like refloat@page.example.org; answers go to
	// refloat+TOKEN@page.example.org.
	Address string
	Listen  string // host:port on this machine, to which the mail server hands them
	// Known says whether a token is good; Acknowledge does what it is for. Its
	// error is told to who answered.
	Known       func(token string) bool
	Acknowledge func(ctx context.Context, token string) error
	Logger      *slog.Logger
}

// For is the address that answers to a token.
func (r Replies) For(token string) string {
	name, domain, _ := strings.Cut(r.Address, "@")
	return name + "+" + token + "@" + domain
}

// maxAtOnce bounds connections: it is a mail server that comes, not people.
const maxAtOnce = 16

// token is what an address of ours carries; false for any other. Case does not
// matter: mail servers change it.
func (r Replies) token(address string) (string, bool) {
	name, domain, _ := strings.Cut(strings.ToLower(r.Address), "@")
	local, at, ok := strings.Cut(strings.ToLower(strings.Trim(address, "<> ")), "@")
	if !ok || at != domain {
		return "", false
	}
	return strings.CutPrefix(local, name+"+")
}

// Inbox is a mail server (RFC 5321) that takes answers to pages and nothing else.
// Make it with Open.
type Inbox struct {
	r      Replies
	server *smtp.Server
	l      net.Listener
	done   chan struct{}
}

// Open listens until Close.
func Open(ctx context.Context, r Replies) (*Inbox, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", r.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for answers to pages on %s: %w", r.Listen, err)
	}
	i := &Inbox{r: r, l: l, done: make(chan struct{})}
	s := smtp.NewServer(i)
	_, s.Domain, _ = strings.Cut(r.Address, "@")
	s.ReadTimeout, s.WriteTimeout = 30*time.Second, 30*time.Second
	s.MaxMessageBytes, s.MaxRecipients = maxMail, 10
	s.ErrorLog = slog.NewLogLogger(r.Logger.Handler(), slog.LevelWarn)
	i.server = s
	go func() {
		defer close(i.done)
		if err := s.Serve(netutil.LimitListener(l, maxAtOnce)); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			r.Logger.Error("listen for answers to pages", "error", err)
		}
	}()
	return i, nil
}

// Address is where the inbox listens.
func (i *Inbox) Address() string { return i.l.Addr().String() }

// Close ends it, at most at the end of ctx gracefully.
func (i *Inbox) Close(ctx context.Context) error {
	err := i.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, i.server.Close())
	}
	<-i.done
	return err
}

// NewSession implements smtp.Backend.
func (i *Inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &answering{i: i}, nil }

// answering is one mail on its way in.
type answering struct {
	i      *Inbox
	from   string
	tokens []string
}

func (s *answering) Reset()        { s.from, s.tokens = "", nil }
func (s *answering) Logout() error { return nil }

func (s *answering) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *answering) Rcpt(to string, _ *smtp.RcptOptions) error {
	token, ours := s.i.r.token(to)
	if !ours || !s.i.r.Known(token) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here takes mail at this address"}
	}
	s.tokens = append(s.tokens, token)
	return nil
}

func (s *answering) Data(r io.Reader) error {
	reply, err := ReadReply(r)
	log := s.i.r.Logger.With("from", s.from)
	switch {
	case err != nil:
		return refuse("this mail cannot be read, and nothing was acknowledged")
	case reply.Automatic && reply.Wanted && !reply.Notice && s.from != "":
		return refuse("this mail is marked as automatic (a list, bulk mail), and nothing was acknowledged: answer the page itself")
	case reply.Automatic || s.from == "": // nobody reads an answer to it
		log.Info("an automatic answer to a page acknowledges nothing")
		return nil
	case !reply.Acknowledges:
		return refuse("nothing was acknowledged: begin your answer with the word ack")
	}
	for _, token := range s.tokens {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := s.i.r.Acknowledge(ctx, token)
		cancel()
		if err != nil {
			log.Warn("an answer to a page acknowledges nothing", "error", err)
			return refuse(err.Error())
		}
	}
	return nil
}

// refuse makes the mail server of who answered tell them why.
func refuse(why string) error {
	return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: strings.Join(strings.Fields(why), " ")}
}
