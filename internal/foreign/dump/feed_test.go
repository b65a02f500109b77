package dump

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refloat-db/refloat/internal/foreign"
)

const complete = "--\n-- PostgreSQL database dump complete\n--\n"

func feed(t *testing.T, text string) (string, ending, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.sql")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	e, err := (Loader{Work: foreign.Work{Dir: dir}}).feed(path, &out)
	return strings.ReplaceAll(out.String(), dir, "DIR"), e, err
}

// What reaches out of the scratch server is never passed on.
func TestFeedKeepsInside(t *testing.T) {
	for _, line := range []string{`\! rm -rf /`, `\connect "host=prod dbname=shop"`, `\c prod`, `\connect postgres://prod/shop`, `\copy t from program 'x'`, `\i /etc/passwd`, `CREATE TABLESPACE fast;`, `\connect -reuse-previous=on "host='prod'"`} {
		out, _, err := feed(t, "SELECT 1;\n"+line+"\n"+complete)
		var refused refusedError
		if !errors.As(err, &refused) || refused.line != 2 || strings.Contains(out, line) {
			t.Errorf("%s was passed on: %v, %q", line, err, out)
		}
	}
	text := "\\restrict Abc1\n\\connect shop\n\\connect -reuse-previous=on \"dbname='my shop'\"\nCOPY t (a) FROM stdin;\n\\! is data here\nCREATE TABLESPACE too\n\\.\n" +
		"CREATE TABLESPACE fast OWNER clerk LOCATION '/srv/fast';\n\\unrestrict Abc1\n" + complete
	out, e, err := feed(t, text)
	if err != nil || !e.whole {
		t.Fatalf("%v %+v", err, e)
	}
	if want := strings.Replace(text, "/srv/fast", "DIR/tablespace-8-1", 1); out != want {
		t.Errorf("%q", out)
	}
}

func TestFeedKnowsTheEnd(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	for text, whole := range map[string]bool{"SELECT 1;\n": false, complete: true, long + "\n" + complete: true, complete + long: false} {
		if _, e, err := feed(t, text); err != nil || e.whole != whole {
			t.Errorf("%.40q… of %d: %+v, %v", text, len(text), e, err)
		}
	}
}
