package paper

import (
	"bytes"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A document is read back by another program: its words, and its pages.
func TestADocumentIsReadBack(t *testing.T) {
	p := New("Report of an outage", "Ada", time.Date(2023, 10, 11, 0, 0, 0, 0, time.UTC))
	p.Heading("Ursache: Größe")
	p.Text("The archive command hid its failure — Привет, Ελλάδα. 日本")
	p.Small("made from the journal")
	p.Note("not over yet")
	p.Code("refloat restore shop \\\n  --to '2023-10-05 01:59:00Z'")
	p.Item("1.", strings.Repeat("a long sentence that wraps ", 20))
	p.Figures([][2]string{{"incidents", "1"}, {"down", "5 h 24 min"}})
	var rows [][]string
	for range 120 {
		rows = append(rows, []string{"act-1", "a text that is long enough to need more than one line in its column of the table"})
	}
	p.Table([]Column{{Name: "ID", Width: 4}, {Name: "text", Width: 20}}, rows)
	c := NewCanvas(200, 50)
	c.Rect(0, 0, 100, 10, Bad)
	c.Dot(150, 25, 5, Good)
	c.Text(10, 40, 0, "1 Oct", Ink)
	picture, err := c.PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil || img.Bounds().Dx() != 600 {
		t.Fatal(err)
	}
	if r, _, _, _ := img.At(10, 10).RGBA(); r>>8 != uint32(Bad.R) {
		t.Errorf("%d", r>>8)
	}
	p.Picture(picture, 40)
	data, err := p.Bytes()
	if err != nil || !bytes.HasPrefix(data, []byte("%PDF-")) {
		t.Fatal(err)
	}
	file := filepath.Join(t.ArtifactDir(), "paper.pdf")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := exec.Command("pdftotext", "-layout", file, "-").Output()
	if err != nil {
		if os.Getenv("REFLOAT_TEST_REQUIRE") != "" {
			t.Fatalf("pdftotext (poppler-utils) is needed: %v", err)
		}
		t.Skip("pdftotext is not here")
	}
	text := strings.ReplaceAll(string(raw), " / ", "/")
	for _, want := range []string{"Report of an outage", "Ursache: Größe", "Привет, Ελλάδα", "??", "--to '2023-10-05 01:59:00Z'", "5 h 24 min", "1/3"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the document:\n%.2000s", want, text)
		}
	}
	if n := strings.Count(text, "act-1"); n != 120 {
		t.Errorf("%d rows, not 120", n)
	}
}

func TestATableThatDoesNotAddUp(t *testing.T) {
	p := New("x", "y", time.Now())
	p.Table([]Column{{Name: "a", Width: 3}}, nil)
	p.Text("more")
	if _, err := p.Bytes(); err == nil {
		t.Error("a table of 3 parts is taken")
	}
}
