package postmortem

import (
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// Action is something that will be done, as a report says it.
type Action struct {
	Text  string    `json:"text"`
	Owner string    `json:"owner,omitempty"`
	Due   time.Time `json:"due,omitzero"`
	// Dated says that some time of completion is given, though it may be no day:
	// "next sprint".
	Dated   bool   `json:"dated"`
	Done    bool   `json:"done,omitempty"`
	Check   string `json:"check,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Source  string `json:"source,omitempty"`
	State   string `json:"state,omitempty"`
	Cadence bool   `json:"cadence,omitempty"`
	Recurs  bool   `json:"recurs,omitempty"`
	Place   Place  `json:"place"`
	DueAt   Place  `json:"-"`
	loose   bool   // the due day is a month or a quarter
	starts  bool   // the day is when a recurring duty begins
	parts   []part
	table   bool
	dueCell bool // its row has a column for the day
	deeds   []deed
	split   bool
}

// part is a range of a block that tells of an action.
type part struct {
	block      *Block
	first, end int
	matter     bool // the words of the action itself
}

// noOne are words that stand where an owner should.
var noOne = map[string]bool{
	"": true, "-": true, "–": true, "—": true, "tbd": true, "n/a": true, "na": true, "none": true, "unassigned": true, "?": true, "unknown": true, "tba": true, "nobody": true,
	"everyone": true, "all": true, "anyone": true, "to be decided": true, "to be determined": true, "open": true, "pending": true, "todo": true, "someone": true, "not assigned": true, "…": true, "...": true, "to be assigned": true, "everybody": true, "xxx": true, "no owner": true, "to be confirmed": true, "tbc": true,
}

// readActions gathers action items with their owners, due days and checks.
func (d *Report) readActions() {
	blocks := d.section(ActionItems)
	listed, depth := false, 99
	for _, b := range blocks {
		if b.Kind == Item || b.Kind == Row {
			listed = true
			if b.Kind == Item && !d.isPart(b) {
				depth = min(depth, b.Level)
			}
		}
	}
	a := &actionReader{d: d, listed: listed, depth: depth, section: -1}
	for _, b := range blocks {
		a.read(b)
	}
	for i := range d.Actions {
		d.finish(&d.Actions[i])
	}
}

// isPart reports whether a block is a named part of an action: "Owner: Ana".
func (d *Report) isPart(b *Block) bool {
	if b.Label == "" {
		return false
	}
	switch fieldName(b.Label) {
	case fieldOwner, fieldDue, fieldState, fieldCheck, fieldType, fieldSource, fieldSeverity, fieldCadence, fieldReported, fieldEnd:
		return true
	}
	return false
}

type actionReader struct {
	d       *Report
	listed  bool
	depth   int
	section int
}

func (a *actionReader) current() *Action {
	if n := len(a.d.Actions); n > 0 {
		return &a.d.Actions[n-1]
	}
	return nil
}

func (a *actionReader) read(b *Block) {
	d := a.d
	fresh := b.Section != a.section
	a.section = b.Section
	switch {
	case b.Kind == Row:
		a.row(b)
	case d.isPart(b) && a.current() != nil:
		a.current().add(b, 0, len(b.toks), false)
	case b.Kind == Item && b.Level > a.depth && a.current() != nil:
		a.current().add(b, 0, len(b.toks), true)
	case b.Kind == Item:
		if strings.HasSuffix(strings.TrimSpace(b.Text), ":") && d.named(b) {
			return // "Short term:" over a list
		}
		a.begin(b, 0, len(b.toks))
		a.current().Done = b.Done
	case a.headed(b, fresh):
		// A heading names the action, what stands below it are its parts.
		a.begin(d.Blocks[d.Sections[b.Section].Block], 0, len(d.Blocks[d.Sections[b.Section].Block].toks))
		a.current().add(b, 0, len(b.toks), !d.isPart(b))
	case a.listed:
		if b.Label != "" && fieldName(b.Label) == fieldAction {
			a.begin(b, 0, len(b.toks))
		}
	case strings.HasSuffix(strings.TrimSpace(b.Text), ":") && len(b.Text) < 160:
	default:
		a.prose(b)
	}
}

// named reports whether a block is only a name for what follows.
func (d *Report) named(b *Block) bool { return len(b.toks) <= 6 }

// headed reports whether a block is the first below a heading inside the section
// of actions that is itself an action.
func (a *actionReader) headed(b *Block, fresh bool) bool {
	if !fresh || b.Section < 0 || a.listed && !a.d.isPart(b) {
		return false
	}
	s := a.d.Sections[b.Section]
	if s.Parent < 0 || a.d.Sections[s.Parent].Kind != ActionItems || len(strings.Fields(s.Title)) < 3 {
		return false
	}
	return !actionGroup[bare(s.Title)]
}

// prose reads actions from sentences.
func (a *actionReader) prose(b *Block) {
	for _, s := range b.sentences {
		future := false
		for k := s.First; k < s.End; k++ {
			switch b.toks[k].S {
			case "will", "shall", "must", "by", "due", "owner", "to":
				future = true
			}
		}
		dated := false
		for _, f := range b.facts {
			dated = dated || f.Kind == prose.DateFact && f.First >= s.First && f.End <= s.End
		}
		cur := a.current()
		starts := a.d.speaks(b, s.First, min(s.First+6, s.End), buildWord, vagueVerb, trainWord, documentWord, watchWord, testWord)
		sameBlock := cur != nil && len(cur.parts) > 0 && cur.parts[0].block == b
		switch {
		case sameBlock && !(starts && (future || dated)):
			cur.add(b, s.First, s.End, false)
		case future || dated || starts:
			a.begin(b, s.First, s.End)
		}
	}
}

func (a *actionReader) begin(b *Block, first, end int) {
	a.d.Actions = append(a.d.Actions, Action{})
	a.current().add(b, first, end, true)
	if b.Kind == Heading || first > 0 || end < len(b.toks) {
		a.current().Place = a.d.at(b, b.toks[first].Lo, b.toks[end-1].Hi)
	} else {
		a.current().Place = a.d.whole(b)
	}
	a.current().Text = a.current().Place.Text
}

func (x *Action) add(b *Block, first, end int, matter bool) {
	if end > first {
		x.parts = append(x.parts, part{b, first, end, matter})
	}
}

// row reads an action from a row of a table.
func (a *actionReader) row(b *Block) {
	d := a.d
	if b.Head {
		return
	}
	kinds := make([]fieldKind, len(b.Cells))
	matter := -1
	for i, c := range b.Cells {
		kinds[i] = fieldName(c.Head)
		if kinds[i] == fieldAction && matter < 0 {
			matter = i
		}
	}
	if matter < 0 { // "Measure" is how one tells, unless nothing else names the action
		for i, c := range b.Cells {
			if h := bare(c.Head); h == "measure" || h == "measures" || strings.HasPrefix(h, "measure ") {
				kinds[i], matter = fieldAction, i
				break
			}
		}
	}
	if len(b.Cells) == 2 && fieldName(b.Text[b.Cells[0].Lo:b.Cells[0].Hi]) != noField && b.Cells[0].Head == "" {
		return
	}
	if matter < 0 { // the longest cell of those without a known name
		for i, c := range b.Cells {
			if (kinds[i] == noField || kinds[i] == fieldTitle) && (matter < 0 || c.Hi-c.Lo > b.Cells[matter].Hi-b.Cells[matter].Lo) {
				matter = i
			}
		}
	}
	if matter < 0 {
		return
	}
	mc := b.Cells[matter]
	if strings.TrimSpace(b.Text[mc.Lo:mc.Hi]) == "" {
		return
	}
	first, end := d.tokens(b, mc.Lo, mc.Hi)
	if first == end {
		return
	}
	d.Actions = append(d.Actions, Action{table: true, Place: d.whole(b), Text: strings.TrimSpace(b.Text[mc.Lo:mc.Hi])})
	x := a.current()
	x.add(b, first, end, true)
	for i, c := range b.Cells {
		if i == matter {
			continue
		}
		value := strings.TrimSpace(b.Text[c.Lo:c.Hi])
		switch kinds[i] {
		case fieldOwner, fieldAuthors:
			if !noOne[prose.Lower(value)] {
				x.Owner = value
			}
		case fieldDue, fieldEnd:
			x.dueCell = true
			d.due(x, b, c.Lo, c.Hi, true, false)
		case fieldState:
			x.State = value
			if f, e := d.tokens(b, c.Lo, c.Hi); kinds[i] == fieldState {
				d.state(x, b, f, e)
				if prose.Lower(c.Head) == "done" && !d.speaks(b, f, e, negation) {
					x.Check = orElse(x.Check, value)
				}
			}
		case fieldCheck:
			if !noOne[prose.Lower(value)] {
				x.Check = value
			}
		case fieldType:
			x.Kind = prose.Lower(value)
		case fieldSource:
			x.Source = value
		case fieldCadence:
			x.Cadence = value != "" && !noOne[prose.Lower(value)]
		default:
			f, e := d.tokens(b, c.Lo, c.Hi)
			x.add(b, f, e, false)
		}
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// state reads whether an action is done.
func (d *Report) state(x *Action, b *Block, first, end int) {
	for k := first; k < end; k++ {
		switch b.toks[k].S {
		case "done", "completed", "complete", "closed", "finished", "✓", "✔", "✅", "shipped", "merged", "implemented", "fixed", "deployed":
			if k == first || !d.speaks(b, first, k, negation) && word(b, k-1) != "when" {
				x.Done = true
			}
		}
	}
}

// due reads a day of completion: from a column or field of that name, from the
// action's own words, or from the whole of it, where only a day counts.
func (d *Report) due(x *Action, b *Block, lo, hi int, column, whole bool) {
	for _, f := range b.facts {
		if f.Lo < lo || f.Hi > hi {
			continue
		}
		switch f.Kind {
		case prose.DateFact:
			anchor := d.began
			if d.Written != nil {
				anchor = d.Written.At
			}
			if !anchor.IsZero() && f.Date.Year == 0 {
				anchor = anchor.AddDate(0, 4, 0) // what is due lies ahead
			}
			if t, ok := d.day(f.Date, anchor); ok {
				x.Due, x.Dated, x.loose, x.DueAt = t, true, f.Date.Loose, d.at(b, f.Lo, f.Hi)
				return
			}
		case prose.DurationFact:
			if column || !whole && d.dueBefore(b, f) {
				x.Dated = true
			}
		}
	}
	if !column || x.Dated {
		return
	}
	v := prose.Lower(strings.TrimSpace(b.Text[lo:hi]))
	if !noOne[v] && v != "asap" && v != "soon" && v != "as soon as possible" && v != "when possible" && v != "immediately" && v != "ongoing" && v != "eventually" && v != "later" {
		x.Dated = true // a sprint, a release, a milestone
	}
	if v == "ongoing" {
		x.Dated = true
		x.Recurs = true
	}
}

func (d *Report) dueBefore(b *Block, f prose.Fact) bool {
	switch word(b, f.Before()) {
	case "due", ":":
		return true
	}
	if f.Span < 12*time.Hour { // "page the next one after 5 minutes" says when, not until when
		return false
	}
	switch word(b, f.Before()) {
	case "within", "in", "after":
		return true
	}
	return word(b, f.First-1) == "within" || word(b, f.First-1) == "in"
}

// finish reads what an action's words tell beside its fields.
func (d *Report) finish(x *Action) {
	for n, p := range x.parts {
		b := p.block
		switch kind := fieldName(b.Label); {
		case n > 0 && d.isPart(b):
			value := strings.TrimSpace(b.words())
			several := strings.ContainsAny(value, ",;|·") || strings.Contains(value, ". ")
			switch kind {
			case fieldOwner:
				if name := firstPart(value); !noOne[prose.Lower(name)] && x.Owner == "" {
					x.Owner = name
				}
			case fieldDue, fieldReported, fieldEnd:
				d.due(x, b, b.LabelAt, len(b.Text), true, false)
			case fieldState:
				x.State = value
				f, e := d.tokens(b, b.LabelAt, len(b.Text))
				d.state(x, b, f, e)
			case fieldCheck:
				if !noOne[prose.Lower(value)] {
					x.Check = value
				}
			case fieldType:
				x.Kind = prose.Lower(value)
			case fieldSource:
				x.Source = value
			case fieldCadence:
				x.Cadence = true
			}
			if several { // "Owner: Ana, due 3 November"
				d.inline(x, p)
			}
		default:
			d.inline(x, p)
		}
		own := part{b, p.first, d.matterEnd(b, p.first, p.end), p.matter}
		if d.speaks(b, own.first, own.end, recurWord) && fieldName(b.Label) != fieldCheck && recurs(d, b, own) {
			x.Recurs = true
		}
		if d.speaks(b, own.first, own.end, cadenceWord) {
			x.Cadence = true
		}
		for _, f := range b.facts {
			if f.Kind == prose.DurationFact && f.PerTime && f.First >= p.first && f.End <= p.end {
				x.Cadence = true
			}
		}
	}
}

// firstPart is a value up to the next one on its line: "Ana. Due: 3 November".
func firstPart(value string) string {
	for _, mark := range []string{". ", "; ", " | ", " · ", ", due", ", Due", ", by "} {
		if i := strings.Index(value, mark); i > 2 {
			value = value[:i]
		}
	}
	return strings.TrimRight(strings.TrimSpace(value), ".")
}

// recurs tells a duty that comes again from a machine that works "every minute".
func recurs(d *Report, b *Block, p part) bool {
	for _, h := range d.within(b, p.first, p.end, recurWord) {
		if w := b.toks[h.First].S; w == "every" {
			switch word(b, h.End) {
			case "minute", "second", "commit", "deploy", "table", "server", "change", "release", "cluster", "database", "host", "service", "team", "target", "backup", "pull", "merge", "client", "new", "single", "alert", "migration", "write", "request", "build", "one", "node", "standby", "instance", "region", "run", "restore", "restart", "page", "job", "certificate", "step":
				continue
			}
			for _, f := range b.facts {
				if f.Kind == prose.DurationFact && f.First >= h.End && f.First <= h.End+1 && f.Span < 24*time.Hour {
					return false
				}
			}
		}
	}
	return d.speaks(b, p.first, p.end, trainWord, testWord, documentWord) || d.speaks(b, p.first, p.end, vagueVerb) || d.speaks(b, p.first, min(p.end, p.first+8), recurWord) && d.meeting(b, p)
}

func (d *Report) meeting(b *Block, p part) bool {
	for k := p.first; k < p.end; k++ {
		switch b.toks[k].S {
		case "meeting", "meetings", "audit", "audits", "review", "reviews", "checks", "sync", "call", "calls", "inspection", "inspections", "report", "reports":
			return true
		}
	}
	return false
}

// inline finds owner, due day and check in an action's sentence.
func (d *Report) inline(x *Action, p part) {
	b := p.block
	lo, hi := b.toks[p.first].Lo, b.toks[p.end-1].Hi
	check, checkAt := d.inlineCheck(b, p)
	if x.Check == "" {
		x.Check = check
	}
	if x.Owner == "" {
		x.Owner = d.inlineOwner(b, p)
	}
	if !x.Dated && !x.dueCell {
		d.due(x, b, lo, min(hi, checkAt), false, false)
		if !x.Dated {
			d.due(x, b, lo, hi, false, true)
		}
	}
	if x.Dated && !x.Due.IsZero() && d.startsAt(b, p) {
		x.starts = true
	}
	for k := p.first; k < p.end; k++ {
		w := b.toks[k].S
		if (w == "done" || w == "completed" || w == "closed" || w == "shipped" || w == "merged") && word(b, k+1) != "when" && word(b, k-1) != "is" && word(b, k-1) != "be" && word(b, k+1) != "if" && word(b, k+1) != "once" && word(b, k+1) != "as" && word(b, k-1) != "considered" &&
			(k == p.first || word(b, k-1) == "(" || word(b, k-1) == "[" || word(b, k-1) == ":" || word(b, k-1) == "." || word(b, k-1) == "—" || word(b, k-1) == "–" || word(b, k-1) == ",") && word(b, k+1) != ":" {
			x.Done = true
		}
		if (w == "sprint" || w == "milestone") && (word(b, k-1) == "next" || word(b, k-1) == "this" || word(b, k-1) == "by" || k+1 < p.end && b.toks[k+1].Kind == prose.Number) {
			x.Dated = true
		}
		if w == "priority" || w == "type" {
			if word(b, k+1) == ":" {
				x.Kind = orElse(x.Kind, word(b, k+2))
			}
		}
		if (w == "addresses" || w == "mends" || w == "source" || w == "closes") && word(b, k+1) == ":" {
			x.Source = orElse(x.Source, strings.TrimSpace(b.Text[b.toks[k+1].Hi:hi]))
		}
	}
}

// startsAt reports whether the day says when something begins.
func (d *Report) startsAt(b *Block, p part) bool {
	for k := p.first; k < p.end; k++ {
		switch b.toks[k].S {
		case "starting", "from", "beginning", "commencing", "start", "starts", "begins", "first", "begin":
			for _, f := range b.facts {
				if f.Kind == prose.DateFact && f.First > k && f.First-k <= 5 {
					return true
				}
			}
		}
	}
	return false
}

// checkMarks are words after which a report says how one can tell.
var checkMarks = [][]string{
	{"done", "when"}, {"verified", "by"}, {"verified", "with"}, {"verified", "when"}, {"acceptance"}, {"acceptance", "criterion"}, {"measured", "by"}, {"measured", "as"}, {"checked", "by"}, {"closed", "when"}, {"complete", "when"}, {"completed", "when"},
	{"proof", ":"}, {"evidence", ":"}, {"check", ":"}, {"success", ":"}, {"proven", "by"}, {"proved", "by"}, {"confirmed", "by"}, {"until"}, {"finished", "when"}, {"we", "know", "it", "is", "done"}, {"test", ":"}, {"validated", "by"}, {"verify", ":"}, {"verification", ":"},
	{"done", "if"}, {"done", "once"}, {"passes", "when"}, {"done", "means"}, {"done", ":"}, {"exit", "criterion"}, {"exit", "criteria"}, {"and", "prove"}, {"and", "verify"}, {"and", "test"}, {"and", "confirm"}, {"demonstrated", "by"}, {"shown", "by"}, {"tested", "by"}, {"success", "is"}, {"accepted", "when"}, {"counts", "as", "done"}, {"validation", ":"}, {"is", "done", "as", "soon"}, {"tracked", "by"}, {"complete", "once"}, {"completed", "once"}, {"check", "is"}, {"proof", "is"}, {"will", "be", "checked"}, {"will", "be", "verified"}, {"measured", "with"}, {"considered", "done"}, {"considered", "finished"}, {"criterion", ":"}, {"success", "criterion"}, {"success", "criteria"}, {"success", "measure"}, {"definition", "of", "done"}, {"is", "finished", "when"}, {"ready", "when"}, {"verifiable", "by"}, {"proven", "when"}, {"proved", "when"}, {"tested", "with"}, {"tested", "in"}, {"closes", "when"}, {"closes", "once"}, {"checkable", "by"}, {"evidenced", "by"}, {"we", "will", "know"}, {"success", "looks", "like"}, {"ends", "when"}, {"seen", "by"}, {"judged", "by"}, {"proof", "that"}, {"test", "is"}, {"fulfilled", "when"}, {"checked", "with"}, {"checked", "when"}, {"checked", "in"}, {"evidence", "is"}, {"confirmed", "when"}, {"confirmed", "with"}, {"effective", "when"}, {"effective", "if"}, {"effectiveness", ":"},
}

// checksByWord are the same by their first word.
var checksByWord = func() map[string][][]string {
	out := map[string][][]string{}
	for _, m := range checkMarks {
		out[m[0]] = append(out[m[0]], m)
	}
	return out
}()

func (d *Report) inlineCheck(b *Block, p part) (string, int) {
	end := b.toks[p.end-1].Hi
	for k := p.first; k < p.end; k++ {
		for _, m := range checksByWord[b.toks[k].S] {
			if k+len(m) >= p.end {
				continue
			}
			ok := true
			for i, w := range m {
				if word(b, k+i) != w {
					ok = false
					break
				}
			}
			if !ok || m[0] == "until" && d.dateFollows(b, k) {
				continue
			}
			return strings.TrimSpace(b.Text[b.toks[k].Lo:end]), b.toks[k].Lo
		}
	}
	return "", end
}

func (d *Report) dateFollows(b *Block, k int) bool {
	for _, f := range b.facts {
		if f.First > k && f.First-k <= 3 && (f.Kind == prose.DateFact || f.Kind == prose.ClockFact) {
			return true
		}
	}
	return false
}
