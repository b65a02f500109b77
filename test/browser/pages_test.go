package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

// shifts notes what moves while a page is loaded, before anything of it runs.
const shifts = `window.__cls = 0;
new PerformanceObserver((l) => { for (const e of l.getEntries()) if (!e.hadRecentInput) window.__cls += e.value; }).observe({type: "layout-shift", buffered: true});
document.addEventListener("securitypolicyviolation", (e) => console.error("policy: " + e.violatedDirective + " " + e.blockedURI));`

// barriers runs axe, and answers what is serious.
const barriers = `axe.run(document, {resultTypes: ["violations"], runOnly: %s})
	.then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => v.id + " (" + v.impact + ") " + v.nodes.slice(0, 3).map((n) => n.target.join(" ") + ": " + (n.any[0] || n.all[0] || n.none[0] || {}).message).join(" | ")))`

// weight is what a page and all that it loads transfer, in bytes.
const weight = `performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
	.filter((e) => !e.name.includes("/live")).reduce((n, e) => n + Math.max(e.transferSize, e.encodedBodySize), 0)`

const most = 100 << 10 // bytes of a page

// TestEveryPageIsForEverybody: no serious barrier in light and dark, nothing wider
// than a phone, nothing that moves while it loads, no error, no refusal of the
// policy, and no page that is heavy.
func TestEveryPageIsForEverybody(t *testing.T) {
	axe := axeSource(t)
	p := newTab(t, chromium(t), &webtest.Book{})
	p.must(t, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(shifts).Do(ctx)
		return err
	}))
	for _, s := range webtest.Stories() {
		t.Run(s.Name, func(t *testing.T) {
			p.screen(t, 1280, 900, "light")
			p.open(t, s)
			var bytes, cls float64
			p.js(t, weight, &bytes)
			if bytes == 0 || bytes > most {
				t.Errorf("%.0f bytes are transferred, at most %d are allowed", bytes, most)
			}
			// A table of 500 rows has the barriers of one of 8, and axe looks at each.
			if s.World != "many" {
				p.js(t, axe+";0", nil)
				p.axe(t, "light", `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}`)
				// Only colours are others in the dark.
				p.screen(t, 1280, 900, "dark")
				p.axe(t, "dark", `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`)
			}
			p.screen(t, 390, 844, "light")
			p.open(t, s)
			var wide float64
			p.js(t, "document.documentElement.scrollWidth", &wide)
			if wide > 390 {
				var who string
				p.js(t, `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > 391).slice(0, 5).map((e) => e.tagName + "." + (e.className.baseVal ?? e.className)).join(", ")`, &who)
				t.Errorf("it is %.0f wide on a phone of 390: %s", wide, who)
			}
			p.js(t, "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(window.__cls))))", &cls)
			if cls != 0 {
				t.Errorf("it moves while it loads: %v", cls)
			}
			for _, w := range p.trouble() {
				t.Error(w)
			}
		})
	}
}

func (p *tab) axe(t *testing.T, scheme, only string) {
	t.Helper()
	var found []string
	p.js(t, fmt.Sprintf(barriers, only), &found)
	for _, f := range found {
		t.Errorf("%s: %s", scheme, f)
	}
}

// focused answers what the keyboard is at, whether it can be seen that it is, and
// marks it, so that what was never reached shows.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return "";
	e.setAttribute("data-reached", "");
	const s = getComputedStyle(e), b = e.getBoundingClientRect();
	return [e.tagName, e.id || e.textContent.trim().slice(0, 40), (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2) ? "outlined" : "no outline", b.width > 0 && b.height > 0 ? "there" : "not there"].join("|");
})()`

const unreached = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
	.filter((e) => e.checkVisibility() && !e.disabled && !e.hasAttribute("data-reached") && !(e.type === "radio" && document.querySelector('input[data-reached][name="' + e.name + '"]')))
	.map((e) => e.outerHTML.slice(0, 120))`

// TestTheKeyboardReachesEverything tabs through pages of each kind: each control is
// reached, and it can be seen where the keyboard is.
func TestTheKeyboardReachesEverything(t *testing.T) {
	p := newTab(t, chromium(t), &webtest.Book{})
	p.screen(t, 1280, 900, "light")
	kinds := map[string]bool{}
	for _, s := range webtest.Stories() {
		kind, _, _ := strings.Cut(s.Name, "-")
		if kinds[kind] || s.World == "many" || s.World == "empty" {
			continue
		}
		kinds[kind] = true
		t.Run(s.Name, func(t *testing.T) {
			p.open(t, s)
			first := ""
			for range 400 {
				var at string
				p.must(t, chromedp.KeyEvent(kb.Tab))
				p.js(t, focused, &at)
				if at == "" || at == first && first != "" {
					break
				}
				if first == "" {
					first = at
					if !strings.Contains(at, "Skip to the page") {
						t.Errorf("the first stop is %s, not the link that skips to the page", at)
					}
				}
				if strings.Contains(at, "no outline") || strings.Contains(at, "not there") {
					t.Errorf("it cannot be seen that the keyboard is at %s", at)
				}
			}
			var left []string
			p.js(t, unreached, &left)
			if len(left) > 0 {
				t.Errorf("the keyboard does not reach %s", fmt.Sprint(left))
			}
		})
	}
}
