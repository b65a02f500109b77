package bucket

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/refloat-db/refloat/internal/repository/repositorytest"
	"github.com/refloat-db/refloat/internal/secret"
	"github.com/refloat-db/refloat/internal/statuspage"
)

func TestRefusals(t *testing.T) {
	for name, o := range map[string]Options{
		"another kind":      {URL: "file:///x"},
		"no bucket":         {URL: "s3:///x"},
		"a password in it":  {URL: "s3://a:b@bucket/x"},
		"endpoint with way": {URL: "s3://b", Endpoint: "https://minio.example"},
		"half of a key":     {URL: "s3://b", AccessKeyID: "x"},
		"far and plain":     {URL: "s3://b", Endpoint: "minio.example", Plaintext: true},
		"no such authority": {URL: "s3://b", CAFile: "/nowhere"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBucket(t *testing.T) {
	s := repositorytest.StartS3(t)
	r := s.Bucket(t, "page")
	o := Options{URL: "s3://page/status", Endpoint: s.Endpoint, Region: r.S3.Region, AccessKeyID: r.S3.AccessKeyID, SecretAccessKey: r.S3.SecretAccessKey, Plaintext: true}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := statuspage.NewPages()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	in := statuspage.Input{Title: "Acme", Told: []statuspage.Told{{Key: "1", Updates: []statuspage.Update{{Status: "identified", Text: "x", At: now}}}}}
	all, err := g.Files(statuspage.Make(in, now), now)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(s.Root, "page", "status")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "robots.txt"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if got, err := os.ReadFile(filepath.Join(root, f.Name)); err != nil || string(got) != string(f.Body) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	in.Told = nil
	fewer, err := g.Files(statuspage.Make(in, now), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), fewer); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) != len(fewer)+1 || !slices.Contains(names, "robots.txt") {
		t.Errorf("there are %v", names)
	}
	o.SecretAccessKey = secret.New("wrong")
	if b, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), all); err == nil {
		t.Error("a wrong key wrote")
	}
	s.Stop()
	if err := b.Write(t.Context(), all); err == nil {
		t.Error("wrote to a service that is gone")
	}
}
