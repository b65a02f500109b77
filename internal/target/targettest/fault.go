package targettest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Freeze stops every process of the server, as a hung machine would look.
func (c *Cluster) Freeze(t testing.TB) { c.signalAll(t, syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (c *Cluster) Thaw(t testing.TB) { c.signalAll(t, syscall.SIGCONT) }

func (c *Cluster) signalAll(t testing.TB, sig syscall.Signal) {
	t.Helper()
	for _, pid := range append([]int{c.proc.pid}, children(c.proc.pid)...) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("signal %d: %v", pid, err)
		}
	}
}

// KillPostmaster sends SIGKILL to the postmaster alone, as an operating system
// short of memory does, and returns when it is gone. The others end by
// themselves; Stop or Start must follow.
func (c *Cluster) KillPostmaster(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(c.proc.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// SmallDisk puts a file system of a few MiB where a cluster can be made, and
// returns its folder. Where mounting is not allowed the test is skipped, or fails
// with REFLOAT_TEST_REQUIRE=1.
func SmallDisk(t testing.TB, mib int) string {
	t.Helper()
	dir := TempDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0777,size="+strconv.Itoa(mib)+"m"); err != nil {
		if os.Getenv("REFLOAT_TEST_REQUIRE") == "1" {
			t.Fatalf("a small file system needs the right to mount: %v", err)
		}
		t.Skipf("a small file system needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	Own(t, dir)
	return dir
}

// FillDisk fills the file system that dir is on; the function empties it again.
func FillDisk(t testing.TB, dir string) func() {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_ = f.Close()
	return sync.OnceFunc(func() { _ = os.Remove(name) })
}

// Network is a way to a server that can fail: a proxy on 127.0.0.1.
type Network struct {
	Port int

	swallow atomic.Bool
	loss    atomic.Int64 // of a million reads, how many are held back for a retransmission
	jitter  atomic.Int64 // nanoseconds, at most
	l       net.Listener
	work    sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool
}

// NewNetwork starts a way to 127.0.0.1:port.
func NewNetwork(t testing.TB, port int) *Network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{Port: l.Addr().(*net.TCPAddr).Port, l: l, open: map[net.Conn]bool{}}
	n.work.Go(func() { n.accept(port) })
	t.Cleanup(func() {
		_ = l.Close()
		n.mu.Lock()
		for c := range n.open {
			_ = c.Close()
		}
		n.mu.Unlock()
		n.work.Wait()
	})
	return n
}

// Swallow lets no byte through from now on, in either direction, and takes
// connections without a word: what a firewall that drops looks like once the
// handshake is past.
func (n *Network) Swallow(on bool) { n.swallow.Store(on) }

// Weather sets a rate of loss, 0 to 1, and a delay of up to jitter for each
// piece. A lost piece comes after 200 ms more, as TCP's first retransmission.
func (n *Network) Weather(loss float64, jitter time.Duration) {
	n.loss.Store(int64(loss * 1e6))
	n.jitter.Store(int64(jitter))
}

func (n *Network) accept(port int) {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		n.keep(c)
		n.work.Go(func() {
			defer n.drop(c)
			n.delay()
			s, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				// A reset is what the client would have got.
				_ = c.(*net.TCPConn).SetLinger(0)
				return
			}
			n.keep(s)
			defer n.drop(s)
			n.work.Go(func() { n.pipe(s, c) })
			n.pipe(c, s)
		})
	}
}

func (n *Network) keep(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[c] = true
}

func (n *Network) drop(c net.Conn) {
	_ = c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c)
}

// pipe carries bytes from a to b until either ends.
func (n *Network) pipe(a, b net.Conn) {
	defer func() { _ = b.Close() }()
	buf := make([]byte, 16<<10)
	for {
		k, err := a.Read(buf)
		if n.swallow.Load() {
			_, _ = io.Copy(io.Discard, a)
			return
		}
		n.delay()
		if k > 0 {
			if _, err := b.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (n *Network) delay() {
	d := time.Duration(0)
	if j := n.jitter.Load(); j > 0 {
		d = time.Duration(rand.Int64N(j))
	}
	if rand.Int64N(1e6) < n.loss.Load() {
		d += 200 * time.Millisecond
	}
	if d > 0 {
		time.Sleep(d)
	}
}

// Exhaust takes every connection that a role can get; the function gives them
// back.
func (c *Cluster) Exhaust(t testing.TB, role string) func() {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var all []*pgx.Conn
	for {
		conn, err := pgx.Connect(ctx, "postgres://"+role+"@127.0.0.1:"+strconv.Itoa(c.Port)+"/postgres?sslmode=disable")
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "53300" {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	return sync.OnceFunc(func() {
		for _, conn := range all {
			_ = conn.Close(context.Background())
		}
	})
}
