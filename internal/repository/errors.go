package repository

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/manifest"
	"github.com/kopia/kopia/repo/object"
	"github.com/kopia/kopia/snapshot"
)

// Error is an error of a repository: which kind, where, what happened, to
// which object, and what to do next. errors.Is finds both Kind and Cause.
type Error struct {
	Kind     error  // one of the Err values of this package, or nil
	Location string // URL without any secret
	Op       string // what was being done, with the object
	Next     string // what to do next
	Cause    error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "repository %s: %s", e.Location, e.Op)
	if e.Kind != nil {
		fmt.Fprintf(&b, ": %v", e.Kind)
	}
	if e.Cause != nil && !errors.Is(e.Kind, e.Cause) {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	if e.Next != "" {
		fmt.Fprintf(&b, ". %s", e.Next)
	}
	return b.String()
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	var out []error
	if e.Kind != nil {
		out = append(out, e.Kind)
	}
	if e.Cause != nil {
		out = append(out, e.Cause)
	}
	return out
}

// next says what to do about each kind.
func next(kind error) string {
	for _, a := range []struct {
		kind error
		text string
	}{
		{ErrNoRepository, "Check the location, or make a repository there with `refloat repo init`."},
		{ErrExists, "Open it instead, or choose another location; an existing repository is never overwritten."},
		{ErrPassphrase, "Give the passphrase the repository was made with; nothing was changed."},
		{ErrVersion, "Use the release of refloat that wrote it, or a newer one."},
		{ErrUnreachable, "Check the address, the network, the credentials and that the folder or bucket still exists; nothing that is stored was changed."},
		{ErrFull, "Free space, then try again; what was stored before is intact."},
		{ErrCorrupt, "Run `refloat repo verify` to see what is affected, and keep the storage as it is until it is understood."},
	} {
		if errors.Is(kind, a.kind) {
			return a.text
		}
	}
	return ""
}

// fail wraps cause as an *Error of the given kind. A nil kind is worked out
// from the cause.
func fail(location, op string, kind, cause error) error {
	if cause != nil {
		var done *Error
		if errors.As(cause, &done) {
			return cause
		}
		if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) && kind == nil {
			return fmt.Errorf("repository %s: %s: %w", location, op, cause)
		}
	}
	if kind == nil {
		kind = classify(cause)
	}
	return &Error{Kind: kind, Location: location, Op: op, Next: next(kind), Cause: cause}
}

// wrap is fail for an open repository. Storage that has gone, be it a disk
// that was unmounted or a bucket that was deleted, answers "not found" to
// everything: that is neither the absence of an object nor damage.
func (r *Repository) wrap(ctx context.Context, op string, kind, cause error) error {
	err := fail(r.Location(), op, kind, cause)
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if there := r.present(ctx); there != nil {
		return fail(r.Location(), op, ErrUnreachable, there)
	}
	return err
}

// present checks that the storage is still the repository's.
func (r *Repository) present(ctx context.Context) error {
	_, err := r.storage.GetMetadata(ctx, format.KopiaRepositoryBlobID)
	if errors.Is(err, blob.ErrBlobNotFound) {
		return fmt.Errorf("%s is no longer there: the disk, folder or bucket may be gone", format.KopiaRepositoryBlobID)
	}
	return err
}

// classify maps what kopia, the storage and the system report to this
// package's kinds; nil when it is none of them.
func classify(err error) error {
	for _, k := range []error{ErrNotFound, ErrNoRepository, ErrExists, ErrPassphrase, ErrVersion, ErrUnreachable, ErrFull, ErrCorrupt} {
		if errors.Is(err, k) {
			return k
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case errors.Is(err, format.ErrInvalidPassword):
		return ErrPassphrase
	case errors.Is(err, format.ErrAlreadyInitialized):
		return ErrExists
	case errors.Is(err, repo.ErrRepositoryNotInitialized):
		return ErrNoRepository
	case errors.Is(err, snapshot.ErrSnapshotNotFound), errors.Is(err, manifest.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, content.ErrContentNotFound), errors.Is(err, object.ErrObjectNotFound),
		errors.Is(err, blob.ErrBlobNotFound), errors.Is(err, blob.ErrInvalidRange), errors.Is(err, syscall.EIO):
		return ErrCorrupt
	}
	return classifyText(err)
}

// classifyText is for errors that libraries report only as text.
func classifyText(err error) error {
	var (
		netErr *net.OpError
		urlErr *url.Error
		dnsErr *net.DNSError
	)
	text := strings.ToLower(err.Error())
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("no space left", "disk quota", "quotaexceeded", "storage full", "xminiostoragefull", "insufficient storage"):
		return ErrFull
	case errors.As(err, &netErr), errors.As(err, &urlErr), errors.As(err, &dnsErr),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ESTALE):
		return ErrUnreachable
	case has("bucket does not exist", "nosuchbucket", "bucket doesn't exist", "containernotfound", "cannot access storage path",
		"access denied", "accessdenied", "signature we calculated", "check your key and signing method", "invalid credentials", "signaturedoesnotmatch", "invalidaccesskeyid", "connection refused", "no such host", "i/o timeout", "connection reset"):
		return ErrUnreachable
	case has("unsupported key derivation", "unsupported format version", "unknown encryption algorithm", "unsupported repository format",
		"unsupported encryption", "does not support feature", "unknown hash", "required feature", "not supported in this version"):
		return ErrVersion
	case has("invalid checksum", "decrypt", "message authentication failed", "unable to decompress", "decompression error",
		"invalid content", "invalid offset", "malformed", "invalid blob", "corrupt", "invalid length"):
		return ErrCorrupt
	}
	return nil
}
