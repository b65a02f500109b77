package postmortem

import (
	"strings"
	"unicode"
)

// SectionKind is what a section is about.
type SectionKind string

// The kinds of sections.
const (
	NoSection       SectionKind = ""
	Meta            SectionKind = "particulars"
	Introduction    SectionKind = "introduction"
	ObjectiveGroup  SectionKind = "objectives"
	Summary         SectionKind = "summary"
	Impact          SectionKind = "impact"
	Timeline        SectionKind = "timeline"
	Detection       SectionKind = "detection"
	Response        SectionKind = "response"
	Recovery        SectionKind = "recovery"
	RootCause       SectionKind = "root cause"
	Contributing    SectionKind = "contributing factors"
	Successes       SectionKind = "successes"
	Challenges      SectionKind = "challenges"
	Luck            SectionKind = "luck"
	Lessons         SectionKind = "lessons"
	Recommendations SectionKind = "recommendations"
	ActionItems     SectionKind = "action items"
	Conclusion      SectionKind = "conclusion"
	Glossary        SectionKind = "glossary"
	Communications  SectionKind = "communications"
	Before          SectionKind = "before the outage" // what was visible before it began
	Earlier         SectionKind = "similar incidents"
	Other           SectionKind = "other"
)

// headings are the names of sections, in the order in which they win.
var headings = []struct {
	kind  SectionKind
	names string // parted by bars
}{
	{Contributing, "contributing factors|contributing causes|contributing conditions|contributory factors|contributors|what contributed|secondary causes|aggravating factors|other causes|underlying factors"},
	{Before, "before the outage|before the incident|what was visible before|visible before|what was known before|known before|earlier signs|early signs"},
	{Earlier, "similar incidents|similar earlier incidents|earlier incidents|previous incidents|past incidents|related incidents"},
	{Communications, "communication log|internal communication|external communication|customer communication|communications|communication|stakeholder communication|status page updates|messaging|external messaging|internal messaging"},
	{Luck, "where we got lucky|luck|lucky breaks|got lucky|what was lucky|fortunate|how we got lucky|where luck helped|good fortune"},
	{ActionItems, "action items|actions|action plan|follow up actions|follow ups|followups|follow up|corrective actions|preventive actions|corrective measures|preventive measures|preventative measures|preventative actions|corrective and preventive actions|remediation items|remediation|remediation plan|next steps|to do|todo|todos|to dos|tasks|what we are doing|what we will do|what are we doing|what we are changing|agreed actions|what we do|agreed measures|what happens next|tickets|commitments|work items|capa|jira tickets|repair items|improvement plan|measures|what changes now|our commitments|planned work|what we do now|what we do next|what we will do next|what we do about it|our plan|what happens now|what we change|what we are doing about it|what we're doing|what we're doing about it|preventing recurrence|prevention|prevention plan|how we prevent this|how we will prevent this|what is next|what's next|steps taken|steps|commitments and actions|how do we prevent this|going forward|moving forward|future prevention"},
	{Recommendations, "recommendations|recommendation|suggestions|suggested improvements|proposals|we recommend|advice|proposed improvements|improvements|opportunities for improvement"},
	{Challenges, "what could be better|what could have been better|what was difficult|what was harder than it should be|what did not go so well|what didn't go so well|went badly|bad|what we could do better|what hindered|stop or change|stop doing|what to change|what went wrong|what did not go well|what didn't go well|what went poorly|challenges|challenge|difficulties|problems|problems encountered|obstacles|what could have gone better|what could be improved|areas for improvement|shortcomings|weaknesses|what hindered us|what hurt|what was hard|failures|issues encountered|the bad|negatives|where we struggled|pain points|what slowed us down|what made it worse|what didn't work|what did not work|gaps|struggles|setbacks|complications|areas of concern|things that went badly|things that went poorly|what did not|minuses|what bit us|what was not good|what was bad|what went not well|what went not so well|not so good|what we did badly|went badly|went wrong|what we struggled with|less good"},
	{Successes, "what went well|what went right|what worked|what worked well|successes|success|positives|strengths|what helped|achievements|the good|things that went well|highlights|accomplishments|wins|what saved us|keep doing|pluses|what we did well|bright spots|positive outcomes|what was good|went well|the positive|good"},
	{RootCause, "root cause|root causes|root cause analysis|cause|causes|cause of the outage|cause of failure|cause of incident|cause analysis|why it happened|why|why did it happen|why did this happen|what were the root causes|five whys|5 whys|analysis|technical analysis|fault|rca|underlying cause|what caused it|what caused the outage|what caused this|trigger and cause|trigger|technical root cause|origin|proximate cause|diagnosis|findings|the cause|why this happened|reason for outage|reason"},
	{ObjectiveGroup, "objectives|objective|objectives and indicators|goals|targets|kpis|kpi|key performance indicators|indicators|success criteria|success indicators|slo|slos|service level objectives|service levels|assessment of objectives|service level|service level agreement|service level agreements|service level performance|service objectives|recovery objectives|sla|slas|goals and objectives|performance indicators|objectives and key results|success metrics|response objectives|what we promise|promises|commitments to clients|measures of success|aims|purpose|aim"},
	{Timeline, "timeline|time line|chronology|sequence of events|event log|incident log|log of events|order of events|timeline of events|incident timeline|events|course of events|history|key times|key timestamps|milestones|what happened when|minute by minute|logbook"},
	{Detection, "detection|how we found out|discovery|how was it detected|how it was detected|monitoring and detection|identification|how we noticed|alerting"},
	{Recovery, "recovery|resolution|restoration|mitigation|resolution and recovery|resolution and mitigation|how we fixed it|how it was fixed|fix|restore|service restoration|how we recovered|repair|data recovery|recovery steps|recovery actions"},
	{Response, "response|incident response|our response|handling|how we responded|incident handling|responders|escalation|first response|response effort"},
	{Impact, "impact|customer impact|user impact|business impact|client impact|impact assessment|damage|effects|effect on customers|consequences|who was affected|scope|scope of impact|severity and impact|affected users|affected services|service impact|impact analysis|blast radius|impact on users|impact on customers|what it cost|data loss|losses|cost"},
	{Lessons, "lessons learned|lessons learnt|lessons|lesson|learnings|what we learned|what we learnt|takeaways|key takeaways|insights|what have we learned|things we learned|retrospective|reflection|reflections"},
	{Glossary, "glossary|glossary of times|definitions|terms|abbreviations|supporting information|appendix|references|times and zones|legend"},
	{Conclusion, "conclusion|conclusions|closing|closing remarks|closing words|final remarks|final words|concluding remarks|wrap up|closing statement|final thoughts|in closing|verdict|outcome|closure"},
	{Meta, "particulars|metadata|document control|incident details|details|incident information|report details|header|at a glance|key facts|facts|quick facts|fact sheet|document information|general information|incident data"},
	{Summary, "summary|executive summary|incident summary|overview|incident overview|abstract|synopsis|what happened|description|incident description|tl dr|tldr|in brief|in short|management summary|issue summary|event summary|short version|the incident|problem statement|leadup|lead up|fault description|problem description"},
	{Introduction, "introduction|background|context|preface|intro|about this report|foreword|preamble|general"},
}

// headingKinds and headingNames hold the table by name.
func headingTable() map[string]SectionKind {
	out := map[string]SectionKind{}
	for _, h := range headings {
		for _, n := range strings.Split(h.names, "|") {
			if _, is := out[n]; !is {
				out[n] = h.kind
			}
		}
	}
	return out
}

// bare leaves of a heading its words in lower case: no numbering, marks or
// pictures.
func bare(title string) string {
	if strings.HasPrefix(title, ":") {
		title = shortcode(title)
	}
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'':
			b.WriteRune(r)
		case r == '’':
			b.WriteByte('\'')
		default:
			b.WriteByte(' ')
		}
	}
	words := strings.Fields(b.String())
	for len(words) > 1 && (numeral(words[0]) || len(words[0]) == 1 && words[0] != "a" && strings.ContainsAny(title, ".)")) {
		words = words[1:]
	}
	for len(words) > 1 && (words[0] == "the" || words[0] == "section" || words[0] == "part" || words[0] == "our") {
		words = words[1:]
	}
	return strings.Join(words, " ")
}

func numeral(w string) bool {
	return strings.Trim(w, "0123456789") == "" || strings.Trim(w, "ivx") == "" && w != "i"
}

// named is the kind of a heading whose words are exactly a name in the table, or
// a name misspelt by one letter.
func (r *reader) named(title string) SectionKind {
	if len(title) > 80 {
		return NoSection
	}
	w := bare(title)
	if k, is := r.table[w]; is {
		return k
	}
	for _, part := range bilingual(title) { // "Timeline / Verlauf"
		if k, is := r.table[bare(part)]; is {
			return k
		}
	}
	if len(w) >= 6 && len(w) <= 30 {
		for _, n := range r.names {
			if abs(len(n)-len(w)) <= 1 && n[0] == w[0] && near(n, w) {
				return r.table[n]
			}
		}
	}
	return NoSection
}

// bilingual are the two names of a title that is told in two languages.
func bilingual(title string) []string {
	parts := strings.Split(title, " / ")
	if len(parts) != 2 || strings.TrimSpace(parts[0]) == "" || strings.TrimSpace(parts[1]) == "" {
		return nil
	}
	return parts
}

// shortcode takes a chat's pictures from the front of a title: ":mag: Why".
func shortcode(title string) string {
	t := strings.TrimSpace(title)
	for strings.HasPrefix(t, ":") {
		i := strings.IndexByte(t[1:], ':')
		if i < 1 || i > 40 || strings.ContainsAny(t[1:i+1], " \t") || strings.TrimSpace(t[i+2:]) == "" {
			break
		}
		t = strings.TrimSpace(t[i+2:])
	}
	return t
}

// about is the kind of a heading by the longest name within it.
func (r *reader) about(title string) SectionKind {
	if k := r.named(title); k != NoSection {
		return k
	}
	if len(title) > 120 {
		return NoSection
	}
	const longest = 8 // words of a name
	w := bare(title)
	var from [longest]int // where the last words begin, by turns
	found, best, n := NoSection, len(headings), 0
	for i := 0; i <= len(w); i++ {
		if i == 0 || w[i-1] == ' ' {
			from[n%longest] = i
			n++
		}
		if i < len(w) && w[i] != ' ' {
			continue
		}
		for k := max(0, n-longest); k < n; k++ {
			name := w[from[k%longest]:i]
			kind, is := r.table[name]
			if !is || weak[name] {
				continue
			}
			if at := r.order[kind]; at < best {
				found, best = kind, at
			}
		}
	}
	return found
}

// weak names say little inside a longer heading.
var weak = map[string]bool{
	"cause": true, "why": true, "tasks": true, "success": true, "fault": true, "reason": true, "general": true, "history": true, "scope": true, "fix": true, "facts": true, "events": true, "problems": true,
	"gaps": true, "details": true, "header": true, "outcome": true, "terms": true, "analysis": true, "context": true, "description": true, "the incident": true, "communication": true, "communications": true,
	"failures": true, "closing": true, "cost": true, "origin": true, "trigger": true, "response": false, "aim": true, "purpose": true, "measures": true, "restore": true, "repair": true, "success criteria": true, "issue summary": false, "incident response": true, "handling": true, "indicators": false, "findings": true, "background": false, "follow up": true, "events log": true, "damage": true, "targets": true, "resolution": false, "alerting": true, "escalation": true, "luck": true, "challenge": true, "objective": true, "reference": true, "what did not": true, "positives": true, "before the outage": true, "before the incident": true, "similar incidents": true, "earlier incidents": true, "previous incidents": true, "past incidents": true, "related incidents": true, "early signs": true, "earlier signs": true, "known before": true, "visible before": true, "effects": true, "verdict": true, "closure": true, "intro": true,
}

func abs(n int) int { return max(n, -n) }

// near reports whether two words differ by one letter put in, left out, changed
// or by two that changed places.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		if i == len(a) || a[i+1:] == b[i+1:] {
			return true
		}
		return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return a[i:] == b[i+1:]
}
