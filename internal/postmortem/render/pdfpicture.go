package render

// picture draws the timeline's picture.
func (p *paper) picture() {
	pic, drawn := pictureOf(p.doc)
	if !drawn {
		return
	}
	const (
		label, value = 32.0, 30.0
		row, thick   = 6.4, 3.0
		axis         = bodyWidth - label - value
	)
	height := float64(len(pic.bars)+1)*row + 8
	p.room(height + 4)
	top := p.GetY()
	x := func(at float64) float64 { return marginX + label + at*axis }
	bottom := top + float64(len(pic.bars)+1)*row
	p.SetDrawColor(faint.r, faint.g, faint.b)
	p.SetLineWidth(0.2)
	p.style("", 7.5, soft)
	for _, t := range pic.ticks {
		p.Line(x(t.at), top, x(t.at), bottom)
		w := p.GetStringWidth(t.text)
		p.SetXY(x(t.at)-w/2, bottom+0.8)
		p.CellFormat(w+0.01, 3.5, t.text, "", 0, "L", false, 0, "")
	}
	p.SetXY(marginX, bottom+0.8)
	p.CellFormat(label, 3.5, p.known("Time, "+pic.zone), "", 0, "L", false, 0, "")
	for i, b := range pic.bars {
		y := top + float64(i)*row + (row-thick)/2
		p.style("", 8.5, ink)
		p.SetXY(marginX, y-0.6)
		p.CellFormat(label, thick+1.2, b.name, "", 0, "L", false, 0, "")
		p.SetXY(x(1)+2, y-0.6)
		p.CellFormat(value-2, thick+1.2, b.value, "", 0, "L", false, 0, "")
		p.bar(b, x, y, thick, axis)
	}
	mid := bottom - row/2
	p.style("", 8.5, ink)
	p.SetXY(marginX, mid-2)
	p.CellFormat(label, 4, "Events", "", 0, "L", false, 0, "")
	p.SetDrawColor(soft.r, soft.g, soft.b)
	p.Line(x(0), mid, x(1), mid)
	for _, m := range pic.marks {
		c, r := soft, 0.7
		if m.clock {
			c, r = accent, 1.1
		}
		p.SetFillColor(c.r, c.g, c.b)
		p.Circle(x(m.at), mid, r, "F")
	}
	p.SetXY(marginX, bottom+7)
}

// bar draws a clock: what lies beyond its objective in red, the objective dashed.
func (p *paper) bar(b bar, x func(float64) float64, y, thick, axis float64) {
	width := max(0.5, (b.to-b.from)*axis)
	c := accent
	switch {
	case b.open:
		p.SetDrawColor(bad.r, bad.g, bad.b)
		p.SetDashPattern([]float64{1, 0.8}, 0)
		p.Rect(x(b.from), y, width, thick, "D")
		p.SetDashPattern([]float64{}, 0)
	case b.limit > 0 && !b.missed:
		c = good
	}
	if !b.open {
		within := width
		if b.missed {
			within = max(0, (b.limit-b.from)*axis)
			p.SetFillColor(bad.r, bad.g, bad.b)
			p.Rect(x(b.from)+within, y, max(0.5, width-within), thick, "F")
		}
		p.SetFillColor(c.r, c.g, c.b)
		p.Rect(x(b.from), y, within, thick, "F")
	}
	if b.limit > 0 && b.limit <= 1 {
		p.SetDrawColor(ink.r, ink.g, ink.b)
		p.SetLineWidth(0.4)
		p.SetDashPattern([]float64{0.8, 0.6}, 0)
		p.Line(x(b.limit), y-1.3, x(b.limit), y+thick+1.3)
		p.SetDashPattern([]float64{}, 0)
		p.SetLineWidth(0.2)
	}
}
