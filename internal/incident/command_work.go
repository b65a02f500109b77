package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AddTask adds something to do.
type AddTask struct{ Text, Owner string }

func (c AddTask) decide(d *decision) error {
	if err := wants("the task", c.Text, 1000); err != nil {
		return err
	}
	if err := d.open(); err != nil {
		return err
	}
	d.add(KindTask, TaskAdded{ID: "t" + strconv.Itoa(len(d.Tasks)+1), Text: strings.TrimSpace(c.Text), Owner: c.Owner})
	return nil
}

// CloseTask says that a task is done, or need not be.
type CloseTask struct{ ID, Result string }

func (c CloseTask) decide(d *decision) error {
	i := slices.IndexFunc(d.Tasks, func(t Task) bool { return t.ID == c.ID })
	switch {
	case i < 0:
		return refuse("there is no task %s in %s: refloat incident show %s lists them", c.ID, d.ID, d.ID)
	case !d.Tasks[i].ClosedAt.IsZero():
		return fmt.Errorf("%w: %s closed it before", ErrNothing, d.Tasks[i].ClosedBy)
	}
	d.add(KindTaskDone, TaskClosed{c.ID, strings.TrimSpace(c.Result)})
	return nil
}

// AddLink adds an address.
type AddLink struct{ URL, Title string }

func (c AddLink) decide(d *decision) error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return refuse("a link wants the form https://host/path")
	case u.User != nil:
		return refuse("the link holds a user or a password: everybody who reads the incident would see it")
	case len(c.URL) > 2000 || len(c.Title) > maxTitle:
		return refuse("the link or its title is too long")
	}
	d.add(KindLink, LinkAdded{c.URL, strings.TrimSpace(c.Title)})
	return nil
}

// Limits of attachments.
const (
	MaxImage       = 4 << 20
	MaxTextFile    = 1 << 20
	MaxAttachments = 100
)

// Attach adds a file. Its type is what its bytes say.
type Attach struct {
	Name string
	Data []byte
}

func (c Attach) decide(d *decision) error {
	kind, err := Sniff(c.Data)
	if err != nil {
		return err
	}
	name := filepath.Base(filepath.Clean("/" + c.Name))
	switch {
	case name == "/" || len(name) > maxTitle || !utf8.ValidString(name):
		return refuse("the attachment wants a name")
	case len(d.Attachments) >= MaxAttachments:
		return refuse("%s has %d attachments, which is all it can have: link to the rest", d.ID, MaxAttachments)
	}
	sum := sha256.Sum256(c.Data)
	d.add(KindAttached, Attached{Name: name, Type: kind, Size: len(c.Data), SHA256: hex.EncodeToString(sum[:])})
	return nil
}

// Sniff says what kind of file some bytes are. Only text, PNG, JPEG, GIF and
// WebP are taken: nothing that a browser would run.
func Sniff(data []byte) (string, error) {
	kind, _, _ := strings.Cut(http.DetectContentType(data), ";")
	image := slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, kind)
	text := !image && utf8.Valid(data) && !slices.Contains(data, 0)
	switch {
	case len(data) == 0:
		return "", refuse("the file is empty")
	case image && len(data) > MaxImage:
		return "", refuse("the image has %d bytes; at most %d are kept", len(data), MaxImage)
	case image:
		return kind, nil
	case !text:
		return "", refuse("this file is %s; only text and PNG, JPEG, GIF and WebP images are kept: link to it", kind)
	case len(data) > MaxTextFile:
		return "", refuse("the text has %d bytes; at most %d are kept: cut out what matters", len(data), MaxTextFile)
	}
	return "text/plain", nil
}

// MeasureDataLoss says how much work is gone, as a span of time.
type MeasureDataLoss struct{ Measured }

func (c MeasureDataLoss) decide(d *decision) error {
	switch {
	case c.Loss < 0:
		return refuse("less than nothing cannot be lost")
	case strings.TrimSpace(c.Source) == "":
		return refuse("say how it was measured")
	}
	d.add(KindDataLoss, c.Measured)
	return nil
}

// Resolve closes an incident.
type Resolve struct {
	Summary string
	// Despite closes it although the watch sees an outage; it says why.
	Despite string
}

func (c Resolve) decide(d *decision) error {
	switch {
	case d.Status == Resolved:
		return fmt.Errorf("%w: it is resolved already", ErrNothing)
	case !d.Serves() && strings.TrimSpace(c.Despite) == "":
		return refuse("the watch still sees %s not serving: wait until it serves, or close it with --despite and the reason", d.down())
	case len(c.Summary) > maxText:
		return refuse("the summary is too long")
	}
	d.add(KindResolved, ResolvedBody{strings.TrimSpace(c.Summary), strings.TrimSpace(c.Despite)})
	return nil
}

// Reopen takes a resolved incident up again.
type Reopen struct{ Why string }

func (c Reopen) decide(d *decision) error {
	switch {
	case d.Status != Resolved:
		return fmt.Errorf("%w: it is open", ErrNothing)
	case strings.TrimSpace(c.Why) == "":
		return refuse("say why it is opened again")
	}
	d.add(KindReopened, ResolvedBody{Summary: strings.TrimSpace(c.Why)})
	return nil
}

// Merge ends this incident as a part of another. Both must be open, and Into is
// as it stands.
type Merge struct {
	Into State
	Why  string
}

func (c Merge) decide(d *decision) error {
	switch into := c.Into; {
	case into.ID == d.ID:
		return refuse("an incident cannot be merged into itself")
	case into.MergedInto != "":
		return refuse("%s was itself merged into %s: name that one", into.ID, into.MergedInto)
	case !into.Open():
		return refuse("%s is resolved: reopen it first", into.ID)
	case !d.Open():
		return d.open()
	}
	d.add(KindMerged, MergedInto{Into: c.Into.ID, Why: c.Why})
	d.addTo(c.Into.ID, KindAbsorbed, Absorbed{
		From: d.ID, Title: d.Title, Severity: d.Severity, Targets: d.Targets, Causes: d.Causes, Alerts: d.Alerts, Started: d.Started, Detected: d.Detected,
		Acknowledged: d.Acknowledged, AckBy: d.AcknowledgedBy, Mitigated: d.Mitigated, Objectives: d.Objectives,
	})
	if d.Severity.Graver(c.Into.Severity) {
		d.addTo(c.Into.ID, KindSeverity, SeveritySet{c.Into.Severity, d.Severity, "as in " + d.ID})
	}
	if c.Into.Status == Monitoring && !d.Serves() {
		d.addTo(c.Into.ID, KindStatus, StatusSet{Monitoring, Investigating, d.down() + " does not serve"})
	}
	return nil
}

// Opening chooses what to do about a cause: the open incident that it belongs
// to, or none. all are the incidents as they stand.
func Opening(all []State, c Cause) (joins State, seen bool) {
	for _, s := range all {
		if s.HasCause(c.Key) {
			return s, true
		}
	}
	for _, s := range all {
		if s.Takes(c.Target, c.Started) {
			return s, false
		}
	}
	return State{}, false
}

// NextID is the ID of the incident after these.
func NextID(all []State) string {
	last := 0
	for _, s := range all {
		if n, err := strconv.Atoi(strings.TrimPrefix(s.ID, "inc-")); err == nil {
			last = max(last, n)
		}
	}
	return "inc-" + strconv.Itoa(last+1)
}

// span renders a duration for people: two units at most.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
