package config

import (
	"strings"
	"testing"
)

func TestEmailMistakes(t *testing.T) {
	for change, want := range map[string]string{
		"":                                "email.host is missing",
		"email: {host: mail.example.org}": "email.from is missing",
		"email: {host: mail.example.org, from: a@b.example, tls: plaintext}":                                                   "plaintext is for this machine only",
		"email: {host: mail.example.org, from: a@b.example, tls: ssl}":                                                         "wants starttls",
		"email: {host: mail.example.org, from: a@b.example, username: x}":                                                      "needs password_file",
		"email: {host: mail.example.org, from: a@b.example, pasword_file: x}":                                                  "pasword_file",
		"email: {host: mail.example.org, from: a@b.example, username: x, password_env: PASS}":                                  "",
		"email: {host: mail.example.org, from: a@b.example, replies: {listen: '127.0.0.1:2525'}}":                              "email.replies.address wants",
		"email: {host: mail.example.org, from: a@b.example, replies: {address: a-name-that-is-too-long@page.example.org}}":     "at most 16 characters",
		"email: {host: mail.example.org, from: a@b.example, replies: {address: refloat@page.example.org, listen: ':25'}}":      "an address of this machine",
		"email: {host: mail.example.org, from: a@b.example, password_env: PASS, replies: {address: refloat@page.example.org}}": "",
	} {
		text := withOnCall[:strings.Index(withOnCall, "email: {host")] + change + "\n"
		c, err := Parse("refloat.yaml", []byte(text), env)
		if want == "" {
			if err != nil || c.Email.Password.IsZero() {
				t.Errorf("%s: %v", change, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", change, err, want)
		}
	}
}
