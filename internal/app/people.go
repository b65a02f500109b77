package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/server/web"
)

// What commands show of access.
type (
	Account     = access.Account
	AccessRole  = access.Role
	AccessPass  = access.Pass
	AccessToken = access.NewToken
)

// MadeToken is a token with its secret, which is shown once.
type MadeToken struct {
	AccessPass
	Secret string `json:"secret"`
}

// SetupLink is a link that is good once.
type SetupLink struct {
	Account string    `json:"account"` // empty for the first
	Link    string    `json:"link"`
	Until   time.Time `json:"until"`
}

// withRegister runs f over the accounts in the state, whether or not a server
// runs: what is changed counts from the next request on. Whoever can write the
// state may give access.
func (a *App) withRegister(ctx context.Context, by string, f func(*access.Register, access.Principal) error) (err error) {
	if by, err = actor(by); err != nil {
		return err
	}
	s, err := storeAt(a.cfg, "", "")(ctx, false)
	if err != nil {
		return fmt.Errorf("open the server's state: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(access.NewRegister(s, a.accessRules(), a.log), access.Principal{Kind: access.Local, Name: by, Everywhere: access.Admin})
}

// parseRoles reads "viewer" for every team, and "db=responder" for one.
func parseRoles(words []string) (everywhere access.Role, teams map[string]access.Role, err error) {
	for _, w := range words {
		team, role, of := strings.Cut(w, "=")
		if !of {
			role = w
		}
		switch {
		case !slices.Contains(access.Roles(), access.Role(role)) && role != "none":
			return "", nil, fmt.Errorf("%w: %q is no role: write viewer, responder or admin for every team, or TEAM=ROLE for one, or none", ErrUsage, w)
		case role == "none":
		case !of && everywhere != "":
			return "", nil, fmt.Errorf("%w: two roles for every team", ErrUsage)
		case !of:
			everywhere = access.Role(role)
		default:
			if teams == nil {
				teams = map[string]access.Role{}
			}
			teams[team] = access.Role(role)
		}
	}
	return everywhere, teams, nil
}

// NewAccount is an account to be added.
type NewAccount struct {
	Name     string
	Roles    []string // as parseRoles has them
	Password string   // empty for none yet
	Provider bool     // it signs in through the identity provider
	By       string
}

// AddAccount adds an account, or opens one that is there to the identity provider.
func (a *App) AddAccount(ctx context.Context, n NewAccount) (out Account, err error) {
	everywhere, teams, err := parseRoles(n.Roles)
	if err != nil {
		return out, err
	}
	err = a.withRegister(ctx, n.By, func(g *access.Register, who access.Principal) error {
		out, err = g.Add(ctx, who, access.Account{Name: n.Name, Everywhere: everywhere, Teams: teams, Provider: n.Provider}, n.Password, time.Now())
		return err
	})
	return out, err
}

// Accounts lists who may sign in.
func (a *App) Accounts(ctx context.Context) (out []Account, err error) {
	err = a.withRegister(ctx, "", func(g *access.Register, who access.Principal) error {
		out, err = g.Accounts(ctx, who)
		return err
	})
	return orEmpty(out), err
}

// SetRoles gives an account its roles, in place of those that it has.
func (a *App) SetRoles(ctx context.Context, name string, roles []string, by string) (out Account, err error) {
	everywhere, teams, err := parseRoles(roles)
	if err != nil {
		return out, err
	}
	err = a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		out, err = g.SetRoles(ctx, who, name, everywhere, teams, time.Now())
		return err
	})
	return out, err
}

// DisableAccount disables an account, or enables it again.
func (a *App) DisableAccount(ctx context.Context, name string, disabled bool, by string) (out Account, err error) {
	err = a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		out, err = g.SetDisabled(ctx, who, name, disabled, time.Now())
		return err
	})
	return out, err
}

// SetPassword sets an account's password and ends its sessions.
func (a *App) SetPassword(ctx context.Context, name, password, by string) error {
	return a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		return g.SetPassword(ctx, who, name, password, time.Now())
	})
}

// MakeSetupLink makes a link by which the first account is made, or with a name
// one by which that account's password is set.
func (a *App) MakeSetupLink(ctx context.Context, name, by string) (out SetupLink, err error) {
	err = a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		now, lasts := time.Now(), access.FirstLinkLasts
		var secret string
		if name == "" {
			secret, err = g.FirstLink(ctx, who.Name, now)
		} else {
			lasts = access.LinkLasts
			secret, err = g.Invite(ctx, who, name, now)
		}
		out = SetupLink{Account: name, Link: a.reached() + web.SetupPath + secret, Until: now.Add(lasts).UTC().Truncate(time.Second)}
		return err
	})
	if err != nil {
		return SetupLink{}, err
	}
	return out, nil
}

// reached is how people reach the server of this configuration.
func (a *App) reached() string {
	s := a.cfg.Server
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	scheme := "http://"
	if s.TLS.CertFile != "" || len(s.ACME.Domains) > 0 {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}

// MakeToken makes an API token.
func (a *App) MakeToken(ctx context.Context, n AccessToken, by string) (out MadeToken, err error) {
	err = a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		out.AccessPass, out.Secret, err = g.MakeToken(ctx, who, n, time.Now())
		return err
	})
	return out, err
}

// Tokens lists API tokens, of one account or of all.
func (a *App) Tokens(ctx context.Context, account string) (out []AccessPass, err error) {
	err = a.withRegister(ctx, "", func(g *access.Register, who access.Principal) error {
		out, err = g.Passes(ctx, who, access.Token, account, time.Now())
		return err
	})
	return orEmpty(out), err
}

// RevokeToken ends an API token.
func (a *App) RevokeToken(ctx context.Context, id, by string) error {
	return a.withRegister(ctx, by, func(g *access.Register, who access.Principal) error {
		return g.Revoke(ctx, who, access.Token, id, time.Now())
	})
}
