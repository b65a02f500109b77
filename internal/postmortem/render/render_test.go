package render

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/postmortem"
)

func example(t *testing.T) (postmortem.Document, string) {
	t.Helper()
	md, err := os.ReadFile("testdata/inc-3.md")
	if err != nil {
		t.Fatal(err)
	}
	return postmortem.Read("inc-3.md", md).Document(), string(md)
}

func TestHTMLIsOnePageThatNeedsNothingElse(t *testing.T) {
	d, md := example(t)
	out, err := HTML(d, md+"\n<script>alert(1)</script>\n")
	if err != nil {
		t.Fatal(err)
	}
	s := string(out)
	if to := os.Getenv("REFLOAT_HTML"); to != "" {
		if err := os.WriteFile(to, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"<title>shop does not serve</title>", `<h2 id="timeline">`, `<svg class="timeline"`, `class="bar missed"`, `<td class="missed">missed</td>`, "<mark>[fill in: who wrote it]</mark>", "5 h 24 min"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, not := range []string{"<script", "http://", "src=", "<link"} {
		if strings.Contains(strings.ReplaceAll(s, "http://www.w3.org/2000/svg", ""), not) {
			t.Errorf("the page holds %s", not)
		}
	}
}

func TestPDFIsTheSameEachTime(t *testing.T) {
	d, md := example(t)
	a, err := PDF(d, md)
	if err != nil {
		t.Fatal(err)
	}
	b, err := PDF(d, md)
	if err != nil || !bytes.HasPrefix(a, []byte("%PDF")) || !bytes.Equal(a, b) {
		t.Errorf("%d and %d bytes, %v", len(a), len(b), err)
	}
	if out := os.Getenv("REFLOAT_PDF"); out != "" {
		if err := os.WriteFile(out, a, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
