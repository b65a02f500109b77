package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sample is one measured run of one tool at one job.
type sample struct {
	wall, cpu time.Duration
	rss       int64   // bytes, the process's own peak
	size      int64   // bytes stored or added; 0 when it does not apply
	rate      float64 // the row's own unit per second; 0 when it does not apply
}

type row struct {
	job, tool string
	samples   []sample
}

// results gathers samples by job and tool in the order of their first run. The
// first tool of a job is the peer that the others are compared with.
type results struct{ rows []*row }

func (r *results) add(job, tool string, s sample) {
	fmt.Printf("%-28s %-34s wall %6.2fs cpu %6.2fs rss %4d MiB size %6.1f MiB rate %.0f\n",
		job, tool, s.wall.Seconds(), s.cpu.Seconds(), s.rss>>20, float64(s.size)/(1<<20), s.rate)
	for _, x := range r.rows {
		if x.job == job && x.tool == tool {
			x.samples = append(x.samples, s)
			return
		}
	}
	r.rows = append(r.rows, &row{job: job, tool: tool, samples: []sample{s}})
}

func median[T int64 | float64 | time.Duration](xs []sample, get func(sample) T) T {
	v := make([]T, 0, len(xs))
	for _, s := range xs {
		v = append(v, get(s))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func (r *results) table() string {
	var b strings.Builder
	b.WriteString("| job | tool | wall s | × peer | CPU s | RSS MiB | MiB stored | × peer | rate | × peer |\n|---|---|---|---|---|---|---|---|---|---|\n")
	slices.SortStableFunc(r.rows, func(a, b *row) int { return r.first(a.job) - r.first(b.job) })
	for _, x := range r.rows {
		peer := r.rows[r.first(x.job)].samples
		wall := median(x.samples, func(s sample) time.Duration { return s.wall })
		size := median(x.samples, func(s sample) int64 { return s.size })
		rate := median(x.samples, func(s sample) float64 { return s.rate })
		fmt.Fprintf(&b, "| %s | %s | %.2f | %s | %.1f | %d | %s | %s | %s | %s |\n", x.job, x.tool, wall.Seconds(),
			ratio(wall.Seconds(), median(peer, func(s sample) time.Duration { return s.wall }).Seconds()),
			median(x.samples, func(s sample) time.Duration { return s.cpu }).Seconds(),
			median(x.samples, func(s sample) int64 { return s.rss })>>20,
			orDash(float64(size)/(1<<20), "%.1f"), ratio(float64(size), float64(median(peer, func(s sample) int64 { return s.size }))),
			orDash(rate, "%.0f"), ratio(rate, median(peer, func(s sample) float64 { return s.rate })))
	}
	return b.String()
}

func (r *results) first(job string) int {
	return slices.IndexFunc(r.rows, func(x *row) bool { return x.job == job })
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func orDash(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}
