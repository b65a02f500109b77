package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/refloat-db/refloat/internal/statuspage"
	"github.com/refloat-db/refloat/internal/statuspage/site"
)

// statusPages are status pages of a busy day, of a quiet one, and an old one.
func statusPages(now time.Time) map[string]statuspage.Publication {
	const day = 24 * time.Hour
	in := statuspage.Input{
		Title: "Acme status", URL: "https://status.acme.example", Automatic: true, Ways: []string{statuspage.ByEmail, statuspage.ByWebhook},
		Services: []statuspage.Offer{
			{Name: "Web shop", Description: "Browse, order and pay", Targets: []string{"shop"}}, {Name: "Public API", Group: "For developers", Description: "api.acme.example", Targets: []string{"api", "shop"}},
			{Name: "Reports", Group: "For developers", Targets: []string{"reports"}}, {Name: "A service with a name that is much longer than anybody would think wise", Group: "Others", Targets: []string{"mail"}},
		},
		Seen: map[string]statuspage.Seen{
			"shop": {Now: statuspage.Up, Watched: []statuspage.Span{{From: now.Add(-200 * day)}}, Down: []statuspage.Span{{From: now.Add(-40 * day), Until: now.Add(-40*day + 9*time.Minute)}, {From: now.Add(-12 * day), Until: now.Add(-12*day + 3*time.Hour)}}},
			"api":  {Now: statuspage.Up, Watched: []statuspage.Span{{From: now.Add(-200 * day)}}}, "reports": {Now: statuspage.Down, Watched: []statuspage.Span{{From: now.Add(-20 * day)}}, Down: []statuspage.Span{{From: now.Add(-50 * time.Minute)}}},
		},
		Told: []statuspage.Told{
			{Key: "1", Targets: []string{"shop"}, Updates: []statuspage.Update{
				{Status: "investigating", Text: "Orders are refused at the moment.\nWe are finding out why.", At: now.Add(-12*day + 5*time.Minute)}, {Status: "resolved", Text: "Orders are taken again. No order was lost.", At: now.Add(-12*day + 3*time.Hour)},
			}},
			{Key: "2", Targets: []string{"reports"}, Updates: []statuspage.Update{
				{Status: "investigating", Text: "Reports cannot be opened at the moment. We are finding out why.", At: now.Add(-45 * time.Minute)},
				{Status: "identified", Text: "We know what is wrong, and are preparing the way back.\n\nReports that were ordered meanwhile will be made; you need not order them again.", At: now.Add(-20 * time.Minute), Next: now.Add(10 * time.Minute)},
			}},
			{Key: "3", Targets: []string{"mail"}, Updates: []statuspage.Update{{Status: "monitoring", Text: "Mail goes out again.", At: now.Add(-5 * time.Minute)}}},
		},
		Planned: []statuspage.Announced{
			{Targets: []string{"api"}, Text: "We move the database of the API to faster disks. It may be interrupted for up to ten minutes.", From: now.Add(2 * day), Until: now.Add(2*day + 2*time.Hour)},
			{Targets: []string{"shop"}, Text: "We change a certificate.", From: now.Add(-time.Minute), Until: now.Add(time.Hour)},
		},
	}
	out := map[string]statuspage.Publication{"busy": statuspage.Make(in, now), "old": statuspage.Make(in, now.Add(-3*time.Hour))}
	in.Automatic, in.Told, in.Planned = false, in.Told[:1], nil
	out["quiet"] = statuspage.Make(in, now)
	in.Automatic, in.Services = true, in.Services[:1]
	out["fine"] = statuspage.Make(in, now)
	return out
}

// signups takes everything.
type signups struct{}

func (signups) Subscribe(context.Context, string, string) (string, error) {
	return "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", nil
}
func (signups) Check(statuspage.Purpose, string) error    { return nil }
func (signups) Confirm(context.Context, string) error     { return nil }
func (signups) Unsubscribe(context.Context, string) error { return nil }

// Everybody can use each page of the status page, on a telephone and a desk, by
// day and by night; nothing that its policy refuses is asked for.
func TestStatusPage(t *testing.T) {
	axe, p := axeSource(t), newTab(t, chromium(t), nil)
	for name, pub := range statusPages(time.Now()) {
		dir := t.TempDir()
		text, err := pub.Encode()
		if err == nil {
			err = statuspage.WriteFolder(dir, []statuspage.File{{Name: "status.json", Body: text}})
		}
		if err != nil {
			t.Fatal(err)
		}
		s, err := site.Listen(t.Context(), site.Options{Address: "127.0.0.1:0", File: filepath.Join(dir, "status.json"), Signup: signups{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		paths := []string{"index.html"}
		if name == "busy" {
			paths = append(paths, "history.html", "subscribe", "incident-"+pub.Incidents[0].ID+".html", "incident-"+pub.Incidents[2].ID+".html", "confirm/x", "nowhere.html")
		}
		for _, path := range paths {
			for _, x := range []struct {
				name, scheme  string
				width, height int64
			}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}, {"phone-dark", "dark", 390, 844}, {"narrow", "light", 320, 600}} {
				if (name != "busy" || path != "index.html") && x.name != "dark" && x.name != "phone" && os.Getenv("REFLOAT_SHOTS") == "" {
					continue // the same style sheet
				}
				p.screen(t, x.width, x.height, x.scheme)
				lookAt(t, p, axe, fmt.Sprintf("status-%s-%s-%s", name, strings.NewReplacer("/", "-", ".html", "").Replace(path), x.name), "http://"+s.Address()+"/"+path, x.width, x.height)
			}
		}
		if name == "busy" {
			subscribeByHand(t, p, "http://"+s.Address()+"/subscribe")
		}
	}
}

func lookAt(t *testing.T, p *tab, axe, name, address string, width, height int64) {
	t.Helper()
	p.mu.Lock()
	p.wrong = nil
	p.mu.Unlock()
	p.must(t, chromedp.Navigate(address))
	if wrong := p.trouble(); len(wrong) > 0 {
		t.Errorf("%s: %v", name, wrong)
	}
	var scripts, wide int64
	p.js(t, "document.scripts.length", &scripts)
	p.js(t, "document.documentElement.scrollWidth", &wide)
	if scripts != 0 || wide > width {
		t.Errorf("%s: %d scripts; %d wide on a screen of %d", name, scripts, wide, width)
	}
	p.js(t, axe+";0", nil)
	var found []string
	p.js(t, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => r.violations.map(v => v.impact + " " + v.id + ": " + v.nodes.slice(0, 3).map(n => n.target + " " + (n.any[0]||{}).message).join("; ")))`, &found)
	for _, f := range found {
		t.Errorf("%s: %s", name, f)
	}
	dir := os.Getenv("REFLOAT_SHOTS")
	if dir == "" || width == 320 {
		return
	}
	var picture []byte
	p.must(t, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
		if err == nil {
			picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{Width: float64(width), Height: max(size.Height, float64(height)), Scale: 1}).Do(ctx)
		}
		return err
	}))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// subscribeByHand fills in a form with the keyboard alone.
func subscribeByHand(t *testing.T, p *tab, address string) {
	t.Helper()
	var first, headline string
	p.must(t, chromedp.Navigate(address), chromedp.KeyEvent("\t"))
	p.js(t, "document.activeElement.textContent", &first)
	if first != "Skip to content" {
		t.Errorf("the first stop of the keyboard is %q", first)
	}
	p.must(t, chromedp.Focus("#email", chromedp.ByQuery), chromedp.KeyEvent("ann@example.org"), chromedp.KeyEvent("\r"), chromedp.WaitVisible("main", chromedp.ByQuery))
	for deadline := time.Now().Add(10 * time.Second); headline != "Please look into your mailbox" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		p.js(t, "document.querySelector('h1').textContent", &headline)
	}
	if headline != "Please look into your mailbox" {
		t.Errorf("after the form: %q", headline)
	}
}
