package web

import (
	"context"
	"strings"
	"testing"
)

func TestMarkdownIsTame(t *testing.T) {
	render := func(source string) string {
		c, err := markdown(source)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := c.Render(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for source, want := range map[string]string{
		"# Getting it back":                                        "<h3>Getting it back</h3>\n",
		"###### deep":                                              "<h6>deep</h6>\n",
		"| a | b |\n| --- | --- |\n| 1 | 2 |":                      "<td>1</td>",
		"[docs](https://example.net/x)":                            `<p><a href="https://example.net/x" rel="noopener noreferrer">docs</a></p>` + "\n",
		"![a graph](https://example.net/x.png)":                    `<p><a href="https://example.net/x.png" rel="noopener noreferrer">a graph</a></p>` + "\n",
		"```sh\nrefloat restore shop --to '<now>'\n```":            "refloat restore shop --to '&lt;now&gt;'",
		"a <script>alert(1)</script> b\n\n<iframe src=x></iframe>": "<p>a ",
	} {
		if got := render(source); !strings.Contains(got, want) {
			t.Errorf("%q gives %q, without %q", source, got, want)
		}
	}
	for _, source := range []string{
		"<script>alert(1)</script>", "a <img src=x onerror=alert(1)> b", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "![x](javascript:alert(1))", "<javascript:alert(1)>", "[x](data:text/html;base64,PHNjcmlwdD4=)",
		"<div style=\"position:fixed\">x</div>", "[x](vbscript:x)", "[a\n](<javascript:alert(1)>)",
	} {
		got := strings.ToLower(render(source))
		for _, bad := range []string{"<script", "<img", "<iframe", "<div", "onerror=", "javascript:", "vbscript:", "data:text", "style="} {
			if strings.Contains(got, "href=\""+bad) || strings.HasPrefix(bad, "<") && strings.Contains(got, bad) {
				t.Errorf("%q gives %q", source, got)
			}
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add("# a\n\n[x](javascript:y) <b onclick=z>")
	f.Fuzz(func(t *testing.T, source string) {
		c, err := markdown(source)
		if err != nil {
			return
		}
		var b strings.Builder
		if err := c.Render(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		got := strings.ToLower(b.String())
		for _, bad := range []string{"<script", "<img", "<iframe", "<style", "<form", "href=\"javascript:", "href=\"vbscript:"} {
			if strings.Contains(got, bad) {
				t.Fatalf("%q gives %q", source, got)
			}
		}
	})
}
