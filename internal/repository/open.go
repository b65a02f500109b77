package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/age"
	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/blob/readonly"
	"github.com/kopia/kopia/repo/content"
	"github.com/kopia/kopia/repo/format"
	"github.com/kopia/kopia/repo/maintenance"
)

// What every repository is made with.
const (
	formatHash       = "BLAKE3-256"
	formatEncryption = "AES256-GCM-HMAC-SHA256"
	formatSplitter   = "FIXED-1M"
	formatCompressor = "zstd-fastest"

	clientHost = "refloat"
	clientUser = "refloat"

	contentCacheBytes  = 256 << 20
	metadataCacheBytes = 256 << 20
)

// Repository is an open repository. It is safe for concurrent use.
type Repository struct {
	loc      location
	opts     Options // to open it anew for verification
	readOnly bool
	storage  blob.Storage
	rep      repo.DirectRepository
	private  string // folder of kopia's connection file; holds no secret
	pool     codecs

	cached        bool      // kopia caches contents
	secret        []byte    // see contentSecret
	chunkDecoders sync.Pool // of *zstd.Decoder
	readers       sync.Pool // of *buffers

	closeOnce sync.Once
	closeErr  error

	keyMu sync.Mutex
	key   *age.X25519Identity // nil until it was read
}

// Create makes a new repository. It never overwrites one: ErrExists. An empty
// passphrase is refused.
func Create(ctx context.Context, o Options) (*Repository, error) {
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		return nil, fail(l.String(), "create", nil, errors.New("it is to be opened read-only, so it cannot be made"))
	}
	st, err := openStorage(ctx, l, o, true)
	if err != nil {
		return nil, fail(l.String(), "create", nil, err)
	}
	begun, err := prepareCreate(ctx, st)
	if err == nil && !begun {
		err = repo.Initialize(ctx, st, &repo.NewRepositoryOptions{
			BlockFormat:  format.ContentFormat{Hash: formatHash, Encryption: formatEncryption},
			ObjectFormat: format.ObjectFormat{Splitter: formatSplitter},
		}, o.Passphrase.Reveal())
	}
	err = errors.Join(err, st.Close(ctx))
	if err != nil {
		return nil, fail(l.String(), "create", nil, err)
	}
	r, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := r.finishCreate(ctx); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

// finishCreate writes what kopia does not: the key of sealed objects, and that
// maintenance is ours, so that the stock program leaves it alone. Both go into
// one part of the index, whose loss is then noticed by that of the key.
func (r *Repository) finishCreate(ctx context.Context) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return r.wrap(ctx, "make the key of sealed objects", nil, err)
	}
	w, err := r.NewWriter(ctx, "create")
	if err != nil {
		return err
	}
	p := maintenance.DefaultParams()
	p.Owner = clientUser + "@" + clientHost
	if err := maintenance.SetParams(ctx, w.w, &p); err != nil {
		return r.wrap(ctx, "set who maintains", nil, errors.Join(err, w.Abort(ctx)))
	}
	if err := w.storeIdentity(ctx, id); err != nil {
		return errors.Join(err, w.Abort(ctx))
	}
	return nil
}

// Open opens an existing one. Opening costs about half a second (the
// passphrase is stretched), so keep it open.
func Open(ctx context.Context, o Options) (*Repository, error) {
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	st, err := openStorage(ctx, l, o, false)
	if err != nil {
		return nil, fail(l.String(), "open", nil, err)
	}
	if o.ReadOnly {
		st = readonly.NewWrapper(st)
	}
	if err := checkFormat(ctx, st); err != nil {
		return nil, fail(l.String(), "open", nil, errors.Join(err, st.Close(ctx)))
	}
	r := &Repository{loc: l, opts: o, readOnly: o.ReadOnly, storage: st, cached: l.remote() && o.CacheDir != ""}
	if r.private, err = os.MkdirTemp("", "refloat-repository-"); err != nil {
		return nil, fail(l.String(), "open", nil, errors.Join(err, st.Close(ctx)))
	}
	rep, err := r.connect(ctx, o)
	if err != nil {
		err = errors.Join(err, st.Close(ctx), os.RemoveAll(r.private))
		return nil, fail(l.String(), "open", openKind(err), err)
	}
	r.rep = rep
	if r.secret, err = r.contentSecret(); err != nil {
		return nil, fail(l.String(), "open", nil, errors.Join(err, r.Close(ctx)))
	}
	return r, nil
}

// openKind: whatever is unreadable while opening, and is not the passphrase or
// the network, is damage.
func openKind(err error) error {
	if k := classify(err); k != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return k
	}
	return ErrCorrupt
}

func prepare(o Options) (location, error) {
	l, err := parseLocation(o.URL)
	if err != nil {
		return location{}, err
	}
	if o.Passphrase.IsZero() {
		return location{}, &Error{
			Kind: ErrPassphrase, Location: l.String(), Op: "open",
			Cause: errors.New("the passphrase is empty"),
			Next:  "Give the passphrase; a repository is never written or read unencrypted.",
		}
	}
	return l, nil
}

// checkFormat tells a missing repository, a foreign version and a damaged
// format blob apart before the passphrase is tried.
func checkFormat(ctx context.Context, st blob.Storage) error {
	var b buffer
	err := st.GetBlob(ctx, format.KopiaRepositoryBlobID, 0, -1, &b)
	if errors.Is(err, blob.ErrBlobNotFound) {
		// A bucket that is not there says "not found" too, but not to a listing.
		if err := st.ListBlobs(ctx, format.KopiaRepositoryBlobID, func(blob.Metadata) error { return nil }); err != nil {
			return err
		}
		return ErrNoRepository
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", format.KopiaRepositoryBlobID, err)
	}
	var head struct {
		Tool                   string `json:"tool"`
		UniqueID               []byte `json:"uniqueID"`
		EncryptionAlgorithm    string `json:"encryption"`
		KeyDerivationAlgorithm string `json:"keyAlgo"`
		EncryptedFormat        []byte `json:"encryptedBlockFormat"`
	}
	if err := json.Unmarshal(b.Bytes(), &head); err != nil {
		return fmt.Errorf("%w: %s is not readable: %w", ErrCorrupt, format.KopiaRepositoryBlobID, err)
	}
	if len(head.UniqueID) == 0 || len(head.EncryptedFormat) == 0 {
		return fmt.Errorf("%w: %s lacks its identity or its parameters", ErrCorrupt, format.KopiaRepositoryBlobID)
	}
	if head.EncryptionAlgorithm != format.DefaultFormatEncryption {
		return fmt.Errorf("%w: its parameters are sealed with %q", ErrVersion, head.EncryptionAlgorithm)
	}
	return nil
}

// connectionType names our storage in kopia's connection file.
const connectionType = "refloat"

type storageKey struct{}

// registerStorage tells kopia, once, to take the storage from the context, so
// that no credential is ever written to its connection file.
var registerStorage = sync.OnceFunc(func() {
	blob.AddSupportedStorage(connectionType, struct{}{},
		func(ctx context.Context, _ *struct{}, _ bool) (blob.Storage, error) {
			st, ok := ctx.Value(storageKey{}).(blob.Storage)
			if !ok {
				return nil, errors.New("no storage given")
			}
			return st, nil
		})
})

// connect opens kopia on r.storage. kopia wants a file that says where the
// storage is; ours says only "ask the process".
func (r *Repository) connect(ctx context.Context, o Options) (repo.DirectRepository, error) {
	registerStorage()
	lc := repo.LocalConfig{
		Storage: &blob.ConnectionInfo{Type: connectionType, Config: struct{}{}},
		ClientOptions: repo.ClientOptions{
			Hostname: clientHost, Username: clientUser, ReadOnly: o.ReadOnly, Description: "refloat",
		},
		Caching: &content.CachingOptions{},
	}
	if r.cached {
		dir, err := cacheFolder(o.CacheDir, r.loc.String())
		if err != nil {
			return nil, err
		}
		lc.Caching = &content.CachingOptions{
			CacheDirectory:        dir,
			ContentCacheSizeBytes: contentCacheBytes, ContentCacheSizeLimitBytes: contentCacheBytes,
			MetadataCacheSizeBytes: metadataCacheBytes, MetadataCacheSizeLimitBytes: metadataCacheBytes,
		}
	}
	text, err := json.Marshal(lc)
	if err != nil {
		return nil, fmt.Errorf("encode connection: %w", err)
	}
	file := filepath.Join(r.private, "connection.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("write connection: %w", err)
	}
	rep, err := repo.Open(context.WithValue(ctx, storageKey{}, r.storage), file, o.Passphrase.Reveal(), &repo.Options{
		DisableRepositoryLog: true,
		DoNotWaitForUpgrade:  true,
		// kopia's default ends the process; a failing storage call says it too.
		OnFatalError: func(error) {},
	})
	if err != nil {
		return nil, err
	}
	d, ok := rep.(repo.DirectRepository)
	if !ok {
		return nil, errors.New("not a direct repository")
	}
	return d, nil
}

// cacheFolder makes the private folder in which a remote repository is cached.
func cacheFolder(dir, location string) (string, error) {
	sum := sha256.Sum256([]byte(location))
	dir = filepath.Join(dir, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", fmt.Errorf("make cache folder private: %w", err)
	}
	return dir, nil
}

// Close releases everything; idempotent.
func (r *Repository) Close(ctx context.Context) error {
	r.closeOnce.Do(func() {
		err := errors.Join(r.rep.Close(ctx), os.RemoveAll(r.private))
		if err != nil {
			r.closeErr = r.wrap(ctx, "close", nil, err)
		}
	})
	return r.closeErr
}

// Location is the URL without any secret.
func (r *Repository) Location() string { return r.loc.String() }

// Fingerprint identifies the repository: 16 hexadecimal digits in groups of
// four. It stays the same for the repository's whole life, wherever its
// storage is moved to, and whatever its passphrase becomes.
func (r *Repository) Fingerprint() string {
	sum := sha256.Sum256(r.rep.UniqueID())
	h := hex.EncodeToString(sum[:8])
	return h[0:4] + "-" + h[4:8] + "-" + h[8:12] + "-" + h[12:16]
}

// Refresh makes what other processes committed visible.
func (r *Repository) Refresh(ctx context.Context) error {
	if err := r.rep.Refresh(ctx); err != nil {
		return r.wrap(ctx, "refresh", nil, err)
	}
	return nil
}

// buffer is what kopia's storage reads into.
type buffer struct{ bytes.Buffer }

func (b *buffer) Length() int { return b.Len() }

// rawBytes is what kopia's storage writes from.
type rawBytes []byte

func (b rawBytes) Length() int { return len(b) }

func (b rawBytes) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

func (b rawBytes) Reader() io.ReadSeekCloser { return nopCloser{bytes.NewReader(b)} }

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }
