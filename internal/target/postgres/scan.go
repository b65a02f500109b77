package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/refloat-db/refloat/internal/target"
)

// maxScanFindings bounds what a scan of a ruined cluster reports.
const maxScanFindings = 1000

// segmentBlocks is how many blocks a relation's file holds (1 GiB, the default
// of PostgreSQL's build).
const segmentBlocks = 131072

// ScanDir reads every page of a stopped cluster: checksums where the cluster
// has them, headers always. A page of zeros is lawful in PostgreSQL (a table
// that was extended and not yet filled), so zeros are reported only where the
// cluster itself knows better: the visibility map says that the page's rows
// are visible to all, or a btree index points to it. relations says which
// files are tables and which their indexes.
func ScanDir(ctx context.Context, dir string, checksums bool, relations []target.RelationFile) (target.ScanReport, error) {
	s := &scanner{dir: dir, checksums: checksums, zeros: map[string]map[uint32]bool{}}
	paths, err := s.list()
	if err != nil {
		return target.ScanReport{}, fmt.Errorf("scan the cluster's pages: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range paths {
		g.Go(func() error { return s.file(gctx, p) })
	}
	if err := g.Wait(); err != nil {
		return target.ScanReport{}, fmt.Errorf("scan the cluster's pages: %w", err)
	}
	if err := s.lost(ctx, relations); err != nil {
		return target.ScanReport{}, fmt.Errorf("look for lost pages: %w", err)
	}
	for _, list := range [][]target.PageFinding{s.report.Damaged, s.report.Lost} {
		slices.SortFunc(list, func(a, b target.PageFinding) int {
			if a.File != b.File {
				return strings.Compare(a.File, b.File)
			}
			return int(a.Block - b.Block)
		})
	}
	return s.report, nil
}

type scanner struct {
	dir       string
	checksums bool

	mu     sync.Mutex
	report target.ScanReport
	zeros  map[string]map[uint32]bool // blocks of zeros of main forks, by path of the first segment
}

// list finds the relations' files, through the links of tablespaces.
func (s *scanner) list() ([]string, error) {
	var out []string
	walk := func(root, rel string) error {
		return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			inside, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			path := filepath.ToSlash(filepath.Join(rel, inside))
			if _, is := parseRelationPath(path); is {
				out = append(out, path)
			}
			return nil
		})
	}
	for _, d := range []string{"base", "global"} {
		if err := walk(filepath.Join(s.dir, d), d); err != nil {
			return nil, err
		}
	}
	links, err := os.ReadDir(filepath.Join(s.dir, "pg_tblspc"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, l := range links {
		rel := "pg_tblspc/" + l.Name()
		real, err := filepath.EvalSymlinks(filepath.Join(s.dir, rel))
		if err == nil {
			err = walk(real, rel)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mainFork is the path of the first segment of a main fork; false for others.
func mainFork(path string, segment uint32) (string, bool) {
	name := filepath.Base(path)
	if strings.Contains(name, "_") {
		return "", false
	}
	if segment > 0 {
		return strings.TrimSuffix(path, "."+strconv.FormatUint(uint64(segment), 10)), true
	}
	return path, true
}

func (s *scanner) file(ctx context.Context, path string) (err error) {
	rel, _ := parseRelationPath(path)
	f, err := os.Open(filepath.Join(s.dir, path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	base, isMain := mainFork(path, rel.segment)
	buf := make([]byte, 128*target.PageSize)
	var block, pages int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buf)
		for at := 0; at+target.PageSize <= n; at += target.PageSize {
			page := (*[target.PageSize]byte)(buf[at:])
			number := rel.segment*segmentBlocks + uint32(block)
			if pageIsNew(page) {
				if isMain {
					s.zero(base, number)
				}
			} else if why := s.judge(page, number); why != "" {
				s.damaged(path, block, why)
			}
			block++
			pages++
		}
		if n%target.PageSize != 0 {
			s.damaged(path, block, fmt.Sprintf("%d bytes are left of a page", n%target.PageSize))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Files++
	s.report.Pages += pages
	return nil
}

// judge says what is wrong with a page that is not new; "" when nothing is.
func (s *scanner) judge(page *[target.PageSize]byte, number uint32) string {
	if s.checksums && !pageIsGood(page, number) {
		return "the page's checksum does not fit its content"
	}
	le := binary.LittleEndian
	lower, upper, special := le.Uint16(page[12:]), le.Uint16(page[14:]), le.Uint16(page[16:])
	// PageIsVerifiedExtended in bufpage.c.
	if le.Uint16(page[10:])&^0x0007 != 0 || lower > upper || upper > special || special > target.PageSize || special%8 != 0 {
		return fmt.Sprintf("the page's header makes no sense (lower %d, upper %d, special %d)", lower, upper, special)
	}
	return ""
}

func (s *scanner) damaged(path string, block int64, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.report.Damaged) < maxScanFindings {
		s.report.Damaged = append(s.report.Damaged, target.PageFinding{File: path, Block: block, Detail: why})
	}
}

func (s *scanner) zero(base string, number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.zeros[base] == nil {
		s.zeros[base] = map[uint32]bool{}
	}
	s.zeros[base][number] = true
}
