package postmortem

import (
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// fieldKind is what a named value is.
type fieldKind string

const (
	noField       fieldKind = ""
	fieldTitle    fieldKind = "title"
	fieldReported fieldKind = "report date"
	fieldDay      fieldKind = "incident date"
	fieldStart    fieldKind = "start"
	fieldDetected fieldKind = "detected"
	fieldAcked    fieldKind = "acknowledged"
	fieldMitigate fieldKind = "mitigated"
	fieldEnd      fieldKind = "end"
	fieldDown     fieldKind = "downtime"
	fieldTTD      fieldKind = "time to detect"
	fieldTTA      fieldKind = "time to acknowledge"
	fieldTTM      fieldKind = "time to mitigate"
	fieldTTR      fieldKind = "time to resolve"
	fieldSeverity fieldKind = "severity"
	fieldAuthors  fieldKind = "authors"
	fieldOwner    fieldKind = "owner"
	fieldDue      fieldKind = "due"
	fieldState    fieldKind = "state"
	fieldZone     fieldKind = "zone"
	fieldLoss     fieldKind = "data loss"
	fieldCheck    fieldKind = "check"
	fieldType     fieldKind = "kind"
	fieldSource   fieldKind = "source"
	fieldAction   fieldKind = "action"
	fieldCadence  fieldKind = "cadence"
)

var fieldNames = []struct {
	kind  fieldKind
	names string
}{
	{fieldReported, "date|report date|drafted on|sent on|sent|date of report|reported on|report written|written|written on|prepared|prepared on|published|published on|created|last updated|updated|postmortem date|post mortem date|date written|document date|issued|date of issue|review date|date of this report|report issued|date prepared|dated|report dated|date published|postmortem written|drafted|report finished|date of review|date of debrief|date of post mortem|meeting date|report of|reviewed on|written at"},
	{fieldDay, "date of event|incident date|date of incident|outage date|date of outage|day of incident|date of the incident|date of the outage|day|occurred on"},
	{fieldStart, "start|started|start time|incident opened|began|incident start|outage start|impact start|start of outage|start of incident|began at|time of failure|time of outage|beginning|from|incident started|outage began|impact began|when did it start|when did it begin|onset|time of occurrence|incident began|start of impact|occurred|failure|time of incident|started at|outage started|failed at|first failure|first error|date and time|incident date and time|incident time|start date|impact started|start time of impact|incident start time|time started|outage from"},
	{fieldDetected, "detected|detection|detected at|how was it detected|when did we notice|when was it detected|time of detection|first alert|alerted|noticed|discovered|detection time|incident detected|discovery|found|first noticed|alert fired|first page|alert|identified|paged|paged at|reported at|first detected|when detected|time detected"},
	{fieldAcked, "acknowledged|incident acknowledged|when did we acknowledge|who acknowledged|on call responded at|acknowledgement|acknowledgment|acked|acknowledged at|time of acknowledgement|ack|ack time|first response|responded|response started|response began|engaged|first responder|picked up|answered|first responder on|on call engaged|on call responded|response time|response start"},
	{fieldMitigate, "mitigated|mitigation|mitigated at|how did we mitigate|when was it mitigated|time of mitigation|workaround|contained|stabilised|stabilized|impact mitigated|mitigation time|containment|bleeding stopped|workaround in place"},
	{fieldEnd, "end|ended|end time|fully restored|fully recovered|fully resolved|when was it over|when did it end|resolved|resolution|resolved at|incident end|outage end|impact end|end of outage|end of incident|restored|recovered|until|to|closed|time of resolution|service restored|all clear|fixed|incident resolved|incident closed|impact ended|resolution time stamp|finish|end of impact|recovery|recovered at|restored at|back in service|ended at|outage ended|stopped|time of recovery|time resolved|time restored|incident ended|over"},
	{fieldDown, "duration|downtime|outage duration|how long|how long did it last|total downtime|incident duration|length|total duration|duration of outage|impact duration|unavailability|outage length|time down|total outage|total outage time|duration of incident|length of outage|duration of impact|outage|time out of service|total unavailability|customer downtime|unavailable for|down for|duration of the outage"},
	{fieldTTD, "time to detect|ttd|mttd|time to detection|detection delay|time until detection|detected after|mean time to detect"},
	{fieldTTA, "time to acknowledge|tta|mtta|time to acknowledgement|time to respond|acknowledged after|mean time to acknowledge|time to engage"},
	{fieldTTM, "time to mitigate|ttm|mttm|time to mitigation|mitigated after"},
	{fieldTTR, "time to resolve|ttr|mttr|time to resolution|resolution time|time to recover|time to restore|time to recovery|resolved after|resolved in|resolved within|recovery time|mean time to resolve|mean time to recovery|restored after|time to repair|time to fix|mean time to repair"},
	{fieldSeverity, "severity|sev|priority|severity level|incident severity|impact level|incident priority"},
	{fieldAuthors, "author|authors|written by|prepared by|report by|by|report author|report owner|postmortem owner|post mortem owner|document owner|compiled by|reported by|facilitator|editor"},
	{fieldOwner, "owner|owners|assignee|assigned|assigned to|responsible|responsible person|who|dri|lead|accountable|action owner|point person|person|responsibility|owned by|responsible party|in charge|team|holder|assigned owner"},
	{fieldDue, "due|due date|deadline|by|by when|target date|eta|completion|completion date|when|due by|target|to be done by|planned for|finish by|planned|target completion|expected|until when|needed by|delivery|done by|completed by|date due|expected completion|complete by"},
	{fieldState, "status|state|progress|done"},
	{fieldZone, "time zone|timezone|zone|times|all times|tz"},
	{fieldLoss, "data loss|data lost|rpo achieved|lost data|rpo actual"},
	{fieldCheck, "check|verification|verified by|done when|how we know|acceptance|acceptance criteria|acceptance criterion|exit criterion|exit criteria|evidence|success measure|measure|success criterion|definition of done|proof|closed when|completion check|how verified|verify|validation|test|measured by|success criteria|we will know|done means|criterion|completion criterion|success looks like"},
	{fieldType, "type|kind|category|action type|class"},
	{fieldSource, "source|cause|addresses|for|origin|finding|related to|mends|which cause|challenge|lesson|root cause addressed|reason|problem|why|closes|relates to|from"},
	{fieldAction, "action|action item|item|task|description|what|todo|activity|measure|corrective action|preventive action|countermeasure|step|follow up|work|improvement|ticket summary|summary|actions|commitment|change|remediation|to do|repair"},
	{fieldCadence, "cadence|frequency|how often|interval|recurrence|repeats"},
	{fieldTitle, "title|incident|subject|incident title|postmortem|report"},
}

// fieldName is the kind of value that a name stands for.
func fieldName(name string) fieldKind {
	if len(name) > 60 {
		return noField
	}
	given := bilingual(name)
	if i := strings.IndexAny(name, "(["); i > 0 {
		name = name[:i] // "Start (UTC)"
	}
	name = " " + strings.ReplaceAll(bare(name), "-", " ") + " "
	for _, z := range []string{" utc ", " cet ", " cest ", " gmt ", " local ", " est ", " pst "} {
		name = strings.Replace(name, z, " ", 1)
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return noField
	}
	if k := fieldKinds[name]; k != noField || given == nil {
		return k
	}
	for _, part := range given { // "Created / erstellt"
		if k := fieldKinds[bare(part)]; k != noField {
			return k
		}
	}
	return noField
}

// fieldKinds are the names of values, each with its first kind.
var fieldKinds = func() map[string]fieldKind {
	out := map[string]fieldKind{}
	for _, f := range fieldNames {
		for _, n := range strings.Split(f.names, "|") {
			if _, is := out[n]; !is {
				out[n] = f.kind
			}
		}
	}
	return out
}()

// readFields gathers labels with their values, and tables of two columns.
func (d *Report) readFields() {
	for i, b := range d.Blocks {
		switch {
		case b.Label != "" && strings.TrimSpace(b.words()) != "":
			d.fieldsOf(b)
		case b.Kind == Row && !b.Head:
			d.rowFields(b)
		case b.Kind == Heading && i+1 < len(d.Blocks):
			// A heading such as "Duration" over one line is a field, too.
			n := d.Blocks[i+1]
			k := fieldName(d.Sections[b.Section].Title)
			if (k == fieldDown || k == fieldSeverity || k == fieldReported || k == fieldAuthors || k == fieldStart || k == fieldEnd) && n.Kind == Paragraph && n.Label == "" && len(n.Text) < 120 {
				d.field(n, d.Sections[b.Section].Title, 0, len(n.Text))
			}
		}
	}
}

// fieldsOf makes the fields of a line that holds one, or several with marks between
// them: "Start: 06:00 · Detected: 08:40".
func (d *Report) fieldsOf(b *Block) {
	name, lo := b.Label, b.LabelAt
	for _, mark := range []string{" · ", " • ", " | ", " ‖ ", ". "} {
		for {
			i := strings.Index(b.Text[lo:], mark)
			if i < 0 {
				break
			}
			next := lo + i + len(mark)
			colon := strings.Index(b.Text[next:], ":")
			if colon <= 0 || colon > 40 || fieldName(b.Text[next:next+colon]) == noField {
				break
			}
			d.field(b, name, lo, lo+i)
			name, lo = b.Text[next:next+colon], next+colon+1
			for lo < len(b.Text) && b.Text[lo] == ' ' {
				lo++
			}
		}
	}
	d.field(b, name, lo, len(b.Text))
}

func (d *Report) rowFields(b *Block) {
	if d.in(b, ActionItems, Recommendations) || d.in(b, Timeline) && len(b.facts) > 0 && b.facts[0].Lo < 3 {
		return
	}
	filled := 0
	for _, c := range b.Cells {
		if strings.TrimSpace(b.Text[c.Lo:c.Hi]) != "" {
			filled++
		}
	}
	for n, c := range b.Cells {
		if n == 0 && filled >= 2 && len(b.Cells) > 1 {
			if name := b.Text[c.Lo:c.Hi]; filled == 2 && len(name) < 60 || fieldName(name) != noField {
				d.field(b, name, b.Cells[1].Lo, b.Cells[1].Hi)
				continue
			}
		}
		if c.Head != "" && fieldName(c.Head) != noField && !(filled == 2 && n > 0) {
			d.field(b, c.Head, c.Lo, c.Hi)
		}
	}
}

func (d *Report) field(b *Block, name string, lo, hi int) {
	d.Fields = append(d.Fields, Field{Name: strings.TrimSpace(name), Kind: fieldName(name), Block: b, Lo: lo, Hi: hi, Place: d.at(b, lo, hi)})
}

// facts are those of a range of a block's text.
func (f Field) facts() []prose.Fact {
	var out []prose.Fact
	for _, x := range f.Block.facts {
		if x.Lo >= f.Lo && x.Hi <= f.Hi {
			out = append(out, x)
		}
	}
	return out
}

// value is a field's words.
func (f Field) value() string { return strings.TrimSpace(f.Block.Text[f.Lo:f.Hi]) }

// first is the first field of a kind outside of actions.
func (d *Report) first(kind fieldKind) (Field, bool) {
	for _, f := range d.Fields {
		if f.Kind == kind && !d.in(f.Block, ActionItems, Recommendations, Timeline) {
			return f, true
		}
	}
	return Field{}, false
}
