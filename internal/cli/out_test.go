package cli

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

func TestWhatOthersWriteDoesNotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	g := &globals{stdout: &out}
	if err := g.print(nil, func(w io.Writer) { fmt.Fprint(w, "a\x1b[2Jb\r\u009bc\a\tü→\n") }); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "a[2Jbc\tü→\n" {
		t.Errorf("%q", got)
	}
}
