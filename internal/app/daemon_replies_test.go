package app

import (
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/alert"
)

// Who answers a page by mail has acknowledged it, in their own name.
func TestAnAnswerByMailAcknowledges(t *testing.T) {
	phone := &phones{}
	r := roster()
	ada := r.People["ada"]
	ada.Contacts = []alert.Contact{{ID: "ada.pager", Via: alert.Email, Address: "ada@example.org"}}
	r.People["ada"] = ada
	d, err := NewDaemon(DaemonOptions{
		StateDir: t.TempDir(), Listen: "off", Version: "test", StopTimeout: 20 * time.Second,
		Paging: PagerOptions{Roster: r, Sender: phone}, Replies: Replies{Address: "refloat@page.example.org", Listen: "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, d) })
	d.running.pager.Signal(t.Context(), down(time.Now()))
	var m alert.Message
	eventually(t, "a page", func() (paged bool) { m, paged = phone.first("outage/shop"); return paged })
	if !strings.HasPrefix(m.ReplyTo, "refloat+") {
		t.Fatalf("no address to answer to: %+v", m)
	}
	if err := smtp.SendMail(d.running.inbox.Address(), nil, "ada@example.org", []string{m.ReplyTo}, []byte("Subject: Re: "+m.Subject+"\r\n\r\nack\r\n")); err != nil {
		t.Fatal(err)
	}
	a, err := d.running.pager.find(m.Alert.ID)
	if err != nil || a.AcknowledgedBy != "ada" {
		t.Fatalf("%+v %v", a, err)
	}
	d.running.pager.End(t.Context(), "shop", "outage", "*", time.Now())
	if err := smtp.SendMail(d.running.inbox.Address(), nil, "ada@example.org", []string{m.ReplyTo}, []byte("Subject: Re: "+m.Subject+"\r\n\r\nack\r\n")); err == nil || !strings.Contains(err.Error(), "not open any more") {
		t.Errorf("of an alert that has ended: %v", err)
	}
}
