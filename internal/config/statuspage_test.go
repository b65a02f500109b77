package config

import (
	"strings"
	"testing"
)

func TestStatusPage(t *testing.T) {
	const head = "version: 1\nrepository: {url: file:///x, passphrase_env: PASS}\ntargets: {shop: {dsn: postgres://r@h/postgres}}\nstatus_page:\n"
	const services = "  services: [{name: Shop, targets: [shop]}]\n"
	env := func(string) (string, bool) { return "correct-horse", true }
	c, err := Parse("refloat.yaml", []byte(head+services+"  zone: Europe/Berlin\n  listen: \"off\"\n  publish: [file:///srv/status, s3://b/p]\n"), env)
	if err != nil || !c.StatusPage.Enabled() || c.StatusPage.Title != "Status" || c.StatusPage.Place.String() != "Europe/Berlin" || c.StatusPage.Automatic || c.StatusPage.Listen != "" {
		t.Errorf("%+v %v", c.StatusPage, err)
	}
	if c, err := Parse("refloat.yaml", []byte(strings.TrimSuffix(head, "status_page:\n")), env); err != nil || c.StatusPage.Enabled() {
		t.Errorf("without the section: %+v %v", c.StatusPage, err)
	}
	for text, want := range map[string]string{
		"  services: [{name: Shop, targets: [shpo]}]\n":                                 "refloat.yaml:5:",
		"  services: [{name: Shop}]\n":                                                  "name and targets",
		"  services: [{name: A, targets: [shop]}, {name: A, targets: [shop]}]\n":        "two services",
		"  listen: 127.0.0.1:1\n":                                                       "needs services",
		services + "  listen: nowhere\n":                                                "host:port",
		services + "  tls: {cert_file: x}\n":                                            "both cert_file and key_file",
		services + "  url: ftp://x\n":                                                   "https://status.example.org",
		services + "  zone: Nowhere/Town\n":                                             "Nowhere/Town",
		services + "  publish: [/srv/www]\n":                                            "file:///srv/www/status",
		services + "  publish: [gs://b]\n":                                              "s3://bucket/prefix",
		services + "  subscribe: [email]\n":                                             "status_page.url",
		services + "  subscribe: [pigeon]\n  url: https://x\n  listen: 127.0.0.1:1\n":   "email or webhook",
		services + "  subscribe: [email]\n  url: https://x\n  listen: 127.0.0.1:1\n":    "email.host",
		services + "  subscribe: [webhook, webhook]\n  url: https://x\n  listen: a:1\n": "there twice",
	} {
		if _, err := Parse("refloat.yaml", []byte(head+text), env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
