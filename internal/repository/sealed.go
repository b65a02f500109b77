package repository

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/kopia/kopia/repo/blob"
)

// Sealed objects: compressed (zstd) and encrypted (age, to a key kept in the
// repository) under a plain name that sorts. Names are slash-separated, of
// [A-Za-z0-9._-] elements.

const (
	sealedPrefix = "refloat."
	slashInBlob  = "~" // stands for "/" in a blob's name; not allowed in names

	// A skippable zstd frame with the object's name goes before the data's
	// frame: every zstd program ignores it, and we see a swapped object by it.
	// RFC 8878, section 3.1.2.
	nameFrameMagic = 0x184D2A5E

	maxSealedName = 200

	minSealedSize = 200 // an age file with one recipient and an empty frame is longer
)

// codecs are zstd encoders and decoders, which are costly to make.
type codecs struct{ enc, dec sync.Pool }

func (c *codecs) encoder() (*zstd.Encoder, error) {
	if e, ok := c.enc.Get().(*zstd.Encoder); ok {
		return e, nil
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
}

func (c *codecs) decoder() (*zstd.Decoder, error) {
	if d, ok := c.dec.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4<<30))
}

// blobName gives the blob that holds a sealed object.
func blobName(name string) (blob.ID, error) {
	if name == "" || len(name) > maxSealedName {
		return "", fmt.Errorf("sealed object name %q: must have 1 to %d characters", name, maxSealedName)
	}
	for el := range strings.SplitSeq(name, "/") {
		if el == "" || el == "." || el == ".." || !plain(el) {
			return "", fmt.Errorf("sealed object name %q: elements are made of letters, digits, '.', '_' and '-'", name)
		}
	}
	return blob.ID(sealedPrefix + strings.ReplaceAll(name, "/", slashInBlob)), nil
}

func plain(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// sealedName is the reverse of blobName; false for a blob that is not ours.
func sealedName(id blob.ID) (string, bool) {
	rest, ok := strings.CutPrefix(string(id), sealedPrefix)
	if !ok {
		return "", false
	}
	name := strings.ReplaceAll(rest, slashInBlob, "/")
	back, err := blobName(name)
	return name, err == nil && back == id
}

// PutSealed stores content under name, replacing what was there. When it
// returns nil the object is durable. A reader sees the old or the new content,
// never a mixture.
func (r *Repository) PutSealed(ctx context.Context, name string, content []byte) error {
	op := "store sealed object " + name
	id, err := blobName(name)
	if err != nil {
		return r.wrap(ctx, "store a sealed object", nil, err)
	}
	key, err := r.identity(ctx)
	if err != nil {
		return err
	}
	data, err := r.seal(key.Recipient(), name, content)
	if err != nil {
		return r.wrap(ctx, op, nil, err)
	}
	if err := r.storage.PutBlob(ctx, id, rawBytes(data), blob.PutOptions{}); err != nil {
		return r.wrap(ctx, op, nil, err)
	}
	return nil
}

func (r *Repository) seal(to age.Recipient, name string, content []byte) ([]byte, error) {
	enc, err := r.pool.encoder()
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	defer r.pool.enc.Put(enc)
	plain := make([]byte, 0, 8+len(name)+len(content)/2+64)
	plain = binary.LittleEndian.AppendUint32(plain, nameFrameMagic)
	plain = binary.LittleEndian.AppendUint32(plain, uint32(len(name)))
	plain = append(plain, name...)
	plain = enc.EncodeAll(content, plain)

	var out bytes.Buffer
	out.Grow(len(plain) + 512)
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// GetSealed reads a sealed object whole. ErrNotFound, ErrCorrupt.
func (r *Repository) GetSealed(ctx context.Context, name string) ([]byte, error) {
	op := "read sealed object " + name
	id, err := blobName(name)
	if err != nil {
		return nil, r.wrap(ctx, "read a sealed object", nil, err)
	}
	key, err := r.identity(ctx)
	if err != nil {
		return nil, err
	}
	var b buffer
	err = r.storage.GetBlob(ctx, id, 0, -1, &b)
	if errors.Is(err, blob.ErrBlobNotFound) {
		return nil, r.wrap(ctx, op, ErrNotFound, nil)
	}
	if err != nil {
		return nil, r.wrap(ctx, op, nil, err)
	}
	content, err := r.unseal(key, name, b.Bytes())
	if err != nil {
		return nil, r.wrap(ctx, op, ErrCorrupt, err)
	}
	return content, nil
}

func (r *Repository) unseal(key age.Identity, name string, data []byte) ([]byte, error) {
	pr, err := age.Decrypt(bytes.NewReader(data), key)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	plain := bytes.NewBuffer(make([]byte, 0, len(data)))
	if _, err := io.Copy(plain, pr); err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	stored, err := storedName(plain.Bytes())
	if err != nil {
		return nil, err
	}
	if stored != name {
		return nil, fmt.Errorf("it holds the object %q", stored)
	}
	dec, err := r.pool.decoder()
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	defer r.pool.dec.Put(dec)
	content, err := dec.DecodeAll(plain.Bytes()[8+len(stored):], nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return content, nil
}

// storedName reads the skippable frame at the front of a sealed object.
func storedName(plain []byte) (string, error) {
	if len(plain) < 8 || binary.LittleEndian.Uint32(plain) != nameFrameMagic {
		return "", errors.New("it does not say its name")
	}
	n := binary.LittleEndian.Uint32(plain[4:])
	if n > maxSealedName || int(n) > len(plain)-8 {
		return "", errors.New("its name is cut off")
	}
	return string(plain[8 : 8+n]), nil
}

// ListSealed yields the objects whose name begins with prefix, in name order.
// It reads names only, not contents.
func (r *Repository) ListSealed(ctx context.Context, prefix string) iter.Seq2[SealedInfo, error] {
	return func(yield func(SealedInfo, error) bool) {
		var all []SealedInfo
		blobs := blob.ID(sealedPrefix + strings.ReplaceAll(prefix, "/", slashInBlob))
		err := r.storage.ListBlobs(ctx, blobs, func(m blob.Metadata) error {
			if name, ok := sealedName(m.BlobID); ok {
				all = append(all, SealedInfo{Name: name, Stored: m.Length, Modified: m.Timestamp})
			}
			return ctx.Err()
		})
		if err != nil {
			yield(SealedInfo{}, r.wrap(ctx, "list sealed objects "+prefix, nil, err))
			return
		}
		slices.SortFunc(all, func(a, b SealedInfo) int { return strings.Compare(a.Name, b.Name) })
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// DeleteSealed removes an object; removing what is not there is no error.
func (r *Repository) DeleteSealed(ctx context.Context, name string) error {
	id, err := blobName(name)
	if err != nil {
		return r.wrap(ctx, "delete a sealed object", nil, err)
	}
	if err := r.storage.DeleteBlob(ctx, id); err != nil && !errors.Is(err, blob.ErrBlobNotFound) {
		return r.wrap(ctx, "delete sealed object "+name, nil, err)
	}
	return nil
}
