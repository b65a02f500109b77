package monitor

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

// Sample is how much of something was used at a moment.
type Sample struct {
	At   time.Time `json:"at"`
	Used float64   `json:"used"`
}

// How a forecast is made.
const (
	leastSamples = 6
	leastSpan    = time.Hour
	mostSamples  = 240
	farthest     = 10 * 365 * 24 * time.Hour
)

// Keep adds a sample to a series, oldest first, and thins it: what is older than
// an hour is kept once in ten minutes, than a day once in three hours.
func Keep(series []Sample, s Sample) []Sample {
	series = append(series, s)
	var out []Sample
	for i, x := range series {
		age, step := s.At.Sub(x.At), time.Duration(0)
		switch {
		case age > 24*time.Hour:
			step = 3 * time.Hour
		case age > time.Hour:
			step = 10 * time.Minute
		}
		if i == 0 || x.At.Sub(out[len(out)-1].At) >= step {
			out = append(out, x)
		}
	}
	return out[max(0, len(out)-mostSamples):]
}

// Forecast is when a series reaches limit if it goes on as it does; false when it
// does not grow, or not for long enough to say. The slope is the median of the
// slopes between all pairs (Theil and Sen), so that a jump and back, as by a
// VACUUM, does not count as growth.
func Forecast(series []Sample, limit float64) (time.Time, bool) {
	n := len(series)
	if n < leastSamples || series[n-1].At.Sub(series[0].At) < leastSpan {
		return time.Time{}, false
	}
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range series {
		for j := i + 1; j < n; j++ {
			if d := series[j].At.Sub(series[i].At).Seconds(); d > 0 {
				slopes = append(slopes, (series[j].Used-series[i].Used)/d)
			}
		}
	}
	if len(slopes) == 0 {
		return time.Time{}, false
	}
	sort.Float64s(slopes)
	slope := slopes[len(slopes)/2]
	if slope <= 0 {
		return time.Time{}, false
	}
	last := series[n-1]
	left := max(limit-last.Used, 0) / slope // seconds
	if left > farthest.Seconds() {
		return time.Time{}, false
	}
	return last.At.Add(time.Duration(left * float64(time.Second))), true
}

// Shortage is something that runs out soon.
type Shortage struct {
	Code, Object string
	Grave        bool      // within days, or nearly out
	Runs         time.Time // out, if it goes on as it does; zero when it does not grow
	Detail, Next string
}

// Judge says whether a gauge is short: grave at 95 %, or within three days from
// 60 % on; else at 80 %, or within thirty days from 40 % on. A few of many are no
// shortage, however fast they grow just now.
func Judge(g target.Gauge, series []Sample, now time.Time) (Shortage, bool) {
	runs, grows := Forecast(series, g.Limit)
	s := Shortage{Code: g.Code, Object: g.Object, Runs: runs, Next: next(g.Code)}
	left := runs.Sub(now)
	switch ratio := g.Ratio(); {
	case ratio >= 0.95, ratio >= 0.6 && grows && left < 72*time.Hour:
		s.Grave = true
	case ratio >= 0.8, grows && left < 30*24*time.Hour:
	default:
		return s, false
	}
	if g.Ratio() < least(g.Code) {
		return s, false
	}
	s.Detail = fmt.Sprintf("%s: %.1f %% used (%s of %s)", strings.TrimSpace(what(g.Code)+" "+g.Object), 100*g.Ratio(), amount(g.Used, g.Unit), amount(g.Limit, g.Unit))
	if grows {
		s.Detail += ", and gone by " + runs.UTC().Format("2006-01-02 15:04 UTC") + " if it goes on as it does"
	}
	return s, true
}

// least is the part below which growth alone says nothing: a file system or a
// day's connections go up and down.
func least(code string) float64 {
	if code == "connections" {
		return 0.8
	}
	return 0.4
}

func what(code string) string {
	switch code {
	case "transaction-ids":
		return "transaction ids of"
	case "multixacts":
		return "multixact ids of"
	case "sequence":
		return "numbers of"
	case "relation-size":
		return "largest relation"
	case "toast-values":
		return "values stored out of line (at most so many) of"
	case "large-objects":
		return "large objects of"
	case "disk":
		return "disk of the data,"
	case "log-disk":
		return "disk of the log,"
	}
	return code
}

func next(code string) string {
	switch code {
	case "transaction-ids", "multixacts":
		return "find what holds vacuum back (long transactions, prepared ones, slots), then VACUUM (FREEZE) the oldest tables"
	case "sequence":
		return "make the column bigint before its numbers end; inserts fail then"
	case "connections":
		return "find who holds connections, put a pooler before the server, or raise max_connections"
	case "relation-size":
		return "partition the table; it cannot grow past 32 TiB"
	case "toast-values":
		return "partition the table: each partition has four thousand million of its own; inserts grow slow long before they fail"
	case "large-objects":
		return "remove those that nothing refers to (vacuumlo), or keep the data in bytea columns"
	case "disk", "log-disk":
		return "free room or add some; find what grows, such as a slot that holds log"
	}
	return ""
}

func amount(v float64, unit string) string {
	if unit != "B" {
		return fmt.Sprintf("%.0f", v)
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// Certificate says whether a server's certificate ends soon.
func Certificate(until, now time.Time) (Shortage, bool) {
	left := until.Sub(now)
	if until.IsZero() || left > 30*24*time.Hour {
		return Shortage{}, false
	}
	s := Shortage{Code: "certificate", Runs: until, Grave: left < 7*24*time.Hour, Next: "renew it; clients that check it are refused afterwards",
		Detail: "the server's certificate is valid until " + until.UTC().Format("2006-01-02 15:04 UTC")}
	if left <= 0 {
		s.Detail = "the server's certificate ended at " + until.UTC().Format("2006-01-02 15:04 UTC")
	}
	return s, true
}

// TwoPrimaries finds targets that are one cluster by their system identifier and
// that both take writes. Each inner list is one such cluster, sorted. Two names of
// one server, which started at one moment, are not two.
func TwoPrimaries(all map[target.ID]target.Headroom) [][]target.ID {
	by := map[string][]target.ID{}
	for id, h := range all {
		if h.SystemID != "" && !h.Recovering {
			by[h.SystemID] = append(by[h.SystemID], id)
		}
	}
	var out [][]target.ID
	for _, ids := range by {
		servers := map[time.Time]bool{}
		for _, id := range ids {
			servers[all[id].Started.UTC()] = true
		}
		if len(servers) > 1 {
			slices.Sort(ids)
			out = append(out, ids)
		}
	}
	slices.SortFunc(out, func(a, b []target.ID) int { return strings.Compare(string(a[0]), string(b[0])) })
	return out
}
