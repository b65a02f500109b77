// Package browser looks at every page of the console in Chromium, as the storybook
// shows it: whether everybody can use it, whether it stays within its limits, and
// what it looks like.
package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

// missing skips a test where something that it needs is not installed; with
// REFLOAT_TEST_REQUIRE=1 it fails.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
		t.Fatalf("%s is missing: make deps-test installs it", what)
	}
	t.Skipf("%s is not installed", what)
}

func axeSource(t testing.TB) string {
	t.Helper()
	home, _ := os.UserHomeDir()
	for _, dir := range []string{"/opt/refloat-test/axe", filepath.Join(home, ".cache/refloat-test/axe")} {
		if b, err := os.ReadFile(filepath.Join(dir, "axe.min.js")); err == nil {
			return string(b)
		}
	}
	missing(t, "axe-core")
	return ""
}

// chromium starts a browser that the test ends with.
func chromium(t testing.TB) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		missing(t, "chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.WSURLReadTimeout(time.Minute))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, end := chromedp.NewContext(ctx)
	if err := chromedp.Run(ctx); err != nil {
		stop()
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until it has ended, so that its folder can be removed
		end()
		stop()
	})
	return ctx
}

// tab is one page of the browser, with what went wrong on it.
type tab struct {
	context.Context
	base string

	mu     sync.Mutex
	wrong  []string // errors on the console, refusals of the policy
	status int64
}

// newTab opens a tab that looks at a book of stories.
func newTab(t testing.TB, browser context.Context, h http.Handler) *tab {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(stop)
	p := &tab{Context: ctx, base: srv.URL}
	chromedp.ListenTarget(ctx, func(ev any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			p.wrong = append(p.wrong, "exception: "+e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				p.wrong = append(p.wrong, "console: "+fmt.Sprint(e.Args[0].Value))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				p.wrong = append(p.wrong, e.Entry.Text)
			}
		case *network.EventResponseReceived:
			if e.Type == network.ResourceTypeDocument {
				p.status = e.Response.Status
			}
		}
	})
	p.must(t, network.Enable(), log.Enable(), runtime.Enable())
	return p
}

func (p *tab) must(t testing.TB, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(p, actions...); err != nil {
		t.Fatal(err)
	}
}

// screen sets size and colours.
func (p *tab) screen(t testing.TB, width, height int64, scheme string) {
	t.Helper()
	mobile := width < 600
	p.must(t, emulation.SetDeviceMetricsOverride(width, height, 1, mobile),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// open goes to a story; what went wrong before is forgotten.
func (p *tab) open(t testing.TB, s webtest.Story) {
	t.Helper()
	p.mu.Lock()
	p.wrong, p.status = nil, 0
	p.mu.Unlock()
	cookies := map[string]string{webtest.WorldCookie: s.World, webtest.WhoCookie: s.Who, "refloat-zone": "Europe%2FBerlin"}
	var set []chromedp.Action
	for name, value := range cookies {
		if value == "" {
			value = "admin"
		}
		set = append(set, network.SetCookie(name, value).WithURL(p.base))
	}
	p.must(t, set...)
	p.must(t, chromedp.Navigate(p.base+s.Path))
	p.mu.Lock()
	defer p.mu.Unlock()
	want := int64(s.Code)
	if want == 0 {
		want = http.StatusOK
	}
	if p.status != want {
		t.Errorf("%s: %s answers %d, not %d", s.Name, s.Path, p.status, want)
	}
}

// trouble is what went wrong since the story was opened. That a page was asked for
// which answers with an error is no trouble of the page.
func (p *tab) trouble() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, w := range p.wrong {
		if !strings.HasPrefix(w, "Failed to load resource: the server responded with a status of") {
			out = append(out, w)
		}
	}
	return out
}

// js evaluates an expression into out; a promise is waited for.
func (p *tab) js(t testing.TB, expression string, out any) {
	t.Helper()
	err := chromedp.Run(p, chromedp.Evaluate(expression, out, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	if err != nil {
		t.Fatal(err)
	}
}
