package monitor

import "time"

// mostPatience bounds how long a slow link is waited for.
const mostPatience = 5 * time.Second

// Patience is how long a target may be silent, learnt from how long it usually
// takes to answer over a fresh connection: smoothed round trip and deviation, as
// TCP's retransmission timer has it (RFC 6298), four times over, since a wrong
// page costs more than a late one.
type Patience struct {
	Least time.Duration

	smooth, spread time.Duration
}

// Learn takes one good look's duration into account.
func (p *Patience) Learn(took time.Duration) {
	if p.smooth == 0 {
		p.smooth, p.spread = took, took/2
		return
	}
	off := took - p.smooth
	if off < 0 {
		off = -off
	}
	p.spread += (off - p.spread) / 4
	p.smooth += (took - p.smooth) / 8
}

// Now is the patience at this moment.
func (p *Patience) Now() time.Duration {
	return min(max(4*(p.smooth+4*p.spread), p.Least), mostPatience)
}
