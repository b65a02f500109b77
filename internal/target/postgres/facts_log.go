package postgres

import (
	"context"
	"time"

	"github.com/refloat-db/refloat/internal/target"
)

func (g gathering) archiver(ctx context.Context) (target.Archiver, error) {
	const query = `
		SELECT archived_count, coalesce(last_archived_wal, ''), last_archived_time,
		       failed_count, coalesce(last_failed_wal, ''), last_failed_time, stats_reset
		FROM pg_stat_archiver`
	var a target.Archiver
	err := g.conn.QueryRow(ctx, query).Scan(&a.Archived, &a.LastWAL, timeOr{&a.LastAt}, &a.Failed, &a.FailedWAL, timeOr{&a.FailedAt}, timeOr{&a.CountsFrom})
	return a, err
}

func (g gathering) archiveQueue(ctx context.Context) (target.ArchiveQueue, error) {
	var q target.ArchiveQueue
	err := g.conn.QueryRow(ctx, `SELECT count(*), min(modification) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`).Scan(&q.Waiting, timeOr{&q.Oldest})
	return q, err
}

func (g gathering) wal(ctx context.Context) (target.WALDirectory, error) {
	var w target.WALDirectory
	err := g.conn.QueryRow(ctx, `SELECT count(*), coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()`).Scan(&w.Files, &w.Bytes)
	return w, err
}

// endOfLog is where the log ends; a standby's ends where it has received it to.
func (g gathering) endOfLog() string {
	if g.server.InRecovery {
		return "coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
	}
	return "pg_current_wal_lsn()"
}

func (g gathering) slots(ctx context.Context) ([]target.SlotFacts, error) {
	since, invalid := "NULL::timestamptz", "''"
	switch major := g.server.Version.Major(); {
	case major >= 17:
		since, invalid = "inactive_since", "coalesce(invalidation_reason, '')"
	case major == 16:
		invalid = "CASE WHEN conflicting THEN 'conflict with recovery' ELSE '' END"
	}
	query := `
		SELECT slot_name::text, slot_type = 'logical', coalesce(database::text, ''), temporary, active, ` + since + `,
		       greatest(0, coalesce(pg_wal_lsn_diff(` + g.endOfLog() + `, restart_lsn), 0))::bigint, restart_lsn IS NOT NULL,
		       coalesce(wal_status, ''), ` + invalid + `, greatest(coalesce(age(xmin), 0), coalesce(age(catalog_xmin), 0))
		FROM pg_replication_slots ORDER BY 1 ` + rowsLimit
	return collect(ctx, g.conn, query, func(s *target.SlotFacts) []any {
		return []any{&s.Name, &s.Logical, &s.Database, &s.Temporary, &s.Active, timeOr{&s.InactiveSince}, &s.Retained, &s.Reserves, &s.WALStatus, &s.Invalid, &s.XminAge}
	})
}

// senders leaves out connections that have asked for no log yet: our own look
// over the replication protocol is one.
func (g gathering) senders(ctx context.Context) ([]target.Sender, error) {
	query := `
		SELECT coalesce(r.usename::text, ''), coalesce(r.application_name, ''), coalesce(host(r.client_addr), ''),
		       coalesce(r.client_addr <<= '127.0.0.0/8' OR r.client_addr = '::1', true), coalesce(x.ssl, false),
		       coalesce(s.slot_name::text, ''), coalesce(r.state, ''), coalesce(r.sync_state, ''),
		       greatest(0, coalesce(pg_wal_lsn_diff(` + g.endOfLog() + `, coalesce(r.replay_lsn, r.flush_lsn, r.sent_lsn)), 0))::bigint,
		       (coalesce(extract(epoch FROM r.replay_lag), 0) * 1e9)::bigint, r.backend_start
		FROM pg_stat_replication r LEFT JOIN pg_stat_ssl x ON x.pid = r.pid
		LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
		WHERE coalesce(r.state, '') <> 'startup' ORDER BY r.backend_start ` + rowsLimit
	return collect(ctx, g.conn, query, func(s *target.Sender) []any {
		return []any{&s.Role, &s.Application, &s.Address, &s.Local, &s.TLS, &s.Slot, &s.State, &s.Sync, &s.Behind, (*int64)(&s.ReplayLag), &s.Since}
	})
}

func (g gathering) standby(ctx context.Context) (target.StandbyFacts, error) {
	s := target.StandbyFacts{
		Conninfo:    g.settings["primary_conninfo"].Value != "",
		RestoresLog: g.settings["restore_command"].Value != "",
		ApplyDelay:  time.Duration(g.number("recovery_min_apply_delay")) * time.Millisecond,
	}
	const query = `
		SELECT pg_is_wal_replay_paused(), r.pid IS NOT NULL AND r.status IN ('streaming', 'waiting'), coalesce(r.sender_host, ''), r.last_msg_receipt_time,
		       greatest(0, coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0))::bigint, pg_last_xact_replay_timestamp()
		FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver r ON true`
	err := g.conn.QueryRow(ctx, query).Scan(&s.Paused, &s.Receiving, &s.From, timeOr{&s.LastMessage}, &s.Unreplayed, timeOr{&s.LastReplayed})
	return s, err
}
