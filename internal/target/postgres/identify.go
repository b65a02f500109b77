package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/refloat-db/refloat/internal/target"
)

// Identify asks the server who it is, how far its log reaches and how large
// its segments are (PostgreSQL docs, "Streaming Replication Protocol").
func (c *Cluster) Identify(ctx context.Context) (target.LogIdentity, error) {
	conn, err := c.connectReplication(ctx, "")
	if err != nil {
		return target.LogIdentity{}, err
	}
	defer closeReplication(conn)
	return identifyOn(ctx, conn)
}

func identifyOn(ctx context.Context, conn *pgconn.PgConn) (target.LogIdentity, error) {
	sys, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return target.LogIdentity{}, fmt.Errorf("identify system: %w", err)
	}
	id := target.LogIdentity{Timeline: target.Timeline(sys.Timeline), Flushed: target.LSN(sys.XLogPos)}
	if id.SystemID, err = parseSystemID(sys.SystemID); err != nil {
		return target.LogIdentity{}, err
	}
	size, err := showSetting(ctx, conn, "wal_segment_size")
	if err != nil {
		return target.LogIdentity{}, err
	}
	if id.SegmentSize, err = parseSize(size); err != nil {
		return target.LogIdentity{}, fmt.Errorf("wal_segment_size: %w", err)
	}
	version, err := showSetting(ctx, conn, "server_version_num")
	if err != nil {
		return target.LogIdentity{}, err
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return target.LogIdentity{}, fmt.Errorf("server_version_num %q: %w", version, err)
	}
	id.Version = target.Version(n)
	return id, nil
}

func parseSystemID(s string) (target.SystemID, error) {
	var id target.SystemID
	if err := id.UnmarshalText([]byte(s)); err != nil {
		return 0, err
	}
	return id, nil
}

// showSetting reads one setting over a replication connection.
func showSetting(ctx context.Context, conn *pgconn.PgConn, name string) (string, error) {
	res, err := conn.Exec(ctx, "SHOW "+name).ReadAll()
	if err != nil {
		return "", fmt.Errorf("show %s: %w", name, err)
	}
	if len(res) != 1 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) != 1 {
		return "", fmt.Errorf("show %s: unexpected answer", name)
	}
	return string(res[0].Rows[0][0]), nil
}

// parseSize reads a size as SHOW prints it: "16MB", "1GB".
func parseSize(s string) (int64, error) {
	for suffix, unit := range map[string]int64{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 32)
			if err != nil || n <= 0 {
				return 0, fmt.Errorf("size %q: want a positive number", s)
			}
			return n * unit, nil
		}
	}
	return 0, fmt.Errorf("size %q: unknown unit", s)
}

// TimelineHistory reads a timeline's history file.
func (c *Cluster) TimelineHistory(ctx context.Context, tl target.Timeline) ([]byte, error) {
	conn, err := c.connectReplication(ctx, "")
	if err != nil {
		return nil, err
	}
	defer closeReplication(conn)
	res, err := conn.Exec(ctx, "TIMELINE_HISTORY "+strconv.FormatUint(uint64(tl), 10)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("history of timeline %d: %w", tl, err)
	}
	if len(res) == 0 || len(res[0].Rows) != 1 || len(res[0].Rows[0]) != 2 {
		return nil, fmt.Errorf("history of timeline %d: unexpected answer", tl)
	}
	return res[0].Rows[0][1], nil
}
