package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/access"
	"github.com/refloat-db/refloat/internal/alert"
	"github.com/refloat-db/refloat/internal/secret"
)

// TLS is a certificate in files.
type TLS struct {
	CertFile string `yaml:"cert_file" jsonschema_description:"Certificate with its chain, PEM. What is renewed there is used without a restart."`
	KeyFile  string `yaml:"key_file" jsonschema_description:"Its key, PEM; others must not be able to read it."`
}

// ACME asks for certificates by itself.
type ACME struct {
	Domains      []string `yaml:"domains" jsonschema_description:"Names for which certificates are asked; the listener must be reached at port 443 of each."`
	Email        string   `yaml:"email" jsonschema_description:"Who is told of trouble with a certificate."`
	DirectoryURL string   `yaml:"directory_url" jsonschema_description:"Who gives certificates. Default: Let's Encrypt."`
	RootCAFile   string   `yaml:"root_ca_file" jsonschema_description:"Certificates that the directory's own is checked against; none for the system's."`
}

// Access says how people sign in.
type Access struct {
	Password bool    `yaml:"password" jsonschema_description:"People may sign in with a password. Default: true."`
	Session  Session `yaml:"session" jsonschema_description:"How long somebody stays signed in."`
	OIDC     OIDC    `yaml:"oidc" jsonschema_description:"An identity provider (OpenID Connect) through which people sign in."`
}

// Session says when a session ends.
type Session struct {
	Idle     Duration `yaml:"idle" jsonschema_description:"One that is not used ends after. Default: 12h."`
	Absolute Duration `yaml:"absolute" jsonschema_description:"And each ends after. Default: 7d."`
}

// OIDC is an identity provider.
type OIDC struct {
	Issuer           string     `yaml:"issuer" jsonschema_description:"Its address, as it calls itself, like https://id.example.org/realms/main; http only on this machine."`
	ClientID         string     `yaml:"client_id" jsonschema_description:"What it knows this server by. Its redirect address is server.public_url with /sign-in/oidc/callback."`
	ClientSecretFile string     `yaml:"client_secret_file" jsonschema_description:"File that holds the client's secret; none for a public client, which PKCE protects alone."`
	ClientSecretEnv  string     `yaml:"client_secret_env" jsonschema_description:"Environment variable that holds the client's secret."`
	RootCAFile       string     `yaml:"root_ca_file" jsonschema_description:"Certificates that its own is checked against; none for the system's."`
	Label            string     `yaml:"label" jsonschema_description:"What the page of sign-in calls it. Default: the issuer's host."`
	Scopes           []string   `yaml:"scopes" jsonschema_description:"Asked for beside openid. Default: profile, email."`
	NameClaim        string     `yaml:"name_claim" jsonschema_description:"The claim that names the account; of an address what is before the @. Default: preferred_username."`
	GroupsClaim      string     `yaml:"groups_claim" jsonschema_description:"The claim that lists groups. Default: groups."`
	Create           bool       `yaml:"create" jsonschema_description:"Make an account at the first sign-in of who has a role by their groups. Default: false."`
	Roles            []OIDCRole `yaml:"roles" jsonschema_description:"Roles by group, given anew at each sign-in; none for roles that are given here."`

	ClientSecret secret.Value `yaml:"-"`
}

// OIDCRole gives those in a group a role.
type OIDCRole struct {
	Group string `yaml:"group" jsonschema:"required" jsonschema_description:"As the provider names it."`
	Role  string `yaml:"role" jsonschema:"required,enum=viewer,enum=responder,enum=admin" jsonschema_description:"What they may."`
	Team  string `yaml:"team" jsonschema_description:"For this team; none for every team."`
}

func defaultAccess() Access {
	return Access{Password: true, Session: Session{Idle: Duration(12 * time.Hour), Absolute: Duration(7 * 24 * time.Hour)}}
}

// Proxies are the trusted ones, read and checked.
func (s Server) Proxies() []netip.Prefix {
	var out []netip.Prefix
	for _, t := range s.TrustedProxies {
		if p, err := parsePrefix(t); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (l *loader) access(c *Config) {
	s := &c.Server
	l.listener(s)
	a := &s.Access
	switch {
	case a.Session.Idle < Duration(time.Minute):
		l.fail("$.server.access.session.idle", "session.idle wants at least 1m")
	case a.Session.Absolute < a.Session.Idle:
		l.fail("$.server.access.session.absolute", "session.absolute is shorter than session.idle")
	case a.Session.Absolute > Duration(90*24*time.Hour):
		l.fail("$.server.access.session.absolute", "session.absolute wants at most 90d")
	}
	if !a.Password && a.OIDC.Issuer == "" {
		l.fail("$.server.access.password", "server.access.password: false needs server.access.oidc: nobody could sign in")
	}
	l.oidc(c)
}

// listener checks how the listener is reached.
func (l *loader) listener(s *Server) {
	ways := 0
	if s.TLS != (TLS{}) {
		ways++
		if s.TLS.CertFile == "" || s.TLS.KeyFile == "" {
			l.fail("$.server.tls", "server.tls needs cert_file and key_file")
		}
		l.place(&s.TLS.CertFile)
		l.secretFile("$.server.tls.key_file", &s.TLS.KeyFile)
	}
	if len(s.ACME.Domains) > 0 || s.ACME.Email != "" || s.ACME.DirectoryURL != "" || s.ACME.RootCAFile != "" {
		ways++
		l.acme(&s.ACME)
	}
	if s.BehindProxy {
		ways++
		if len(s.TrustedProxies) == 0 {
			l.fail("$.server.behind_proxy", "server.behind_proxy needs server.trusted_proxies: the addresses that are believed when they say whom they ask for")
		}
	} else if len(s.TrustedProxies) > 0 {
		l.fail("$.server.trusted_proxies", "server.trusted_proxies goes with server.behind_proxy: true")
	}
	for i, p := range s.TrustedProxies {
		if x, err := parsePrefix(p); err != nil || x.Bits() == 0 {
			l.fail(fmt.Sprintf("$.server.trusted_proxies[%d]", i), "%q is no address or network of a proxy, like 10.0.0.7 or 10.0.0.0/24", p)
		}
	}
	host, _, err := net.SplitHostPort(s.Listen)
	switch {
	case ways > 1:
		l.fail("$.server", "give one of server.tls, server.acme and server.behind_proxy")
	case s.Listen != "off" && err == nil && s.Remote && !alert.OnThisMachine(host) && ways == 0:
		l.fail("$.server.remote", "server.remote needs server.tls, server.acme or server.behind_proxy: passwords would be sent in the open")
	}
}

func (l *loader) acme(a *ACME) {
	if len(a.Domains) == 0 {
		l.fail("$.server.acme", "server.acme.domains is missing: say for which names certificates are asked")
	}
	for i, d := range a.Domains {
		if strings.ContainsAny(d, ":/* ") || !strings.Contains(d, ".") && d != "localhost" {
			l.fail(fmt.Sprintf("$.server.acme.domains[%d]", i), "%q is no name of a host, like refloat.example.org", d)
		}
	}
	if a.DirectoryURL != "" && !httpsURL(a.DirectoryURL) {
		l.fail("$.server.acme.directory_url", "server.acme.directory_url wants the form https://acme.example.org/directory")
	}
	l.place(&a.RootCAFile)
	if a.RootCAFile != "" && a.DirectoryURL == "" {
		l.fail("$.server.acme.root_ca_file", "server.acme.root_ca_file goes with server.acme.directory_url")
	}
}

// httpsURL reports whether it is an https address, or http on this machine.
func httpsURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && (u.Scheme == "https" || u.Scheme == "http" && alert.OnThisMachine(u.Hostname()))
}

func (l *loader) oidc(c *Config) {
	o, at := &c.Server.Access.OIDC, "$.server.access.oidc"
	o.ClientSecret = l.either(at, "client_secret", &o.ClientSecretFile, o.ClientSecretEnv)
	if o.Issuer == "" {
		if o.ClientID != "" || len(o.Roles) > 0 || o.ClientSecretFile != "" || o.ClientSecretEnv != "" || o.Create {
			l.fail(at, "server.access.oidc.issuer is missing")
		}
		return
	}
	l.place(&o.RootCAFile)
	switch {
	case !httpsURL(o.Issuer):
		l.fail(at+".issuer", "oidc.issuer wants the form https://id.example.org; http only to this machine")
	case o.ClientID == "":
		l.fail(at, "oidc.client_id is missing")
	case c.Server.PublicURL == "":
		l.fail(at, "oidc needs server.public_url: the provider sends people back there")
	case o.Create && len(o.Roles) == 0:
		l.fail(at+".create", "oidc.create needs oidc.roles: an account that is made by itself has no role otherwise")
	}
	if o.NameClaim == "" {
		o.NameClaim = "preferred_username"
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	for i, r := range o.Roles {
		at := fmt.Sprintf("%s.roles[%d]", at, i)
		if r.Group == "" {
			l.fail(at, "a role needs the group that has it")
		}
		if !slices.Contains(access.Roles(), access.Role(r.Role)) {
			l.fail(at+".role", "role wants viewer, responder or admin, not %q", r.Role)
		}
		if r.Team != "" {
			known(l, at+".team", "team", r.Team, c.Roster.Teams)
		}
	}
}
