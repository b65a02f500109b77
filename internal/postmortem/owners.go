package postmortem

import (
	"strings"

	"github.com/refloat-db/refloat/internal/postmortem/prose"
)

// teamNouns end the name of a group that can own an action.
var teamNouns = setOf(`team teams squad group department engineering operations ops sre sres dba dbas infrastructure platform support
	security devops it management manager lead leads cto ciso officer administrator administrators engineer
	engineers guild coordinator desk commander head director crew office vendor`)

func isTeam(w string) bool { return teamNouns[w] || teamNouns[strings.TrimSuffix(w, "s")] }

// inlineOwner finds who does it: "Owner: Ana", "@ana", "(Ana)", "— Ana", "Ana
// will …", "assigned to the platform team".
func (d *Report) inlineOwner(b *Block, p part) string {
	if o := d.markedOwner(b, p); o != "" {
		return o
	}
	if o := d.subjectOwner(b, p); o != "" {
		return o
	}
	return d.asideOwner(b, p)
}

func (d *Report) markedOwner(b *Block, p part) string {
	for k := p.first; k < p.end; k++ {
		t := b.toks[k]
		if t.S == "@" && k+1 < p.end && !b.toks[k+1].Gap && b.toks[k+1].Kind == prose.Word && (k == p.first || t.Gap || b.toks[k-1].Kind == prose.Mark) {
			return b.toks[k+1].S
		}
		at := 0
		switch t.S {
		case "owner", "owners", "assignee", "dri", "responsible", "accountable", "lead", "owned", "assigned", "who":
			switch {
			case word(b, k+1) == ":" || word(b, k+1) == "=" || word(b, k+1) == "is":
				at = k + 2
			case t.S == "owned" && word(b, k+1) == "by":
				at = k + 2
			case t.S == "assigned" && word(b, k+1) == "to":
				at = k + 2
			case (t.S == "owner" || t.S == "dri" || t.S == "responsible") && k+1 < p.end && prose.Capital(b.Text, b.toks[k+1]):
				at = k + 1
			case t.S == "responsible" && word(b, k+1) == "for":
				at = 0
			}
		case "by":
			if k+1 < p.end && d.personAt(b, k+1, p.end) && !b.dated(k+1) {
				at = k + 1
			}
		}
		if at > 0 && at < p.end {
			if o := ownerText(b, at, p.end); !noOne[prose.Lower(o)] {
				return o
			}
		}
	}
	return ""
}

// ownerText is a name up to the next mark.
func ownerText(b *Block, at, end int) string {
	for at < end && (b.toks[at].S == "the" || b.toks[at].S == "@" || b.toks[at].S == ":") {
		at++
	}
	stop := at
	for stop < end && stop < at+6 {
		switch b.toks[stop].S {
		case ",", ";", ".", ")", "]", "(", "|", "—", "–", "·", "by", "due", "until", "/", "[", "before", ":":
			if stop == at || b.toks[stop].S == "." && !b.toks[stop].Gap && stop-at == 1 && len(b.toks[at].S) == 1 {
				stop++
				continue
			}
			return strings.TrimSpace(b.Text[b.toks[at].Lo:b.toks[stop-1].Hi])
		}
		stop++
	}
	if stop == at {
		return ""
	}
	return strings.TrimSpace(b.Text[b.toks[at].Lo:b.toks[stop-1].Hi])
}

// dated reports whether a date begins at a token.
func (b *Block) dated(k int) bool {
	for _, f := range b.facts {
		if k >= f.First && k < f.End && (f.Kind == prose.DateFact || f.Kind == prose.ClockFact) {
			return true
		}
	}
	return false
}

// personAt reports whether a token begins a name of a person or of a group.
func (d *Report) personAt(b *Block, k, end int) bool {
	if k >= end || b.toks[k].Kind != prose.Word || b.dated(k) {
		return false
	}
	if b.toks[k].S == "the" || b.toks[k].S == "our" {
		for i := k + 1; i < end && i < k+5; i++ {
			if isTeam(b.toks[i].S) {
				return true
			}
		}
		return false
	}
	if !prose.Capital(b.Text, b.toks[k]) || notNames[b.toks[k].S] {
		return false
	}
	return true
}

// notNames begin with a capital without being a name.
var notNames = setOf(`the a an this that we it they all every each any no new postgresql postgres wal ci sla slo rto rpo dns tls api
	sql aws gcp azure kubernetes grafana prometheus terraform ansible jira github gitlab slack utc cet cest q
	backup backups production staging s redis kafka linux cpu http https alert alerts monitoring training
	documentation s3 if when then also done due in on by to for from high low medium critical urgent p prevent
	detect mitigate process open closed status priority type owner action item ticket verified check acceptance
	rca ai both next end sev repair monday tuesday wednesday thursday friday saturday sunday patroni pgbouncer
	barman pgbackrest`)

// subjectOwner finds "Ana will …", "Platform team to …", "DBA team: …".
func (d *Report) subjectOwner(b *Block, p part) string {
	k := p.first
	for k < p.end && (b.toks[k].Kind == prose.Number || b.toks[k].Kind == prose.Mark) && k < p.first+5 {
		k++
	}
	if k+2 < p.end && d.personAt(b, k, p.end) && d.names(b, k, k+1) && !isTeam(b.toks[k].S) && len(word(b, k+1)) > 3 && strings.HasSuffix(word(b, k+1), "s") && !prose.Capital(b.Text, b.toks[k+1]) && b.toks[k+2].Kind == prose.Word && !strings.HasSuffix(b.toks[k].S, "s") && !d.plural(b, k+1) {
		return b.Text[b.toks[k].Lo:b.toks[k].Hi] // "Ravi configures the watchdog"
	}
	for i := k + 1; i < p.end && i < k+7; i++ {
		switch b.toks[i].S {
		case "will", "to", "shall", "must", "should", "is":
			if b.toks[i].S == "is" && word(b, i+1) != "to" && word(b, i+1) != "responsible" && word(b, i+1) != "going" && word(b, i+1) != "adding" {
				continue
			}
			if d.personAt(b, k, p.end) && (b.toks[i].S == "will" || b.toks[i].S == "shall" || d.names(b, k, i)) {
				if d.speaks(b, k, i, buildWord, trainWord, documentWord, testWord, vagueVerb, recurWord) && !d.names(b, k, i) {
					return ""
				}
				if !d.names(b, k, i) && i-k > 2 || noOne[b.toks[k].S] || d.thing(b, k, i) {
					return ""
				}
				return strings.TrimSpace(b.Text[b.toks[k].Lo:b.toks[i-1].Hi])
			}
			return ""
		case ":":
			if i <= k+4 && d.personAt(b, k, p.end) && d.names(b, k, i) && fieldName(b.Text[b.toks[k].Lo:b.toks[i-1].Hi]) == noField {
				return strings.TrimSpace(b.Text[b.toks[k].Lo:b.toks[i-1].Hi])
			}
			return ""
		case ",", ".", ";", "(", "by", "in", "on", "for", "when", "so", "that":
			return ""
		}
	}
	return ""
}

// plural reports whether a word that ends like a verb is a noun of many with its own
// verb behind it: "Maintenance jobs carry a window".
func (d *Report) plural(b *Block, k int) bool {
	if d.topics(b, k, k+1) == 0 && !d.speaks(b, k, k+1, serviceWord) {
		return false
	}
	switch word(b, k+1) {
	case "the", "a", "an", "all", "our", "its", "each", "every", "this", "that", "these", "both", "one", "two", "any", "for", "on", "in":
		return false
	}
	return b.toks[k+1].Kind == prose.Word && k+2 < len(b.toks) && func() bool {
		switch word(b, k+2) {
		case "the", "a", "an", "all", "our", "its", "each", "every", "from", "to", "at", "in", "on", "with":
			return true
		}
		return false
	}()
}

// names reports whether tokens are a group, or one or two words that may be a
// person's name.
func (d *Report) names(b *Block, first, end int) bool {
	for k := first; k < end; k++ {
		if isTeam(b.toks[k].S) {
			return true
		}
	}
	if end-first > 3 || d.thing(b, first, end) {
		return false
	}
	for k := first; k < end; k++ {
		if b.toks[k].Kind == prose.Word && !prose.Capital(b.Text, b.toks[k]) && b.toks[k].S != "and" && b.toks[k].S != "de" && b.toks[k].S != "van" {
			return false
		}
		if notNames[b.toks[k].S] {
			return false
		}
	}
	return true
}

// thing reports whether a subject is a thing that reports speak of.
func (d *Report) thing(b *Block, first, end int) bool {
	for _, h := range d.hits(b) {
		if h.First >= first && h.End <= end && (h.Class >= firstTopic || h.Class == buildWord || h.Class == watchWord || h.Class == documentWord || h.Class == trainWord || h.Class == vagueVerb) {
			return true
		}
	}
	return false
}

// asideOwner finds a name in brackets, after a dash, or at the end.
func (d *Report) asideOwner(b *Block, p part) string {
	for k := p.first; k < p.end; k++ {
		switch b.toks[k].S {
		case "(", "[", "—", "–", "-", "|", "→", ">", "·", ";", ".", ",", "/":
		default:
			continue
		}
		if b.toks[k].S == "-" && !(b.toks[k].Gap && k+1 < p.end && b.toks[k+1].Gap) {
			continue
		}
		at := k + 1
		if at >= p.end || b.toks[at].Kind != prose.Word || b.dated(at) {
			continue
		}
		stop := at
		for stop < p.end && stop < at+5 && b.toks[stop].Kind == prose.Word && !b.dated(stop) && b.toks[stop].S != "by" && b.toks[stop].S != "due" && b.toks[stop].S != "until" && b.toks[stop].S != "before" {
			stop++
			if stop < p.end && b.toks[stop].S == "." && stop-at == 1 && len(b.toks[at].S) == 1 { // "A. Weber"
				stop++
			}
		}
		closed := stop >= p.end
		if !closed {
			switch b.toks[stop].S {
			case ")", "]", ",", ";", ".", "—", "–", "-", "by", "due", "until", "|", "·", "→", "/", "before", "&", "(":
				closed = true
			}
			closed = closed || b.dated(stop)
		}
		if mark := b.toks[k].S; (mark == "." || mark == ",") && !(d.team(b, at, stop) || mark == "," && d.names(b, at, stop) && stop < p.end && (b.dated(stop) || b.toks[stop].S == "by" || b.toks[stop].S == "due" || b.toks[stop].S == ",") || mark == "." && d.names(b, at, stop) && closed) {
			continue
		}
		if closed && stop > at && stop-at <= 4 && (d.names(b, at, stop) && prose.Capital(b.Text, b.toks[at]) || d.team(b, at, stop)) {
			return strings.TrimSpace(b.Text[b.toks[at].Lo:b.toks[stop-1].Hi])
		}
	}
	return ""
}

// team reports whether a few tokens end with the name of a group.
func (d *Report) team(b *Block, first, end int) bool {
	return end > first && isTeam(b.toks[end-1].S) && end-first <= 5 && !d.speaks(b, first, end, buildWord, trainWord, vagueVerb, documentWord)
}
