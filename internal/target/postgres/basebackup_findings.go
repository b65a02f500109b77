package postgres

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/refloat-db/refloat/internal/target"
)

// maxPerFile bounds what is kept of one file; the rest is only counted. A
// disk that returns rubbish must not fill the memory.
const maxPerFile = 100

type pageKey struct {
	file  string
	block int64
}

// pageVerdicts collects pages whose checksum does not fit, and what the server
// said about pages, until the end of the backup is known. Safe for concurrent
// use.
type pageVerdicts struct {
	mu       sync.Mutex
	suspects map[string][]suspect
	more     map[string]int64 // those not kept
	warned   map[pageKey]string
	spaces   []target.Tablespace
	other    string // the server says that there are bad pages, but not which
}

func newPageVerdicts() *pageVerdicts {
	return &pageVerdicts{suspects: map[string][]suspect{}, more: map[string]int64{}, warned: map[pageKey]string{}}
}

func (v *pageVerdicts) suspect(file string, s suspect) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.suspects[file]) >= maxPerFile {
		v.more[file]++
		return
	}
	v.suspects[file] = append(v.suspects[file], s)
}

// tablespaces tells where the server keeps them: its warnings name files so.
func (v *pageVerdicts) tablespaces(all []target.Tablespace) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.spaces = all
}

// nameInBackup is the name, in a backup, of a file as the server names it.
func (v *pageVerdicts) nameInBackup(file string) string {
	for _, t := range v.spaces {
		if rest, ok := strings.CutPrefix(file, t.Location+"/"); ok {
			return fmt.Sprintf("pg_tblspc/%d/%s", t.OID, rest)
		}
	}
	return strings.TrimPrefix(file, "./")
}

// The server's words in English; in another language only its final error,
// which has a code, is understood. We see the same pages it sees.
var checksumWarning = regexp.MustCompile(`checksum verification failed in file "([^"]+)", block (\d+)`)

// warn takes a warning of the server; false when it is about something else.
func (v *pageVerdicts) warn(message string) bool {
	m := checksumWarning.FindStringSubmatch(message)
	if m == nil {
		return false
	}
	block, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.warned) < 100*maxPerFile {
		v.warned[pageKey{v.nameInBackup(m[1]), block}] = message
	}
	return true
}

// failed takes the server's error that ends a backup with bad pages.
func (v *pageVerdicts) failed(message string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.other = message
}

// result tells damage from pages that were being written. A page that was
// written during the backup carries a position between its start and its end,
// and the log holds its full image; that it was caught half-written does no
// harm. Any other page with a checksum that does not fit is damaged.
func (v *pageVerdicts) result(start, end target.LSN) (findings []target.PageFinding, torn int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for file, list := range v.suspects {
		for _, s := range list {
			_, warned := v.warned[pageKey{file, s.block}]
			delete(v.warned, pageKey{file, s.block})
			switch {
			case !warned && s.lsn >= start && s.lsn <= end:
				torn++
			case s.lsn > end:
				findings = append(findings, target.PageFinding{File: file, Block: s.block,
					Detail: fmt.Sprintf("the page's checksum is wrong, and its position %s is one that the log had not reached", s.lsn)})
			default:
				findings = append(findings, target.PageFinding{File: file, Block: s.block,
					Detail: fmt.Sprintf("the page's checksum is wrong (last written at %s, before the backup began)", s.lsn)})
			}
		}
		if n := v.more[file]; n > 0 {
			findings = append(findings, target.PageFinding{File: file, Block: -1, Detail: fmt.Sprintf("%d more pages have a wrong checksum", n)})
		}
	}
	for k, message := range v.warned {
		findings = append(findings, target.PageFinding{File: k.file, Block: k.block, Detail: "the server says: " + message})
	}
	if v.other != "" && len(findings) == 0 {
		findings = append(findings, target.PageFinding{File: "(not named by the server)", Block: -1, Detail: "the server says: " + v.other})
	}
	slices.SortFunc(findings, func(a, b target.PageFinding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Block, b.Block))
	})
	return findings, torn
}
