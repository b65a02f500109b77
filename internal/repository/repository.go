// Package repository keeps backups: base backups as kopia snapshots, the log
// and small records as sealed objects beside them. It is the only room that
// imports kopia. docs/formats/repository.md specifies what it writes.
package repository

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/refloat-db/refloat/internal/secret"
)

// Errors that callers tell apart; each is wrapped with the location, what
// happened and what to do next.
var (
	ErrNotFound     = errors.New("not found in the repository")
	ErrNoRepository = errors.New("no repository at this location")
	ErrExists       = errors.New("a repository exists at this location")
	ErrPassphrase   = errors.New("wrong passphrase")
	ErrVersion      = errors.New("repository of another version")
	ErrUnreachable  = errors.New("storage cannot be reached")
	ErrFull         = errors.New("storage is full")
	ErrCorrupt      = errors.New("damaged data in the repository")
)

// Options say where a repository is and how to open it.
type Options struct {
	URL        string // file:///path, s3://bucket/prefix, azblob://container/prefix, gs://bucket/prefix, sftp://user@host/path
	Passphrase secret.Value
	CacheDir   string // local cache for remote storage; must be private to the user
	S3         S3Options
	Azure      AzureOptions
	GCS        GCSOptions
	SFTP       SFTPOptions
	ReadOnly   bool
}

// S3Options go with s3:// locations.
type S3Options struct {
	Endpoint        string // host[:port]; empty for AWS
	Region          string
	AccessKeyID     string
	SecretAccessKey secret.Value
	SessionToken    secret.Value
	Plaintext       bool   // http, refused except to a loopback address
	CAFile          string // PEM of a private authority
}

// AzureOptions go with azblob:// locations.
type AzureOptions struct {
	Account string
	Key     secret.Value
}

// GCSOptions go with gs:// locations.
type GCSOptions struct{ CredentialsFile string }

// SFTPOptions go with sftp:// locations.
type SFTPOptions struct{ KeyFile, KnownHostsFile string }

// Repository is an open repository. It is safe for concurrent use.
type Repository struct{ impl }

// Create makes a new repository. It never overwrites one: ErrExists.
func Create(ctx context.Context, o Options) (*Repository, error) { return nil, errSkeleton }

// Open opens an existing one. Opening costs about half a second (the
// passphrase is stretched), so keep it open.
func Open(ctx context.Context, o Options) (*Repository, error) { return nil, errSkeleton }

// Close releases everything; idempotent.
func (r *Repository) Close(ctx context.Context) error { return errSkeleton }

// Location is the URL without any secret.
func (r *Repository) Location() string { return "" }

// Fingerprint identifies the repository: 16 hexadecimal digits in groups of four.
func (r *Repository) Fingerprint() string { return "" }

// ObjectID names a stored stream of bytes.
type ObjectID string

// Node is one entry of a snapshot's tree.
type Node struct {
	Path    string // slash-separated, relative, cleaned
	Mode    fs.FileMode
	Size    int64
	ModTime time.Time
	Object  ObjectID // empty for a directory
}

// Snapshot is a committed tree.
type Snapshot struct {
	ID     string
	Source string            // host-independent path, "/targetname"; shown by the stock tool
	Tags   map[string]string // short labels, for listing without reading the tree
	Start  time.Time
	End    time.Time
	Size   int64
	Files  int64
}

// Writer writes objects and commits them as one snapshot. WriteObject may be
// called concurrently. What is not committed is invisible, and is reclaimed by
// Maintain.
type Writer struct{ writerImpl }

// NewWriter starts a write session; end it with Commit or Abort.
func (r *Repository) NewWriter(ctx context.Context, purpose string) (*Writer, error) {
	return nil, errSkeleton
}

// WriteObject stores r's bytes to its end and returns their identity and length.
func (w *Writer) WriteObject(ctx context.Context, name string, r io.Reader) (ObjectID, int64, error) {
	return "", 0, errSkeleton
}

// Stored is how many bytes the session has sent to storage so far (after
// compression and deduplication).
func (w *Writer) Stored() int64 { return 0 }

// Checkpoint makes the objects so far durable without making them visible.
func (w *Writer) Checkpoint(ctx context.Context) error { return errSkeleton }

// Commit writes the tree and the snapshot. When it returns nil the snapshot is
// durable and visible.
func (w *Writer) Commit(ctx context.Context, s Snapshot, tree []Node) (Snapshot, error) {
	return Snapshot{}, errSkeleton
}

// Abort drops the session; a no-op after Commit.
func (w *Writer) Abort(ctx context.Context) error { return errSkeleton }

// Snapshots lists those of a source, oldest first; source "" lists all.
func (r *Repository) Snapshots(ctx context.Context, source string) ([]Snapshot, error) {
	return nil, errSkeleton
}

// Tree reads a snapshot's whole tree in path order.
func (r *Repository) Tree(ctx context.Context, id string) ([]Node, error) { return nil, errSkeleton }

// Lookup finds one path in a snapshot without reading the whole tree.
func (r *Repository) Lookup(ctx context.Context, id, path string) (Node, error) {
	return Node{}, errSkeleton
}

// OpenObject reads an object; every byte is authenticated before it is returned.
func (r *Repository) OpenObject(ctx context.Context, id ObjectID) (io.ReadSeekCloser, error) {
	return nil, errSkeleton
}

// DeleteSnapshot forgets a snapshot; Maintain reclaims its space.
func (r *Repository) DeleteSnapshot(ctx context.Context, id string) error { return errSkeleton }

// Refresh makes what other processes committed visible.
func (r *Repository) Refresh(ctx context.Context) error { return errSkeleton }

// Sealed objects: compressed (zstd) and encrypted (age, to a key kept in the
// repository) under a plain name that sorts. Names are slash-separated, of
// [A-Za-z0-9._-] elements.

// SealedInfo describes a stored sealed object.
type SealedInfo struct {
	Name     string
	Stored   int64 // bytes in storage
	Modified time.Time
}

// PutSealed stores content under name, replacing what was there. When it
// returns nil the object is durable. A reader sees the old or the new content,
// never a mixture.
func (r *Repository) PutSealed(ctx context.Context, name string, content []byte) error {
	return errSkeleton
}

// GetSealed reads a sealed object whole. ErrNotFound, ErrCorrupt.
func (r *Repository) GetSealed(ctx context.Context, name string) ([]byte, error) {
	return nil, errSkeleton
}

// ListSealed yields the objects whose name begins with prefix, in name order.
func (r *Repository) ListSealed(ctx context.Context, prefix string) iter.Seq2[SealedInfo, error] {
	return nil
}

// DeleteSealed removes an object; removing what is not there is no error.
func (r *Repository) DeleteSealed(ctx context.Context, name string) error { return errSkeleton }

// Status is what `refloat repo status` shows.
type Status struct {
	Location        string    `json:"location"`
	Fingerprint     string    `json:"fingerprint"`
	Format          string    `json:"format"` // hash, encryption, splitter, compression
	Snapshots       int       `json:"snapshots"`
	Sealed          int       `json:"sealed_objects"`
	StoredBytes     int64     `json:"stored_bytes"`
	FreeBytes       int64     `json:"free_bytes"` // -1 when storage does not say
	LastMaintenance time.Time `json:"last_maintenance"`
}

// Status reads the figures; it lists all of storage.
func (r *Repository) Status(ctx context.Context) (Status, error) { return Status{}, errSkeleton }

// VerifyOptions say how much to read.
type VerifyOptions struct {
	Full     bool // read, decrypt and check every byte; otherwise presence and structure
	Progress func(done, total int64)
}

// Damage is one thing that is wrong with stored data.
type Damage struct {
	Object string `json:"object"`
	Detail string `json:"detail"`
}

// VerifyReport is what a verification read and what it found.
type VerifyReport struct {
	Objects int64    `json:"objects"`
	Bytes   int64    `json:"bytes"`
	Damage  []Damage `json:"damage"`
}

// Verify checks stored data. Damage is in the report; the error is for what
// kept it from looking.
func (r *Repository) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	return VerifyReport{}, errSkeleton
}

// MaintainOptions say what to reclaim.
type MaintainOptions struct {
	// Unreferenced younger than a day is kept, since another process may be
	// writing it, unless Exclusive promises that none is.
	Exclusive bool
	DryRun    bool
}

// MaintainReport is what a maintenance did.
type MaintainReport struct {
	Reclaimed int64 `json:"reclaimed_bytes"`
}

// Maintain compacts indexes and reclaims space that nothing refers to.
func (r *Repository) Maintain(ctx context.Context, o MaintainOptions) (MaintainReport, error) {
	return MaintainReport{}, errSkeleton
}

var errSkeleton = errors.New("not built yet")

type (
	impl       struct{}
	writerImpl struct{}
)
