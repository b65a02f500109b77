package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const withAccess = good + `teams:
  db: {members: [ada]}
people:
  ada: {contacts: [{via: email, to: ada@example.org}]}
email: {host: localhost, from: refloat@example.org, tls: plaintext}
server:
  listen: 0.0.0.0:443
  remote: true
  public_url: https://refloat.example.org
  behind_proxy: true
  trusted_proxies: [10.0.0.7, "fd00::/8"]
  access:
    session: {idle: 2h, absolute: 24h}
    oidc:
      issuer: https://id.example.org/realms/main
      client_id: refloat
      client_secret_env: PASS
      create: true
      roles: [{group: dba, role: admin}, {group: dev, role: viewer, team: db}]
`

func TestAccessIsRead(t *testing.T) {
	c, err := Parse("refloat.yaml", []byte(withAccess), env)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Server.Access
	if !a.Password || a.Session.Idle != Duration(2*time.Hour) || a.OIDC.ClientSecret.Reveal() != "s3cret-words" || a.OIDC.NameClaim != "preferred_username" || a.OIDC.GroupsClaim != "groups" || len(a.OIDC.Roles) != 2 {
		t.Errorf("%+v", a)
	}
	if p := c.Server.Proxies(); len(p) != 2 || p[0].String() != "10.0.0.7/32" || p[1].String() != "fd00::/8" {
		t.Errorf("%v", p)
	}
	c, err = Parse("refloat.yaml", []byte(good), env)
	if a := c.Server.Access; err != nil || !a.Password || a.Session.Idle != Duration(12*time.Hour) || a.Session.Absolute != Duration(7*24*time.Hour) {
		t.Errorf("a file that says nothing: %+v %v", a, err)
	}
}

func TestMistakesInAccess(t *testing.T) {
	for _, x := range []struct{ old, new, want string }{
		{"  behind_proxy: true\n  trusted_proxies: [10.0.0.7, \"fd00::/8\"]\n", "", "server.remote needs server.tls, server.acme or server.behind_proxy"},
		{"behind_proxy: true", "behind_proxy: false", "trusted_proxies goes with server.behind_proxy"},
		{"[10.0.0.7, \"fd00::/8\"]", "[]", "server.behind_proxy needs server.trusted_proxies"},
		{"10.0.0.7", "0.0.0.0/0", `"0.0.0.0/0" is no address or network of a proxy`},
		{"10.0.0.7", "proxy", `"proxy" is no address or network of a proxy`},
		{"behind_proxy: true", "behind_proxy: true\n  acme: {domains: [refloat.example.org]}", "give one of server.tls, server.acme and server.behind_proxy"},
		{"behind_proxy: true", "behind_proxy: true\n  acme: {email: a@example.org}", "server.acme.domains is missing"},
		{"behind_proxy: true", "behind_proxy: true\n  acme: {domains: [\"*.example.org\"]}", "is no name of a host"},
		{"behind_proxy: true", "behind_proxy: true\n  tls: {cert_file: x}", "server.tls needs cert_file and key_file"},
		{"idle: 2h", "idle: 1s", "session.idle wants at least 1m"},
		{"absolute: 24h", "absolute: 1h", "session.absolute is shorter than session.idle"},
		{"absolute: 24h", "absolute: 100d", "session.absolute wants at most 90d"},
		{"issuer: https", "issuer: http", "oidc.issuer wants the form https://"},
		{"client_id: refloat", "label: x", "oidc.client_id is missing"},
		{"      issuer: https://id.example.org/realms/main\n", "", "oidc.issuer is missing"},
		{"  public_url: https://refloat.example.org\n", "", "oidc needs server.public_url"},
		{"role: admin", "role: god", `role wants viewer, responder or admin, not "god"`},
		{"team: db}]", "team: ops}]", "there is no team"},
		{"roles: [{group: dba, role: admin}, {group: dev, role: viewer, team: db}]", "label: x", "oidc.create needs oidc.roles"},
		{"    oidc:\n", "    password: false\n    oidx:\n", `unknown key "oidx"`},
	} {
		if _, err := Parse("refloat.yaml", []byte(strings.Replace(withAccess, x.old, x.new, 1)), env); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s → %s: %v\nwant %s", x.old, x.new, err, x.want)
		}
	}
	if _, err := Parse("refloat.yaml", []byte(good+"server: {access: {password: false}}\n"), env); err == nil || !strings.Contains(err.Error(), "nobody could sign in") {
		t.Errorf("no way in: %v", err)
	}
	// The key of a certificate is a secret.
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse("refloat.yaml", []byte(good+"server: {tls: {cert_file: "+dir+"/cert.pem, key_file: "+key+"}}\n"), env); err == nil || !strings.Contains(err.Error(), "others cannot read") {
		t.Errorf("a key that others can read: %v", err)
	}
}
