package browser

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

// TestShots takes pictures of every story into the folder REFLOAT_SHOTS, to be
// looked at; REFLOAT_SHOTS_OF names those that are wanted, by the beginning of
// their names.
func TestShots(t *testing.T) {
	dir := os.Getenv("REFLOAT_SHOTS")
	if dir == "" {
		t.Skip("REFLOAT_SHOTS names no folder for the pictures")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := newTab(t, chromium(t), &webtest.Book{})
	for _, s := range webtest.Stories() {
		if !strings.HasPrefix(s.Name, os.Getenv("REFLOAT_SHOTS_OF")) {
			continue
		}
		for _, x := range []struct {
			name, scheme  string
			width, height int64
		}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}} {
			p.screen(t, x.width, x.height, x.scheme)
			p.open(t, s)
			var picture []byte
			p.must(t, chromedp.ActionFunc(func(ctx context.Context) error {
				_, _, _, _, _, size, err := page.GetLayoutMetrics().Do(ctx)
				if err != nil {
					return err
				}
				// What is longer than a dozen screens is cut: that there is more of the same is clear by then.
				picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{Width: float64(x.width), Height: min(size.Height, 12*float64(x.height)), Scale: 1}).Do(ctx)
				return err
			}))
			if err := os.WriteFile(filepath.Join(dir, s.Name+"-"+x.name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
