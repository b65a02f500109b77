package server

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/refloat-db/refloat/internal/proof"
	"github.com/refloat-db/refloat/internal/status"
)

// registry is our own, so that no library adds to it.
func (s *Server) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "refloat_build_info", Help: "1, with Refloat's version as a label.", ConstLabels: prometheus.Labels{"version": s.o.Version}})
	info.Set(1)
	r.MustRegister(info, &collector{s: s, all: descriptions()}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// metric is one figure of a target; value reports false where it is unknown,
// and then the metric is absent rather than zero.
type metric struct {
	desc  *prometheus.Desc
	value func(r status.Report) (float64, bool)
}

type collector struct {
	s   *Server
	all figures
}

type figures struct {
	plain                            []metric
	up, verdict, class, alarm, work  *prometheus.Desc
	measured, promised, problemTotal *prometheus.Desc
	grade, finding                   *prometheus.Desc
	alerts, unanswered, deliveries   *prometheus.Desc
	headroom, exhausted              *prometheus.Desc
	leads                            *prometheus.Desc
}

func descriptions() figures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("refloat_"+name, help, append([]string{"target"}, labels...), nil)
	}
	return figures{
		up:           prometheus.NewDesc("refloat_status_up", "1 when status could be gathered; without it every figure below is absent.", nil, nil),
		verdict:      desc("proof_verdict", "1 for the verdict of the last proof, 0 for the others. This is the one answer to: can it be restored?", "verdict"),
		class:        desc("standing", "1 for how the target stands: good, bad or uncertain.", "class"),
		alarm:        desc("alarm", "1 for each alarm that is raised.", "code", "key"),
		work:         desc("work_failures", "Failures in a row of a kind of scheduled work.", "kind"),
		measured:     desc("objective_measured_seconds", "What was measured of an objective.", "objective"),
		promised:     desc("objective_promised_seconds", "What was promised of an objective.", "objective"),
		problemTotal: desc("problems", "Problems by severity.", "severity"),
		grade:        desc("grade", "1 for the target's recoverability grade, A to F, 0 for the others.", "grade"),
		finding:      desc("findings", "Findings of the last audit that nobody accepted, by severity.", "severity"),
		headroom:     desc("headroom_used_ratio", "Part of something that is used, from 0 to 1.", "kind", "object"),
		exhausted:    desc("headroom_exhausted_timestamp_seconds", "When it runs out if it goes on as it does; absent where it does not grow.", "kind", "object"),
		leads:        prometheus.NewDesc("refloat_node_leads", "1 when this node does the work of those that share its store, 0 when it stands by; absent when its store is its own.", []string{"node"}, nil),
		alerts:       prometheus.NewDesc("refloat_alerts", "Open alerts by severity.", []string{"severity"}, nil),
		unanswered:   prometheus.NewDesc("refloat_alerts_unacknowledged", "Open alerts by severity that page and that nobody has acknowledged.", []string{"severity"}, nil),
		deliveries:   prometheus.NewDesc("refloat_deliveries", "Messages of open alerts by how far they are: waiting, failing, sent, failed or cancelled.", []string{"state"}, nil),
		plain: []metric{
			{desc("target_up", "1 when the target serves, 0 when it does not; absent while that is not known."), func(r status.Report) (float64, bool) {
				if r.Watch == nil || r.Watch.State == "unknown" {
					return 0, false
				}
				return flag(r.Watch.State == "up" || r.Watch.State == "suspect"), true
			}},
			{desc("look_seconds", "How long the last look at the target took."), func(r status.Report) (float64, bool) {
				return of(r.Watch, func(w status.Watch) float64 { return w.Took.Seconds() })
			}},
			{desc("look_age_seconds", "Time since the last look at the target."), func(r status.Report) (float64, bool) {
				if r.Watch == nil || r.Watch.At.IsZero() {
					return 0, false
				}
				return max(0, r.At.Sub(r.Watch.At).Seconds()), true
			}},
			{desc("proof_age_seconds", "Age of the last proof."), func(r status.Report) (float64, bool) { return seconds(r.AnswerAge) }},
			{desc("proof_stale", "1 when the last proof is older than promised."), func(r status.Report) (float64, bool) { return flag(r.Stale), r.Proof != nil }},
			{desc("proof_resolution_seconds", "Time from the plan to an answering server in the last drill."), func(r status.Report) (float64, bool) {
				return of(r.Proof, func(p status.Proof) float64 { return p.Resolution.Seconds() })
			}},
			{desc("restorable_age_seconds", "Age of the newest moment that can be restored."), func(r status.Report) (float64, bool) {
				return of(r.Log, func(l status.Log) float64 { return max(0, r.At.Sub(l.Restorable).Seconds()) })
			}},
			{desc("log_lag_seconds", "Time since log, or its position on an idle server, was last stored."), func(r status.Report) (float64, bool) {
				return of(r.Log, func(l status.Log) float64 { return max(0, r.At.Sub(l.WrittenAt).Seconds()) })
			}},
			{desc("log_lag_bytes", "Log on the server that the repository does not have yet."), func(r status.Report) (float64, bool) {
				if r.Log == nil || r.Log.LagBytes == nil {
					return 0, false
				}
				return float64(*r.Log.LagBytes), true
			}},
			{desc("backup_age_seconds", "Age of the newest base backup."), func(r status.Report) (float64, bool) {
				return of(r.Backup, func(b status.Backup) float64 { return r.At.Sub(b.EndedAt).Seconds() })
			}},
			{desc("backup_size_bytes", "Size of the newest base backup when restored."), func(r status.Report) (float64, bool) {
				return of(r.Backup, func(b status.Backup) float64 { return float64(b.Bytes) })
			}},
			{desc("backup_stored_bytes", "Bytes that the newest base backup added to the repository."), func(r status.Report) (float64, bool) {
				return of(r.Backup, func(b status.Backup) float64 { return float64(b.Stored) })
			}},
			{desc("backup_duration_seconds", "How long the newest base backup took."), func(r status.Report) (float64, bool) {
				return of(r.Backup, func(b status.Backup) float64 { return b.Took.Seconds() })
			}},
			{desc("backup_findings", "Damaged pages or files that the newest base backup saw."), func(r status.Report) (float64, bool) {
				return of(r.Backup, func(b status.Backup) float64 { return float64(b.Findings) })
			}},
			{desc("coverage_gaps", "Gaps in coverage."), func(r status.Report) (float64, bool) {
				return of(r.Coverage, func(c status.Coverage) float64 { return float64(c.Gaps) })
			}},
			{desc("slot_retained_bytes", "Log that our replication slot holds on the server."), func(r status.Report) (float64, bool) {
				return of(r.Slot, func(s status.Slot) float64 { return float64(s.Retained) })
			}},
			{desc("slot_bound_bytes", "Retained log at which the slot is given up."), func(r status.Report) (float64, bool) {
				return of(r.Slot, func(s status.Slot) float64 { return float64(s.Bound) })
			}},
			{desc("slot_active", "1 when the slot is in use."), func(r status.Report) (float64, bool) {
				return of(r.Slot, func(s status.Slot) float64 { return flag(s.Active) })
			}},
			{desc("audit_age_seconds", "Time since the last audit."), func(r status.Report) (float64, bool) {
				return of(r.Audit, func(a status.Audit) float64 { return max(0, r.At.Sub(a.At).Seconds()) })
			}},
			{desc("heartbeat_age_seconds", "Age of the last heartbeat written to the target."), func(r status.Report) (float64, bool) {
				return of(r.Heartbeat, func(h status.Heartbeat) float64 { return max(0, r.At.Sub(h.At).Seconds()) })
			}},
		},
	}
}

func of[T any](fact *T, value func(T) float64) (float64, bool) {
	if fact == nil {
		return 0, false
	}
	return value(*fact), true
}

func seconds(d *time.Duration) (float64, bool) {
	return of(d, time.Duration.Seconds)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.all.plain {
		out <- m.desc
	}
	for _, d := range []*prometheus.Desc{c.all.up, c.all.verdict, c.all.class, c.all.alarm, c.all.work, c.all.measured, c.all.promised, c.all.problemTotal, c.all.grade, c.all.finding, c.all.alerts, c.all.unanswered, c.all.deliveries, c.all.headroom, c.all.exhausted, c.all.leads} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if c.s.o.Paging != nil {
		p := c.s.o.Paging()
		for _, severity := range []string{"critical", "high", "medium", "low"} {
			gauge(c.all.alerts, float64(p.Open[severity]), severity)
			gauge(c.all.unanswered, float64(p.Unacknowledged[severity]), severity)
		}
		for _, state := range []string{"waiting", "failing", "sent", "failed", "cancelled"} {
			gauge(c.all.deliveries, float64(p.Deliveries[state]), state)
		}
	}
	if p := c.s.place(); p != nil {
		gauge(c.all.leads, flag(p.Leads), p.Node)
	}
	if c.s.o.Headroom != nil {
		c.room(c.s.o.Headroom(), gauge)
	}
	// The interface gives no context; the listener's own time limit is longer.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	reports, err := c.s.gather(ctx)
	gauge(c.all.up, flag(err == nil))
	if err != nil {
		c.s.o.Logger.Error("gather status for metrics", "error", err)
		return
	}
	for _, r := range reports {
		c.report(r, gauge)
	}
}

// room shows headroom. Names come from the server that is watched: one that is
// told twice, or is no UTF-8, must not spoil the whole answer.
func (c *collector) room(all []Gauge, gauge func(*prometheus.Desc, float64, ...string)) {
	told := map[[3]string]bool{}
	for _, g := range all {
		object := c.s.redact(strings.ToValidUTF8(g.Object, "�"))
		key := [3]string{g.Target, g.Code, object}
		if told[key] {
			continue
		}
		told[key] = true
		gauge(c.all.headroom, g.Ratio, g.Target, g.Code, object)
		if !g.Runs.IsZero() {
			gauge(c.all.exhausted, float64(g.Runs.Unix()), g.Target, g.Code, object)
		}
	}
}

func (c *collector) report(r status.Report, gauge func(*prometheus.Desc, float64, ...string)) {
	id := string(r.Target)
	for _, m := range c.all.plain {
		if v, ok := m.value(r); ok {
			gauge(m.desc, v, id)
		}
	}
	for _, v := range []proof.Verdict{proof.Proven, proof.Failed, proof.Inconclusive} {
		gauge(c.all.verdict, flag(r.Answer == status.Answer(v)), id, string(v))
	}
	for _, cl := range []status.Class{status.Good, status.Bad, status.Uncertain} {
		gauge(c.all.class, flag(r.Class == cl), id, string(cl))
	}
	for _, s := range []status.Severity{status.Critical, status.Warning} {
		n := 0
		for _, p := range r.Problems {
			if p.Severity == s {
				n++
			}
		}
		gauge(c.all.problemTotal, float64(n), id, string(s))
	}
	for _, l := range []status.Letter{status.GradeA, status.GradeB, status.GradeC, status.GradeD, status.GradeF} {
		gauge(c.all.grade, flag(r.Grade.Letter == l), id, string(l))
	}
	if r.Audit != nil {
		for _, severity := range []string{"critical", "high", "medium", "low", "info"} {
			gauge(c.all.finding, float64(r.Audit.Findings[severity]), id, severity)
		}
	}
	for _, a := range r.Alarms {
		gauge(c.all.alarm, 1, id, a.Code, c.s.redact(a.Key))
	}
	for _, w := range r.Work {
		gauge(c.all.work, float64(w.Failures), id, w.Kind)
	}
	for _, o := range r.Measurements {
		gauge(c.all.promised, o.Promised.Seconds(), id, o.Name)
		if v, ok := seconds(o.Measured); ok {
			gauge(c.all.measured, v, id, o.Name)
		}
	}
}
