package detect

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestMain runs the tests, or, in a process of its own, the fakes.
func TestMain(m *testing.M) {
	if os.Getenv("REFLOAT_FAKES") == "1" {
		fakes()
		return
	}
	os.Exit(m.Run())
}

// fleet is many servers that speak the protocol and nothing more, told apart by
// the database that is asked for.
type fleet struct {
	mu   sync.Mutex
	down map[string]bool
	open map[string]map[net.Conn]bool
}

// fakes serves until its input ends. "down NAME" ends NAME's sessions and takes
// no new ones; "up NAME" undoes it; each is answered by a line when it is done.
func fakes() {
	f := &fleet{down: map[string]bool{}, open: map[string]map[net.Conn]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		verb, name, _ := strings.Cut(in.Text(), " ")
		f.mu.Lock()
		f.down[name] = verb == "down"
		if verb == "down" {
			for c := range f.open[name] {
				_ = c.Close()
			}
			delete(f.open, name)
		}
		f.mu.Unlock()
		fmt.Println("done")
	}
}

func (f *fleet) serve(c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	start, err := b.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, ssl := start.(*pgproto3.SSLRequest); ssl {
		if _, err := c.Write([]byte{'N'}); err != nil {
			return
		}
		if start, err = b.ReceiveStartupMessage(); err != nil {
			return
		}
	}
	m, ok := start.(*pgproto3.StartupMessage)
	if !ok {
		return
	}
	name := m.Parameters["database"]
	if !f.enter(name, c) {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"})
		_ = b.Flush()
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "15.0"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		msg, err := b.Receive()
		if err != nil {
			return
		}
		if _, query := msg.(*pgproto3.Query); !query {
			return
		}
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("BEGIN")})
		var fields []pgproto3.FieldDescription
		for _, n := range []string{"standby", "read_only", "used", "room", "clients", "snapshot"} {
			fields = append(fields, pgproto3.FieldDescription{Name: []byte(n), DataTypeOID: 25, DataTypeSize: -1})
		}
		b.Send(&pgproto3.RowDescription{Fields: fields})
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("false"), []byte("off"), []byte("9"), []byte("97"), []byte("3"), []byte("00000003-00000002-1")}})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("ROLLBACK")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
	}
}

func (f *fleet) enter(name string, c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down[name] {
		return false
	}
	if f.open[name] == nil {
		f.open[name] = map[net.Conn]bool{}
	}
	f.open[name][c] = true
	return true
}
