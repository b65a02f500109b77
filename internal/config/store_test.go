package config

import (
	"strings"
	"testing"
)

func TestStore(t *testing.T) {
	env := func(key string) (string, bool) { return "secret", key == "PW" || key == "PASS" }
	read := func(text string) (Config, error) {
		return Parse("/etc/refloat/refloat.yaml", []byte("version: 1\nrepository: {url: file:///r, passphrase_env: PASS}\ntargets: {shop: {dsn: postgres://r@db.example.org/shop}}\n"+text), env)
	}
	c, err := read("store: {url: postgres://refloat@state.example.org/refloat, password_env: PW, node: ams-1}\n")
	if err != nil || c.Store.Node != "ams-1" || c.Store.Password.Reveal() != "secret" {
		t.Fatalf("%+v %v", c.Store, err)
	}
	if c, err := read("store: {url: postgresql://refloat@state.example.org/refloat}\n"); err != nil || c.Store.Node == "" {
		t.Errorf("without a name: %+v %v", c.Store, err)
	}
	if c, err := read(""); err != nil || c.Store != (Store{}) {
		t.Errorf("without a store: %+v %v", c.Store, err)
	}
	for text, want := range map[string]string{
		"store: {url: mysql://a@b/c}\n":                          "wants the form",
		"store: {url: postgres://a:hunter2@b/c}\n":               "holds a password",
		"store: {url: postgres://a@b/c?password=hunter2}\n":      "holds a password",
		"store: {node: ams-1}\n":                                 "store.url is missing",
		"store: {url: postgres://a@b/c, node: AMS_1}\n":          "store.node wants",
		"store: {url: postgres://a@DB.example.org:5432/other}\n": "server of target shop",
	} {
		_, err := read(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s%v", text, err)
		}
	}
}
