// Package repository keeps backups: base backups as kopia snapshots, the log
// and small records as sealed objects beside them. It is the only room that
// imports kopia. docs/formats/repository.md specifies what it writes.
package repository

import (
	"errors"
	"io/fs"
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

// SealedInfo describes a stored sealed object.
type SealedInfo struct {
	Name     string
	Stored   int64 // bytes in storage
	Modified time.Time
}

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
