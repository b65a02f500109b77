package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/refloat-db/refloat/internal/incident"
	"github.com/refloat-db/refloat/internal/target/targettest"
)

// person is somebody with a browser of their own.
type person struct {
	context.Context
	t    testing.TB
	h    *house
	name string
	n    *int // pictures taken
}

// newPerson opens a browser of their own.
func (h *house) newPerson(t testing.TB, name string, width int64, n *int) *person {
	t.Helper()
	ctx, stop := context.WithTimeout(chromium(t), 3*time.Minute)
	t.Cleanup(stop)
	p := &person{Context: ctx, t: t, h: h, name: name, n: n}
	p.do(emulation.SetDeviceMetricsOverride(width, 900, 1, width < 600))
	return p
}

func (p *person) do(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.shot("failed")
		var at, text string
		_ = chromedp.Run(p, chromedp.Location(&at), chromedp.Evaluate("document.body.innerText", &text))
		p.t.Fatalf("%s: %v at %s\n%s", p.name, err, at, text)
	}
}

func (p *person) goTo(path string) {
	p.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.h.base + path
	}
	p.do(chromedp.Navigate(path))
}

// until waits until an expression holds on the page that is open, or on the one
// that it leads to meanwhile.
func (p *person) until(expression string) time.Time {
	p.t.Helper()
	for deadline := time.Now().Add(25 * time.Second); time.Now().Before(deadline); time.Sleep(40 * time.Millisecond) {
		ok := false
		if err := chromedp.Run(p, chromedp.Evaluate(expression, &ok)); err == nil && ok {
			return time.Now()
		}
	}
	p.shot("failed")
	var at, text string
	_ = chromedp.Run(p, chromedp.Location(&at), chromedp.Evaluate("document.body.innerText", &text))
	p.t.Fatalf("%s: never %s at %s\n%s", p.name, expression, at, text)
	return time.Time{}
}

// sees waits until the page that is open shows some words, without loading it.
func (p *person) sees(words string) time.Time {
	p.t.Helper()
	return p.until(fmt.Sprintf(`document.body.innerText.replace(/\u00a0/g, " ").includes(%q)`, words))
}

// click presses what carries some words, a button or a link, and waits for the
// page that it leads to.
func (p *person) click(words string) {
	p.t.Helper()
	p.press(chromedp.Click(fmt.Sprintf(`//main//*[self::button or self::a][contains(normalize-space(.), %q)]`, words), chromedp.BySearch, chromedp.NodeVisible))
}

func (p *person) press(click chromedp.Action) {
	p.t.Helper()
	p.do(chromedp.Evaluate(`window.pressed = true`, nil), click)
	p.until(`!window.pressed && document.readyState === "complete"`)
}

func (p *person) fill(field, text string) {
	p.t.Helper()
	p.do(chromedp.SetValue(field, text, chromedp.ByQuery))
}

// shot takes a picture of what they see, into the folder REFLOAT_SHOTS.
func (p *person) shot(what string) {
	dir := os.Getenv("REFLOAT_SHOTS")
	if dir == "" {
		return
	}
	*p.n++
	var picture []byte
	ctx, cancel := context.WithTimeout(p, 15*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
		p.t.Logf("picture %s: %v", what, err)
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("journey-%02d-%s-%s.png", *p.n, p.name, what)), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

var ackLink = regexp.MustCompile(`http://[0-9.:]+/ack/[A-Za-z0-9_.~-]+`)

// A real server is killed; the board turns; a page arrives; its link acknowledges;
// two people take roles at once and see each other's acts; clients are told, and
// the status page shows it; the console is killed and comes back; service returns;
// the incident is resolved; and its clocks are right to the second.
func TestJourney(t *testing.T) {
	if testing.Short() {
		t.Skip("a real server, a real browser")
	}
	n := 0
	h := newHouse(t)
	ada, bob, phone := h.newPerson(t, "ada", 1280, &n), h.newPerson(t, "bob", 1280, &n), h.newPerson(t, "phone", 390, &n)
	h.comeIn(ada, bob)

	ada.goTo("/")
	ada.sees("Serving")
	ada.shot("board-before")
	killed := time.Now()
	h.pg.Kill(t)
	turned := ada.sees("Down")
	ada.sees("1 incident")
	ada.shot("board-turned")
	link := h.pagedLink(t, killed)

	phone.goTo(link)
	phone.sees("I take this on")
	phone.shot("link")
	acknowledged := time.Now()
	phone.do(chromedp.Click("form button", chromedp.ByQuery))
	phone.sees("Acknowledged by ada")
	phone.shot("link-acknowledged")

	id := h.incidents()[0].ID
	h.takeRoles(t, ada, bob, id)
	h.writeTogether(t, ada, bob, id)
	h.tellClients(t, ada, phone, id)
	h.loseConsole(t, bob)

	back := h.recover(t, ada, bob, id)
	ada.goTo("/incidents/" + id)
	ada.sees("Service is back")
	noticed := time.Now()
	ada.shot("service-back")
	ada.click("Now monitoring")
	ada.sees("Monitoring")
	ada.click("Resolve")
	ada.fill("#f-summary", "The server was killed for the test, and started again.")
	ada.shot("resolve")
	ada.click("Resolve it")
	resolved := time.Now()
	ada.sees("Resolved")
	ada.shot("resolved")
	bob.sees("Resolved") // without loading the page
	phone.do(chromedp.Navigate(h.base + "/"))

	s := h.incident(id)
	t.Logf("killed, the board turned after %s; started %s after the kill, detected after %s, acknowledged after %s; service back %s after the start, seen after %s",
		turned.Sub(killed).Round(time.Millisecond), s.Started.Sub(killed).Round(time.Millisecond), s.Detected.Sub(killed).Round(time.Millisecond), s.Acknowledged.Sub(killed).Round(time.Millisecond), s.Mitigated.Sub(back).Round(time.Millisecond), noticed.Sub(back).Round(time.Millisecond))
	for what, x := range map[string]struct{ got, want time.Time }{
		"started": {s.Started, killed}, "acknowledged": {s.Acknowledged, acknowledged}, "mitigated": {s.Mitigated, back}, "resolved": {s.Resolved, resolved},
	} {
		if d := x.got.Sub(x.want); d < -time.Second || d > 1500*time.Millisecond {
			t.Errorf("the clock %s says %s, and was measured at %s: %s apart", what, x.got, x.want, d)
		}
	}
	if s.Status != incident.Resolved || s.AcknowledgedBy != "ada" || turned.Sub(killed) > 10*time.Second {
		t.Errorf("%+v", s)
	}
}

// comeIn makes two accounts: ada by the link in the log, bob by ada's invitation.
func (h *house) comeIn(ada, bob *person) {
	ada.goTo(h.setup())
	ada.sees("Set up Refloat")
	ada.fill(`input[name="name"]`, "ada")
	ada.fill(`input[name="password"]`, password)
	ada.fill(`input[name="again"]`, password)
	ada.shot("set-up")
	ada.do(chromedp.Submit(`input[name="again"]`, chromedp.ByQuery))
	ada.sees("Can it be restored?")
	ada.goTo("/people")
	ada.fill(`input[name="name"]`, "bob")
	ada.do(chromedp.SetValue(`select[name="everywhere"]`, "responder", chromedp.ByQuery), chromedp.Submit(`input[name="name"]`, chromedp.ByQuery))
	ada.sees("/setup/")
	var text string
	ada.do(chromedp.Text("main", &text, chromedp.ByQuery))
	m := setupLink.FindStringSubmatch(text)
	if m == nil {
		h.t.Fatalf("no link for bob in\n%s", text)
	}
	bob.goTo(m[1])
	bob.fill(`input[name="password"]`, password)
	bob.fill(`input[name="again"]`, password)
	bob.do(chromedp.Submit(`input[name="again"]`, chromedp.ByQuery))
	bob.sees("Can it be restored?")
}

// pagedLink is the link in the page that ada got.
func (h *house) pagedLink(t *testing.T, killed time.Time) (link string) {
	t.Helper()
	targettest.WaitFor(t, "a page with a link", func() bool {
		for _, l := range h.post.letters("ada@example.org", "[CRITICAL] shop") {
			if m := ackLink.FindString(l.text); m != "" {
				t.Logf("paged %s after the kill", l.at.Sub(killed).Round(time.Millisecond))
				link = m
			}
		}
		return link != ""
	})
	return link
}

// takeRoles has two people take roles at once: both have theirs, and of the one
// that both want one has it, and the other is told why not.
func (h *house) takeRoles(t *testing.T, ada, bob *person, id string) {
	t.Helper()
	ada.goTo("/incidents/" + id)
	bob.goTo("/incidents/" + id)
	ada.shot("room")
	var both sync.WaitGroup
	press := func(p *person, what string) {
		p.press(chromedp.Click(fmt.Sprintf(`//li[@id="role-%s"]//button[contains(., "Take it")]`, what), chromedp.BySearch))
	}
	both.Go(func() { press(ada, "commander") })
	both.Go(func() { press(bob, "operations") })
	both.Wait()
	for _, p := range []*person{ada, bob} {
		p.until(`document.querySelector("#role-commander").innerText.includes("ada") && document.querySelector("#role-operations").innerText.includes("bob")`)
	}
	both.Go(func() { press(ada, "scribe") })
	both.Go(func() { press(bob, "scribe") })
	both.Wait()
	s := h.incident(id)
	var refused []string
	for _, p := range []*person{ada, bob} {
		var text string
		p.do(chromedp.Text("main", &text, chromedp.ByQuery))
		if strings.Contains(text, "Not done") {
			refused = append(refused, p.name)
			p.shot("refused")
		}
	}
	if held := s.Roles[incident.Scribe].Person; s.Roles[incident.Commander].Person != "ada" || s.Roles[incident.Operations].Person != "bob" || held == "" || len(refused) != 1 || refused[0] == held {
		t.Errorf("roles %+v, refused %v", s.Roles, refused)
	}
}

// writeTogether has one write while the other acts: what is half written stays.
func (h *house) writeTogether(t *testing.T, ada, bob *person, id string) {
	t.Helper()
	ada.goTo("/incidents/" + id)
	bob.goTo("/incidents/" + id)
	ada.do(chromedp.Focus("#f-note", chromedp.ByQuery), chromedp.SendKeys("#f-note", "The postmaster is go", chromedp.ByQuery))
	bob.fill("#f-note", "I look at the host.")
	bob.click("Add the note")
	ada.sees("I look at the host.")
	var kept struct {
		Value string
		Focus bool
		At    int
	}
	ada.do(chromedp.Evaluate(`({Value: document.querySelector("#f-note").value, Focus: document.activeElement.id === "f-note", At: document.querySelector("#f-note").selectionStart})`, &kept))
	if kept.Value != "The postmaster is go" || !kept.Focus || kept.At != len(kept.Value) {
		t.Errorf("what was half written: %+v", kept)
	}
	ada.do(chromedp.SendKeys("#f-note", "ne.", chromedp.ByQuery))
	ada.shot("half-written")
	ada.click("Add the note")
	bob.sees("The postmaster is gone.")
}

// tellClients sends an update: clients get it, and the status page shows it.
func (h *house) tellClients(t *testing.T, ada, page *person, id string) {
	t.Helper()
	ada.goTo("/incidents/" + id + "/updates/new?to=clients")
	ada.fill("#f-text", "The web shop is down. We are bringing it back.")
	ada.shot("update")
	ada.click("Send it")
	ada.sees("Taken over for all 1")
	ada.shot("update-sent")
	targettest.WaitFor(t, "the update in the clients' mailbox", func() bool { return len(h.post.letters("clients@example.org", "We are bringing it back")) == 1 })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var text string
		page.do(chromedp.Navigate(h.status+"/"), chromedp.Text("body", &text, chromedp.ByQuery))
		if strings.Contains(text, "We are bringing it back") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the status page never shows the update:\n%s", text)
		}
	}
	page.shot("status-page")
}

// recover chooses a way back, has a second person confirm it, does the step that is
// for a person, and waits until what came of it is verified.
func (h *house) recover(t *testing.T, ada, bob *person, id string) (back time.Time) {
	t.Helper()
	ada.goTo("/incidents/" + id)
	ada.click("Ways back")
	ada.sees("Which server is it?")
	ada.shot("ways-back")
	ada.press(chromedp.Click(`//section[@id="restart"]//button`, chromedp.BySearch))
	ada.sees("waits for a second person")
	ada.shot("way-chosen")
	bob.goTo("/incidents/" + id)
	bob.sees("asks a second person to confirm this")
	bob.shot("way-to-confirm")
	bob.click("Confirm, and begin on shop")
	ada.sees("I have done this step") // without loading the page
	ada.shot("way-by-hand")
	h.pg.Start(t)
	back = time.Now()
	ada.click("I have done this step")
	bob.sees("Verified:")
	bob.until(`!/Running|waits/i.test(document.querySelector("#run-r1 h3").innerText)`)
	bob.shot("way-verified")
	r := h.incident(id).Recovery("r1")
	if r == nil || r.Outcome != incident.RecoveryRecovered || r.ConfirmedBy != "bob" || r.ChosenBy != "ada" {
		t.Errorf("the run: %+v", r)
	}
	return back
}

// loseConsole kills the console under an open page, which says so and comes back.
func (h *house) loseConsole(t *testing.T, bob *person) {
	t.Helper()
	h.kill()
	bob.sees("Connection lost since")
	bob.shot("connection-lost")
	h.start()
	began := time.Now()
	bob.sees("Connected again")
	t.Logf("an open page is connected again %s after the server was started", time.Since(began).Round(time.Millisecond))
	bob.shot("connected-again")
}
