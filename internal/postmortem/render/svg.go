package render

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the picture, in pixels.
const (
	pictureWidth = 960.0
	labelWidth   = 170.0
	valueWidth   = 110.0
	rowHeight    = 30.0
	barHeight    = 14.0
)

// svg draws a picture. Its colours are those of the page's style.
func (p picture) svg() string {
	var b strings.Builder
	axis := pictureWidth - labelWidth - valueWidth
	x := func(at float64) float64 { return labelWidth + at*axis }
	events := float64(len(p.bars)) * rowHeight
	height := events + rowHeight + 34
	fmt.Fprintf(&b, `<svg class="timeline" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, pictureWidth, height, html.EscapeString(p.describe()))
	for _, t := range p.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%[1]f" x2="%[1]f" y1="0" y2="%.1[2]f"/><text class="tick" x="%[1]f" y="%.1[3]f" text-anchor="middle">%[4]s</text>`, x(t.at), events+rowHeight, events+rowHeight+16, t.text)
	}
	for i, r := range p.bars {
		top := float64(i)*rowHeight + (rowHeight-barHeight)/2
		fmt.Fprintf(&b, `<text class="name" x="0" y="%.1f">%s</text>`, top+barHeight-2, html.EscapeString(r.name))
		width := max(2, (r.to-r.from)*axis)
		within := width
		if r.missed {
			within = max(0, (r.limit-r.from)*axis)
		}
		class := "bar"
		if r.limit > 0 && !r.missed && !r.open {
			class = "bar met"
		}
		if r.open {
			class = "bar open"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="2"/>`, class, x(r.from), top, within, barHeight)
		if r.missed {
			fmt.Fprintf(&b, `<rect class="bar missed" x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="2"/>`, x(r.from)+within, top, max(2, width-within), barHeight)
		}
		if r.limit > 0 && r.limit <= 1 {
			fmt.Fprintf(&b, `<line class="limit" x1="%[1]f" x2="%[1]f" y1="%.1[2]f" y2="%.1[3]f"><title>objective</title></line>`, x(r.limit), top-5, top+barHeight+5)
		}
		fmt.Fprintf(&b, `<text class="value" x="%.1f" y="%.1f">%s</text>`, pictureWidth-valueWidth+10, top+barHeight-2, html.EscapeString(r.value))
	}
	mid := events + rowHeight/2
	fmt.Fprintf(&b, `<text class="name" x="0" y="%.1f">Events</text><line class="axis" x1="%.1f" x2="%.1f" y1="%.1[4]f" y2="%.1[4]f"/>`, mid+5, labelWidth, labelWidth+axis, mid)
	for _, m := range p.marks {
		class, r := "mark", 3.0
		if m.clock {
			class, r = "mark clock", 5.0
		}
		fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="%.0f"><title>line %d of the timeline</title></circle>`, class, x(m.at), mid, r, m.number)
	}
	fmt.Fprintf(&b, `<text class="tick" x="0" y="%.1f">%s</text></svg>`, events+rowHeight+16, html.EscapeString("Time, "+p.zone))
	return b.String()
}
