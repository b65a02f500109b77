package config

import (
	"strings"
	"testing"
)

func TestChat(t *testing.T) {
	const base = "version: 1\nrepository: {url: \"file:///r\", passphrase_env: PASS}\npeople: {ada: {contacts: [{via: email, to: ada@example.org}]}}\nemail: {host: mail.example.org, from: refloat@example.org}\nteams: {db: {members: [ada]}}\n"
	more := func(k string) (string, bool) {
		switch k {
		case "SIGNING":
			return "a-signing-secret-of-some-length", true
		case "SHORT":
			return "short", true
		case "ROOM":
			return "https://chat.example.org/hook", true
		}
		return env(k)
	}
	c, err := Parse("refloat.yaml", []byte(base+"chat:\n  slash: [{name: ops, secret_env: SIGNING, people: {U1: ada}}]\n  mirror: [{name: ops, teams: [db], contacts: [{via: webhook, url_env: ROOM}]}]\n"), more)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Chat.Mirror[0]
	if m.Least != "sev4" || m.Rooms[0].ID != "mirror.ops.webhook" || c.Contacts()["mirror.ops.webhook"].URL.Reveal() == "" || c.Chat.Slash[0].Secret.Reveal() == "" {
		t.Errorf("%+v", c.Chat)
	}
	for text, want := range map[string]string{
		"slash: [{name: ops}]":                                                          "needs secret_file",
		"slash: [{name: ops, secret_env: SHORT}]":                                       "could be guessed",
		"slash: [{name: Ops, secret_env: SIGNING}]":                                     "needs a name",
		"slash: [{name: ops, secret_env: SIGNING, people: {U1: zoe}}]":                  "no person",
		"slash: [{name: a, secret_env: SIGNING}, {name: a, secret_env: SIGNING}]":       "two of the name",
		"mirror: [{name: ops}]":                                                         "needs contacts",
		"mirror: [{name: ops, teams: [x], contacts: [{via: webhook, url_env: ROOM}]}]":  "no team",
		"mirror: [{name: ops, least: sev7, contacts: [{via: webhook, url_env: ROOM}]}]": "least wants",
		"mirror: [{name: ops, contacts: [{via: email, to: x@example.org}]}]":            "via chat or webhook",
	} {
		if _, err := Parse("refloat.yaml", []byte(base+"chat: {"+text+"}\n"), more); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
