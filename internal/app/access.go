package app

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/access/oidc"
	"github.com/refloat-db/refloat/internal/server"
	"github.com/refloat-db/refloat/internal/server/web"
)

// Front is how people and programs come in through the listener.
type Front struct {
	Rules       access.Rules
	TLS         func() (*tls.Config, error) // nil for not speaking TLS
	BehindProxy bool
	Proxies     []netip.Prefix // that are believed
	Provider    web.Provider   // nil for none
	Label       string         // of it
	People      []string       // of the configuration
}

const tidyEvery = time.Minute // what is over is removed

// front is what the configuration says of it.
func (a *App) front() (Front, error) {
	s := a.cfg.Server
	f := Front{
		Rules: a.accessRules(), BehindProxy: s.BehindProxy, Proxies: s.Proxies(), People: slices.Sorted(maps.Keys(a.cfg.People)),
	}
	switch {
	case s.TLS.CertFile != "":
		f.TLS = func() (*tls.Config, error) { return server.TLSFromFiles(s.TLS.CertFile, s.TLS.KeyFile, a.log) }
	case len(s.ACME.Domains) > 0:
		f.TLS = func() (*tls.Config, error) {
			return server.TLSFromACME(server.ACMEOptions{
				Domains: s.ACME.Domains, Email: s.ACME.Email, Directory: s.ACME.DirectoryURL, RootCA: s.ACME.RootCAFile, Cache: filepath.Join(a.cfg.StateDir, "acme"),
			})
		}
	}
	return f, a.provider(&f)
}

// provider joins the identity provider, if there is one.
func (a *App) provider(f *Front) error {
	c := a.cfg.Server.Access.OIDC
	if c.Issuer == "" {
		return nil
	}
	o := oidc.Options{
		Issuer: c.Issuer, ClientID: c.ClientID, Secret: c.ClientSecret, RootCA: c.RootCAFile, Redirect: strings.TrimSuffix(a.cfg.Server.PublicURL, "/") + web.CallbackPath,
		Scopes: c.Scopes, Name: c.NameClaim, Groups: c.GroupsClaim, Create: c.Create,
	}
	for _, r := range c.Roles {
		o.Grants = append(o.Grants, oidc.Grant{Group: r.Group, Role: access.Role(r.Role), Team: r.Team})
	}
	p, err := oidc.New(o)
	if err != nil {
		return err
	}
	if f.Label = c.Label; f.Label == "" {
		f.Label = publicHost(c.Issuer)
	}
	f.Provider = p
	return nil
}

func (a *App) accessRules() access.Rules {
	s := a.cfg.Server.Access
	return access.Rules{Idle: s.Session.Idle.Std(), Absolute: s.Session.Absolute.Std(), Password: s.Password, Teams: slices.Sorted(maps.Keys(a.cfg.Teams))}
}

// openFront makes the gate and what is behind it.
func (n *node) openFront(ctx context.Context, o *server.Options) error {
	f := n.o.Front
	if f.TLS != nil {
		var err error
		if o.TLS, err = f.TLS(); err != nil {
			return err
		}
	}
	o.BehindProxy = f.BehindProxy
	register := access.NewRegister(n.state, f.Rules, n.log)
	site := web.New(n.desk, web.Options{
		Version: n.o.Version, Logger: n.log, SignOut: web.SignOutPath,
		Access: &web.Access{Register: register, Provider: f.Provider, Label: f.Label, People: f.People, Link: n.address},
	})
	o.Gate = server.NewGate(server.GateOptions{Register: register, PublicURL: n.o.PublicURL, TLS: o.TLS != nil, Proxies: f.Proxies, Logger: n.log, Refused: site.Refused()})
	o.Routes = append(slices.Concat(site.Routes(), n.programRoutes()), server.Route{Pattern: "GET /", Need: access.Nobody, Handler: site.NotFound()})
	n.register = register
	return nil
}

// address is where people reach a path of the listener.
func (n *node) address(path string) string {
	if n.o.PublicURL != "" {
		return strings.TrimSuffix(n.o.PublicURL, "/") + path
	}
	scheme := "http://"
	if n.o.Front.TLS != nil {
		scheme = "https://"
	}
	return scheme + n.http.Address() + path
}

// openAccess tells how the first account is made while there is none, and tidies
// up until the node stops.
func (n *node) openAccess(ctx context.Context) error {
	if n.o.Front.Rules.Password {
		switch secret, err := n.register.FirstLink(ctx, "server", time.Now()); {
		case err == nil:
			n.log.Warn("nobody has an account yet: whoever opens this link within an hour makes the first, which is admin", "link", n.address(web.SetupPath+secret))
		case !errors.Is(err, access.ErrTaken):
			return err
		}
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		every(ctx, tidyEvery, func(ctx context.Context) {
			if err := n.register.Tidy(ctx, time.Now()); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "remove sessions and tokens that are over", "error", err)
			}
		})
	}()
	n.later(func(context.Context) error {
		end()
		<-done
		return nil
	})
	return nil
}
