package postmortem

import "strings"

// heading reads a line as a heading where it is one: #, underlined, bold,
// numbered, in capitals, or a known name on a line of its own.
func (r *reader) heading(lines []line, i int, t string, lo, hi int) bool {
	if n := strings.IndexFunc(t, func(c rune) bool { return c != '#' }); n > 0 && n <= 6 && (t[n] == ' ' || t[n] == '\t') {
		r.head(n, strings.Trim(t[n:], " #\t"), lo+n, hi)
		return true
	}
	if len(t) > 4 && t[0] == 'h' && t[1] >= '1' && t[1] <= '6' && t[2] == '.' && t[3] == ' ' { // Jira
		r.head(int(t[1]-'0'), t[4:], lo+4, hi)
		return true
	}
	if n := strings.IndexFunc(t, func(c rune) bool { return c != '=' }); n > 0 && n <= 6 && t[n] == ' ' {
		r.head(n, strings.Trim(t[n:], " ="), lo+n, hi)
		return true
	}
	if len(t) > 100 || strings.HasPrefix(t, "|") || strings.HasPrefix(t, ">") {
		return false
	}
	if level := r.underline(lines, i, t); level > 0 {
		r.head(level, t, lo, hi)
		return true
	}
	return r.plainHeading(lines, i, t, lo, hi)
}

// plainHeading knows headings without mark-up of Markdown.
func (r *reader) plainHeading(lines []line, i int, t string, lo, hi int) bool {
	inner, bold := strings.TrimSuffix(t, ":"), false
	for _, m := range []string{"**", "__"} {
		if strings.HasPrefix(inner, m) && strings.HasSuffix(inner, m) && len(inner) > 5 && !strings.Contains(inner[2:len(inner)-2], m) {
			inner, bold = strings.TrimSuffix(strings.Trim(inner, "*_"), ":"), true
		}
	}
	words := len(strings.Fields(inner))
	if words == 0 || words > 9 {
		return false
	}
	n, ordered, _ := marker(inner)
	bullet := n > 0 && !ordered
	colon := strings.HasSuffix(t, ":") || strings.HasSuffix(strings.TrimRight(t, "*_"), ":")
	switch {
	case bullet && !bold:
		return false
	case bold:
		if lab := strings.Index(inner, ":"); lab >= 0 && r.about(inner) == NoSection {
			return false
		}
		if !colon && !r.blank && !r.blankAfter(lines, i) && r.about(inner) == NoSection {
			return false
		}
		r.head(5, inner, lo, hi)
		return true
	case n > 0:
		return r.numberedHeading(lines, i, inner, n, lo, hi)
	case dotted(inner) > 0 && r.about(inner) != NoSection && (r.blank || i == 0):
		r.head(4+strings.Count(inner[:dotted(inner)], "."), inner, lo, hi)
		return true
	case roman(inner) > 0 && (r.blank || i == 0) && r.about(inner[roman(inner):]) != NoSection:
		r.head(4, inner[roman(inner):], lo, hi)
		return true
	case capitals(inner) && (r.named(inner) != NoSection || r.about(inner) != NoSection || r.blank && r.blankAfter(lines, i) && words > 1):
		r.head(4, inner, lo, hi)
		return true
	case strings.ContainsAny(inner, ".;!:") || strings.ContainsAny(inner, ",") && words > 4:
		return false
	case colon:
		if r.named(inner) == NoSection && (r.about(inner) == NoSection || words > 6) {
			return false
		}
		r.head(6, inner, lo, hi)
		return true
	}
	lists := r.item() != nil && words >= 3 && r.named(t) != NoSection && lines[i].lo == lo // a name at the margin right after a list
	if (r.blank || r.para == nil || lists) && (r.named(t) != NoSection || r.about(t) != NoSection && words <= 5 && r.blankAfter(lines, i)) && title(t) && !strings.HasSuffix(t, "?") {
		r.head(4, t, lo, hi)
		return true
	}
	return false
}

// numberedHeading tells "1. Introduction" from an item of a list.
func (r *reader) numberedHeading(lines []line, i int, t string, n, lo, hi int) bool {
	name := t[n:]
	if strings.ContainsAny(name, ".;") || !title(name) {
		return false
	}
	known := r.named(name) != NoSection
	if !known && (r.about(name) == NoSection || len(strings.Fields(name)) > 6 || !r.blank) {
		return false
	}
	for _, next := range []int{i + 1, i - 1} { // a list of names is a table of contents
		if next >= 0 && next < len(lines) && lines[next].hi-lines[next].lo < 100 {
			if o := r.text(lines[next]); o != "" {
				if m, ordered, _ := marker(o); m > 0 && ordered && (next > i || r.headingBefore() == 0) && r.about(o[m:]) != NoSection && !r.headOf(next) {
					return next < i && r.headOf(next)
				}
			}
		}
	}
	r.head(4, name, lo+n, hi)
	return true
}

// headOf reports whether the last block is a heading that ended right before.
func (r *reader) headOf(int) bool {
	n := len(r.doc.Blocks)
	return n > 0 && r.doc.Blocks[n-1].Kind == Heading
}

func (r *reader) headingBefore() int {
	n := len(r.doc.Blocks)
	if n > 0 && r.doc.Blocks[n-1].Kind == Heading {
		return 1
	}
	return 0
}

// dotted is the length of a number such as 2.3 before a heading.
func dotted(t string) int {
	n := 0
	for n < len(t) && (t[n] >= '0' && t[n] <= '9' || t[n] == '.') {
		n++
	}
	if n < 1 || n >= len(t) || t[n] != ' ' || n > 6 {
		return 0
	}
	return n
}

// roman is the length of a roman number such as "IV. " before a heading.
func roman(t string) int {
	n := 0
	for n < len(t) && n < 5 && strings.IndexByte("IVX", t[n]) >= 0 {
		n++
	}
	if n == 0 || n+2 >= len(t) || t[n] != '.' && t[n] != ')' || t[n+1] != ' ' {
		return 0
	}
	return n + 2
}

func capitals(t string) bool {
	letters := 0
	for _, c := range t {
		switch {
		case c >= 'a' && c <= 'z':
			return false
		case c >= 'A' && c <= 'Z':
			letters++
		}
	}
	return letters >= 4
}

// title reports whether a line begins as a heading does.
func title(t string) bool {
	return t != "" && (t[0] >= 'A' && t[0] <= 'Z' || t[0] >= 0x80 || t[0] >= '0' && t[0] <= '9' || t[0] == '*' || t[0] == '_')
}

func (r *reader) blankAfter(lines []line, i int) bool {
	return i+1 >= len(lines) || strings.TrimSpace(string(r.src[lines[i+1].lo:min(lines[i+1].hi, lines[i+1].lo+200)])) == ""
}

// underline is the level of a heading whose next line is made of one mark.
func (r *reader) underline(lines []line, i int, t string) int {
	if i+1 >= len(lines) || lines[i+1].hi-lines[i+1].lo > 200 || r.para != nil && !r.blank && len(t) > 60 {
		return 0
	}
	u := r.text(lines[i+1])
	if len(u) < 3 || strings.Trim(u, u[:1]) != "" {
		return 0
	}
	if n, _, _ := marker(t); n > 0 && r.about(t) == NoSection {
		return 0
	}
	switch u[0] {
	case '=', '#':
		return 1
	case '-':
		return 2
	case '~', '^', '+':
		return 3
	case '*', '_':
		if len(u) >= len(t)/2 && len(u) > 4 && labelled(t) == 0 {
			return 3
		}
	}
	return 0
}

// underlined is how many lines after a heading belong to it.
func (r *reader) underlined(lines []line, i int) int {
	if i+1 >= len(lines) || lines[i].hi-lines[i].lo > 100 {
		return 0
	}
	t := r.text(lines[i])
	if strings.HasPrefix(t, "#") && len(strings.TrimLeft(t, "#")) > 0 && strings.TrimLeft(t, "#")[0] == ' ' {
		return 0
	}
	if u := r.text(lines[i+1]); len(u) >= 3 && strings.IndexByte("=-~^+*_#", u[0]) >= 0 && strings.Trim(u, u[:1]) == "" {
		return 1
	}
	return 0
}

// head opens a section.
func (r *reader) head(level int, name string, lo, hi int) {
	b := r.begin(Heading, lo, hi)
	r.close()
	b.Level = level
	r.open(b, level, name)
}

// open adds a section for a heading that was read.
func (r *reader) open(b *Block, level int, name string) {
	d := r.doc
	s := Section{Title: strings.Trim(shortcode(name), "*_:# "), Level: level, Parent: -1, Block: len(d.Blocks) - 1}
	for p := len(d.Sections) - 1; p >= 0; p = d.Sections[p].Parent {
		if d.Sections[p].Level < level {
			s.Parent = p
			break
		}
	}
	s.Kind = r.about(s.Title)
	r.below(&s, b)
	first := len(d.Sections) == 0
	switch {
	case first && level <= 2 && r.named(s.Title) == NoSection:
		s.Kind = NoSection // the report's own title, whatever words it holds
	case s.Kind == NoSection && s.Parent >= 0:
		if k := d.Sections[s.Parent].Kind; k != NoSection {
			s.Kind = k
		} else {
			s.Kind = Other
		}
	case s.Kind == NoSection && !first:
		s.Kind = Other
	case s.Parent >= 0 && r.named(s.Title) == NoSection:
		// A long heading below one that is known says more about its parent's matter.
		if k := d.Sections[s.Parent].Kind; k == ActionItems || k == Timeline || k == Challenges || k == Successes {
			s.Kind = k
		}
	}
	if s.Parent >= 0 && d.Sections[s.Parent].Kind == ActionItems && actionGroup[bare(s.Title)] {
		s.Kind = ActionItems
	}
	d.Sections = append(d.Sections, s)
	b.Section = len(d.Sections) - 1
}

// below puts "What went well" under "Lessons learned" where the marks of both are
// alike and nothing stands between.
func (r *reader) below(s *Section, b *Block) {
	n, m := len(r.doc.Sections)-1, len(r.doc.Blocks)-2
	if n < 0 || m < 0 || s.Kind != Successes && s.Kind != Challenges && s.Kind != Luck {
		return
	}
	up := r.doc.Sections[n]
	switch {
	case up.Kind == Lessons && up.Level == s.Level && up.Block == m:
		s.Parent, s.Level = n, s.Level+1
	case up.Parent >= 0 && up.Lifted && r.doc.Sections[up.Parent].Level == s.Level: // its brother was put there
		s.Parent, s.Level = up.Parent, s.Level+1
	default:
		return
	}
	s.Lifted, b.Level = true, s.Level
}

// actionGroup are headings that group actions.
var actionGroup = map[string]bool{
	"detection": true, "response": true, "mitigation": true, "prevention": true, "recovery": true, "detect": true, "prevent": true, "mitigate": true, "process": true, "communication": true, "monitoring and detection": true, "preventive measures": true, "corrective actions": true, "follow ups": true, "recommendations": true,
}
