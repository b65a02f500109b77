// Package schedule runs due work: each job once for each moment of its
// schedule, never two at a time in one lane, retried with growing pauses, and
// made up for after a time in which no server ran. It is the only room that
// imports River; its queue is a SQLite file of its own, or in the database that
// several nodes share.
package schedule

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Job is one kind of work on one subject.
type Job struct {
	Kind    string // backup, drill, retention, maintenance, verify
	Subject string // a target, or "repository"
	Lane    string // jobs of one lane run one after the other; lower-case letters, digits and single hyphens
	When    When   // nil for work that is only asked for
	// Run does the work. Its context ends when the scheduler stops. Final marks
	// an error that a retry cannot help.
	Run func(ctx context.Context, r Run) error
}

// Run is one execution.
type Run struct {
	Kind, Subject string
	Reason        string    // why it was asked for; "schedule" when it was due
	Due           time.Time // when it was due
	Attempt       int       // 1, 2, 3 …
}

// Outcome is told after each execution that was not cut off by Stop.
type Outcome struct {
	Run
	Err   error
	Took  time.Duration
	Final bool // it succeeded, or it failed and will not be retried
}

// Missed is told when work did not start at its moment: because no server ran
// (Late), or because the run before it had not ended (Busy).
type Missed struct {
	Kind, Subject string
	Due           time.Time
	Slots         int // moments that one run makes up for beyond its own
	Late          time.Duration
	Busy          bool
}

// Options are what a Scheduler is given. The functions may be nil.
type Options struct {
	Logger      *slog.Logger
	MaxAttempts int                             // for one run; default 8
	Backoff     func(attempt int) time.Duration // before the next attempt; default 30 s doubling to an hour
	Poll        time.Duration                   // how often the queue is looked at; default 1 s
	OnOutcome   func(Outcome)
	OnMissed    func(Missed)
}

// Scheduler runs jobs. Make it with New, then Start and Stop, each once.
type Scheduler struct {
	queue queue
	jobs  map[string]Job
	o     Options

	mu       sync.Mutex
	started  bool
	stopping bool
	cancel   context.CancelFunc
	done     chan struct{}
}

// errFinal marks errors that a retry cannot help.
type errFinal struct{ error }

func (e errFinal) Unwrap() error { return e.error }

// Final marks err as one that a retry cannot help; nil stays nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return errFinal{err}
}

func jobKey(kind, subject string) string { return kind + "/" + subject }

// args are what the queue stores. A second request with the same kind, subject
// and key is the same request while the first has not ended.
type args struct {
	Work    string    `json:"work" river:"unique"`
	Subject string    `json:"subject" river:"unique"`
	Key     string    `json:"key" river:"unique"`
	Reason  string    `json:"reason"`
	Due     time.Time `json:"due"`
}

func (args) Kind() string { return "refloat" }

type worker struct {
	river.WorkerDefaults[args]
	s *Scheduler
}

// Timeout is none: a base backup may take a day. Each job watches its own
// progress.
func (w *worker) Timeout(*river.Job[args]) time.Duration { return -1 }

func (w *worker) NextRetry(j *river.Job[args]) time.Time {
	return time.Now().Add(w.s.o.Backoff(max(1, j.Attempt)))
}

// New makes a Scheduler over the queue in db, a SQLite file, which must allow one
// connection and belong to no other server: work that a killed server left running
// is put back in the queue.
func New(ctx context.Context, db *sql.DB, jobs []Job, o Options) (*Scheduler, error) {
	return with(ctx, &fileQueue{db: db}, jobs, o)
}

// NewShared makes a Scheduler over the queue in a database that nodes share, in
// the schema refloat, which is also the search path of pool. One node at a time
// may do so, the one that leads: work that the one before left running is put
// back in the queue.
func NewShared(ctx context.Context, pool *pgxpool.Pool, jobs []Job, o Options) (*Scheduler, error) {
	return with(ctx, &sharedQueue{pool: pool}, jobs, o)
}

func with(ctx context.Context, q queue, jobs []Job, o Options) (*Scheduler, error) {
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 8
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Scheduler{queue: q, jobs: map[string]Job{}, o: o, done: make(chan struct{})}
	lanes := map[string]river.QueueConfig{}
	for _, j := range jobs {
		if _, twice := s.jobs[jobKey(j.Kind, j.Subject)]; twice {
			return nil, fmt.Errorf("job %s of %s is given twice", j.Kind, j.Subject)
		}
		s.jobs[jobKey(j.Kind, j.Subject)] = j
		lanes[j.Lane] = river.QueueConfig{MaxWorkers: 1}
	}
	if len(jobs) == 0 {
		lanes[river.QueueDefault] = river.QueueConfig{MaxWorkers: 1}
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{s: s}); err != nil {
		return nil, fmt.Errorf("prepare the queue: %w", err)
	}
	if err := q.open(&river.Config{
		Queues: lanes, Workers: workers, PollOnly: true, FetchPollInterval: o.Poll, FetchCooldown: min(o.Poll, 100*time.Millisecond),
		MaxAttempts: o.MaxAttempts, JobTimeout: -1, RescueStuckJobsAfter: math.MaxInt64 / 4,
		CompletedJobRetentionPeriod: 7 * 24 * time.Hour, DiscardedJobRetentionPeriod: 30 * 24 * time.Hour,
		Logger: slog.New(quiet{o.Logger.Handler()}),
	}); err != nil {
		return nil, fmt.Errorf("prepare the queue: %w", err)
	}
	return s, nil
}

func defaultBackoff(attempt int) time.Duration {
	return min(time.Hour, 30*time.Second<<min(attempt-1, 10))
}

func (s *Scheduler) prepare(ctx context.Context) error {
	if err := s.queue.migrate(ctx); err != nil {
		return fmt.Errorf("prepare the queue: %w", err)
	}
	for _, q := range []string{
		`CREATE TABLE IF NOT EXISTS refloat_slot (job TEXT PRIMARY KEY, slot BIGINT NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS refloat_run (job TEXT PRIMARY KEY, body TEXT NOT NULL)`,
		// Nobody else works on this queue, so whatever runs was cut off.
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	} {
		if err := s.queue.exec(ctx, q); err != nil {
			return fmt.Errorf("prepare the queue: %w", err)
		}
	}
	return nil
}

// Start begins to run due work. A schedule that is new begins to count now.
func (s *Scheduler) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil
	}
	if s.stopping {
		return errors.New("the scheduler was stopped: make a new one")
	}
	// What runs ends by Stop, in order, not by the caller's context.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if err := s.queue.start(run); err != nil {
		cancel()
		return fmt.Errorf("start the queue: %w", err)
	}
	s.started, s.cancel = true, cancel
	go func() {
		defer close(s.done)
		tick(run, s.jobs, s.slot, s.o.Logger)
	}()
	return nil
}

// Stop ends running work by cancelling its context, waits for it, and leaves
// it in the queue for the next start. Idempotent.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if !s.started {
		return nil
	}
	s.started = false
	s.cancel()
	<-s.done
	if err := s.queue.stop(ctx); err != nil {
		return fmt.Errorf("stop running work: %w", err)
	}
	return nil
}

// Enqueue asks for a run now. It reports false when the same request, by kind,
// subject and reason, is already waiting or running.
func (s *Scheduler) Enqueue(ctx context.Context, kind, subject, reason string) (bool, error) {
	j, ok := s.jobs[jobKey(kind, subject)]
	if !ok {
		return false, fmt.Errorf("no job %s of %s", kind, subject)
	}
	tx, err := s.queue.begin(ctx)
	if err != nil {
		return false, fmt.Errorf("queue %s of %s: %w", kind, subject, err)
	}
	fresh, err := s.insert(ctx, tx, j, reason, reason, time.Now())
	if err != nil {
		tx.rollback(ctx)
		return false, fmt.Errorf("queue %s of %s: %w", kind, subject, err)
	}
	if err := tx.commit(ctx); err != nil {
		return false, fmt.Errorf("queue %s of %s: %w", kind, subject, err)
	}
	return fresh, nil
}

func (s *Scheduler) insert(ctx context.Context, tx transaction, j Job, key, reason string, due time.Time) (bool, error) {
	res, err := tx.insert(ctx, args{Work: j.Kind, Subject: j.Subject, Key: key, Reason: reason, Due: due.UTC()}, &river.InsertOpts{
		Queue: j.Lane, MaxAttempts: s.o.MaxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	})
	if err != nil {
		return false, err
	}
	return !res.UniqueSkippedAsDuplicate, nil
}

// Work runs one queued job.
func (w *worker) Work(ctx context.Context, j *river.Job[args]) error {
	s := w.s
	job, ok := s.jobs[jobKey(j.Args.Work, j.Args.Subject)]
	if !ok {
		return river.JobCancel(fmt.Errorf("%s of %s is no longer configured", j.Args.Work, j.Args.Subject))
	}
	r := Run{Kind: job.Kind, Subject: job.Subject, Reason: j.Args.Reason, Due: j.Args.Due, Attempt: j.Attempt}
	start := time.Now()
	if err := s.record(ctx, r, func(st *State) { st.Running, st.Started, st.Attempt = true, start, r.Attempt }); err != nil {
		if ctx.Err() != nil {
			return river.JobSnooze(0) // stopped before it began: no failure, and no pause
		}
		return err
	}
	err := s.guard(ctx, job, r)
	if err != nil && ctx.Err() != nil {
		return river.JobSnooze(0) // stopped: it is still due at the next start
	}
	ctx = context.WithoutCancel(ctx) // what was done is recorded, stopped or not
	var final errFinal
	o := Outcome{Run: r, Err: err, Took: time.Since(start), Final: err == nil || errors.As(err, &final) || j.Attempt >= j.MaxAttempts}
	if rerr := s.record(ctx, r, func(st *State) { st.finish(o, start.Add(o.Took)) }); rerr != nil {
		s.o.Logger.ErrorContext(ctx, "record a run", "job", job.Kind, "subject", job.Subject, "error", rerr)
	}
	if s.o.OnOutcome != nil {
		s.o.OnOutcome(o)
	}
	if errors.As(err, &final) {
		return river.JobCancel(err)
	}
	return err
}

// guard turns a panic into a failure of the one job.
func (s *Scheduler) guard(ctx context.Context, j Job, r Run) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s of %s broke: %v", j.Kind, j.Subject, p)
		}
	}()
	return j.Run(ctx, r)
}

// State is what is known of a job.
type State struct {
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject"`
	Next      time.Time `json:"next"` // zero for work that is only asked for
	Running   bool      `json:"running"`
	Attempt   int       `json:"attempt"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Succeeded time.Time `json:"succeeded"` // the last success
	Error     string    `json:"error,omitempty"`
	Failures  int       `json:"failures"` // in a row
}

func (st *State) finish(o Outcome, now time.Time) {
	st.Running, st.Ended = false, now
	if o.Err != nil {
		st.Error, st.Failures = o.Err.Error(), st.Failures+1
		return
	}
	st.Error, st.Failures, st.Succeeded = "", 0, now
}

func (s *Scheduler) record(ctx context.Context, r Run, change func(*State)) error {
	key := jobKey(r.Kind, r.Subject)
	tx, err := s.queue.begin(ctx)
	if err != nil {
		return fmt.Errorf("record a run: %w", err)
	}
	defer tx.rollback(ctx) // a no-op after the commit
	st := State{Kind: r.Kind, Subject: r.Subject}
	if err := readState(ctx, tx, key, &st); err != nil {
		return err
	}
	change(&st)
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("record a run: %w", err)
	}
	if err := tx.exec(ctx, `INSERT INTO refloat_run (job, body) VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET body = excluded.body`, key, string(body)); err != nil {
		return fmt.Errorf("record a run: %w", err)
	}
	return tx.commit(ctx)
}

func readState(ctx context.Context, from reader, key string, st *State) error {
	var body string
	found, err := from.find(ctx, &body, `SELECT body FROM refloat_run WHERE job = ?`, key)
	if err == nil && found {
		err = json.Unmarshal([]byte(body), st)
	}
	if err != nil {
		return fmt.Errorf("read a run: %w", err)
	}
	return nil
}

// State returns what is known of a job at now.
func (s *Scheduler) State(ctx context.Context, kind, subject string, now time.Time) (State, error) {
	st := State{Kind: kind, Subject: subject}
	key := jobKey(kind, subject)
	if err := readState(ctx, s.queue, key, &st); err != nil {
		return st, err
	}
	if j := s.jobs[key]; j.When != nil {
		st.Next = j.When.Next(now)
	}
	return st, nil
}
