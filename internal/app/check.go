package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refloat-db/refloat/internal/audit"
	"github.com/refloat-db/refloat/internal/config"
	"github.com/refloat-db/refloat/internal/target"
	"github.com/refloat-db/refloat/internal/target/postgres"
)

// What an audit speaks of.
type (
	AuditReport   = audit.Report
	AuditResult   = audit.Result
	AuditFinding  = audit.Finding
	AuditRule     = audit.Rule
	AuditSeverity = audit.Severity
)

// Outcomes of rules.
const (
	RulePassed        = audit.Passed
	RuleFound         = audit.Found
	RuleUnknown       = audit.Unknown
	RuleNotApplicable = audit.NotApplicable
)

// Severities.
const (
	SeverityInfo     = audit.Info
	SeverityLow      = audit.Low
	SeverityMedium   = audit.Medium
	SeverityHigh     = audit.High
	SeverityCritical = audit.Critical
)

// ParseSeverity reads a severity's name; false when there is no such one.
func ParseSeverity(name string) (AuditSeverity, bool) { return audit.ParseSeverity(name) }

// FindingDocs is where a rule's description can be read.
func FindingDocs(rule string) string { return audit.Docs(rule) }

// AuditRules lists every rule.
func AuditRules() []AuditRule { return audit.Rules() }

const (
	checkTimeout = 30 * time.Second // for one target, however slow it is
	checksAtOnce = 4                // targets
	checkProgram = "refloat check"
)

// CheckServer audits a server that is named by its address alone. Places of
// other tools' backups are looked at beside those that are found.
func CheckServer(ctx context.Context, r InitRequest, env func(string) (string, bool), foreign ...string) (AuditReport, error) {
	places, err := Places(foreign)
	if err != nil {
		return AuditReport{}, err
	}
	password, err := r.password(env)
	if err != nil {
		return AuditReport{}, err
	}
	c, err := postgres.New(postgres.Options{DSN: r.DSN, Password: password, Application: checkProgram})
	if err != nil {
		return AuditReport{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	f := audit.Facts{Target: address(r.DSN), At: time.Now().UTC(), Server: serverFacts(ctx, c)}
	f.Host = hostFacts(f.Server)
	f.Foreign = Find(ctx, FindOptions{Named: places, Search: true, Server: f.Server, Environ: os.Environ()})
	return judge(f), nil
}

// Check audits one target of the configuration, or all of them.
func (a *App) Check(ctx context.Context, name string, foreign ...string) ([]AuditReport, error) {
	if _, err := Places(foreign); err != nil {
		return nil, err
	}
	names := a.Targets()
	if name != "" {
		if _, _, err := a.target(name); err != nil {
			return nil, err
		}
		names = []string{name}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: %s has no target; name one, or a server by its address", ErrNoTarget, a.cfg.Path)
	}
	out := make([]AuditReport, len(names))
	slots := make(chan struct{}, checksAtOnce)
	var all sync.WaitGroup
	for i, n := range names {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			out[i] = judge(a.auditFacts(ctx, n, a.cfg.Targets[n], foreign...))
		})
	}
	all.Wait()
	return out, ctx.Err()
}

// Facts gathers what the rules judge of a target of the configuration.
func (a *App) Facts(ctx context.Context, name string) (audit.Facts, error) {
	_, t, err := a.target(name)
	if err != nil {
		return audit.Facts{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return a.auditFacts(ctx, name, t), nil
}

// judge lets every rule look, and says how long all of it took.
func judge(f audit.Facts) AuditReport {
	r := audit.Judge(audit.Rules(), f)
	r.Took = time.Since(f.At)
	return r
}

// auditFacts gathers what is to be judged. What cannot be reached is not known,
// and no reason to look at nothing else.
func (a *App) auditFacts(ctx context.Context, name string, t config.Target, foreign ...string) audit.Facts {
	f := audit.Facts{Target: name, At: time.Now().UTC()}
	if c, err := a.cluster(name, checkProgram); err != nil {
		f.Server = target.Unseen[target.ServerFacts](err.Error())
	} else {
		f.Server = serverFacts(ctx, c)
	}
	f.Host = hostFacts(f.Server)
	if places, err := Places(slices.Concat(t.Foreign, foreign)); err == nil { // checked when they were given
		f.Foreign = Find(ctx, FindOptions{Named: places, Search: true, Server: f.Server, Environ: os.Environ(), Proofs: a.foreignProofs(ctx, target.ID(name))})
	}
	f.Care, f.Suppressions = a.careFacts(ctx, name, t, f.At), suppressions(t)
	return f
}

func serverFacts(ctx context.Context, c *postgres.Cluster) target.Known[target.ServerFacts] {
	s, err := c.Facts(ctx)
	if err != nil {
		return target.Unseen[target.ServerFacts](strings.Join(strings.Fields(err.Error()), " "))
	}
	return target.Seen(s)
}

// address names a server without the role and the options of its DSN.
func address(dsn string) string { return postgres.Address(dsn) }
