package statuspage

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkYear makes the page of a bad year: 50 services, 2000 outages, 400
// incidents.
func BenchmarkYear(b *testing.B) {
	in := Input{Title: "Acme", Automatic: true, Seen: map[string]Seen{}}
	for i := range 50 {
		t := fmt.Sprint("t", i)
		in.Services = append(in.Services, Offer{Name: "Service " + t, Targets: []string{t}})
		s := Seen{Now: Up, Watched: []Span{{From: ago(200 * day)}}}
		for j := range 40 {
			from := ago(time.Duration(j) * 2 * day)
			s.Down = append(s.Down, Span{from, from.Add(7 * time.Minute)})
		}
		in.Seen[t] = s
	}
	for i := range 400 {
		told := Told{Key: fmt.Sprint(i), Targets: []string{fmt.Sprint("t", i%50)}}
		for j, status := range []string{"investigating", "identified", "recovering", "monitoring", Resolved} {
			told.Updates = append(told.Updates, Update{Status: status, Text: "What was said to clients, in a sentence or two.", At: ago(time.Duration(i)*20*time.Hour - time.Duration(j)*time.Hour)})
		}
		in.Told = append(in.Told, told)
	}
	g, err := NewPages()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			Make(in, noon)
		}
	})
	b.Run("files", func(b *testing.B) {
		p, size := Make(in, noon), 0
		for b.Loop() {
			all, err := g.Files(p, noon)
			if err != nil {
				b.Fatal(err)
			}
			size = len(all[len(all)-1].Body)
		}
		b.ReportMetric(float64(size), "B/index")
	})
}
