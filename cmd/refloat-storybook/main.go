// The refloat-storybook command shows every page of the console in every state, on
// fixed data: on a loopback address, or as files with --into.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/refloat-db/refloat/internal/server/web/webtest"
)

func main() {
	address := flag.String("address", "127.0.0.1:9465", "where to listen; a loopback address")
	into := flag.String("into", "", "write the pages as files into this folder, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *into != "" {
		err = write(*into)
	} else {
		err = serve(ctx, *address)
	}
	if err != nil {
		slog.Error("storybook", "error", err)
		os.Exit(1)
	}
}

var index = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Storybook of the console</title>
<h1>Storybook of the console</h1>
<ul>{{range .}}<li><a href="/_story?name={{.Name}}">{{.Name}}</a>: {{.Says}}</li>
{{end}}</ul>
</html>
`))

func serve(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--address %s: the storybook listens on loopback addresses only", address)
	}
	var book webtest.Book
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_stories", func(w http.ResponseWriter, _ *http.Request) {
		_ = index.Execute(w, webtest.Stories()) // the reader went away
	})
	mux.HandleFunc("GET /_story", func(w http.ResponseWriter, r *http.Request) {
		for _, s := range webtest.Stories() {
			if s.Name == r.FormValue("name") {
				http.SetCookie(w, &http.Cookie{Name: webtest.WorldCookie, Value: s.World, Path: "/"})
				http.SetCookie(w, &http.Cookie{Name: webtest.WhoCookie, Value: s.Who, Path: "/"})
				http.Redirect(w, r, s.Path, http.StatusSeeOther)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.Handle("/", &book)
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/_stories\n", l.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
