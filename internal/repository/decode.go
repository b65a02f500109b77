package repository

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/kopia/kopia/repo/compression"
	"github.com/kopia/kopia/repo/content"
)

// readAhead is how many stored bytes are read at once where chunks that follow
// each other lie together, as those of one file mostly do: one request instead
// of ten.
const readAhead = 2 << 20

// decode puts chunk i, authenticated, into dst, which has its length. kopia
// moves every chunk through four buffers, which costs as much as decompressing
// it, so contents of the usual form are decoded here. Everything else, and all
// that is not as it should be, is left to kopia, which says what is wrong.
func (r *Repository) decode(ctx context.Context, o *objectReader, i int, dst []byte) error {
	c := o.chunks[i]
	inOrder := i > 0 && i == o.next
	// kopia's cache, where there is one, is good for what is read here and there.
	if r.secret != nil && r.plainForm(c.info) && (inOrder || !r.cached) {
		packed, err := r.fetch(ctx, o, i)
		if err == nil {
			err = r.open(c, packed, dst)
		}
		if err == nil || ctx.Err() != nil {
			o.next = i + 1
			return err
		}
	}
	b, err := r.rep.ContentReader().GetContent(ctx, c.id)
	if err != nil {
		return err
	}
	if len(b) != len(dst) {
		return fmt.Errorf("%w: content %s has %d bytes, not %d", ErrCorrupt, c.id, len(b), len(dst))
	}
	copy(dst, b)
	o.next = i + 1
	return nil
}

// plainForm says whether open can read such a content.
func (r *Repository) plainForm(i content.Info) bool {
	switch i.CompressionHeaderID {
	case 0, compression.HeaderZstdFastest, compression.HeaderZstdDefault, compression.HeaderZstdBetterCompression, compression.HeaderZstdBestCompression:
		return i.EncryptionKeyID == 0 && i.PackBlobID != ""
	}
	return false
}

// contentSecret is what the key of each content is derived from; nil when
// contents are not encrypted the way that open knows.
func (r *Repository) contentSecret() ([]byte, error) {
	m := r.rep.FormatManager()
	if m.GetEncryptionAlgorithm() != formatEncryption || m.GetECCOverheadPercent() != 0 {
		return nil, nil
	}
	return hkdf.Key(sha256.New, m.GetMasterKey(), []byte("encryption"), "", sha256.Size)
}

// open decrypts one stored content (AES256-GCM-HMAC-SHA256: the key is the
// HMAC of the end of the content's hash, the nonce stands before the
// ciphertext) and decompresses it into dst. It overwrites packed.
func (r *Repository) open(c chunk, packed, dst []byte) error {
	iv := c.id.Hash()
	iv = iv[len(iv)-aes.BlockSize:]
	mac := hmac.New(sha256.New, r.secret)
	_, _ = mac.Write(iv)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	if len(packed) < gcm.NonceSize() {
		return errors.New("it is cut off")
	}
	nonce, sealed := packed[:gcm.NonceSize()], packed[gcm.NonceSize():]
	plain, err := gcm.Open(sealed[:0], nonce, sealed, iv)
	if err != nil {
		return err
	}
	if c.info.CompressionHeaderID == 0 {
		if len(plain) != len(dst) {
			return errors.New("it has another length")
		}
		copy(dst, plain)
		return nil
	}
	return r.expand(c.info.CompressionHeaderID, plain, dst)
}

// expand decompresses; a header of four bytes says with what.
func (r *Repository) expand(id compression.HeaderID, plain, dst []byte) error {
	if len(plain) < 4 || compression.HeaderID(binary.BigEndian.Uint32(plain)) != id {
		return errors.New("it is compressed another way")
	}
	dec, ok := r.chunkDecoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
	}
	defer r.chunkDecoders.Put(dec)
	out, err := dec.DecodeAll(plain[4:], dst[:0])
	if err != nil {
		return err
	}
	if len(out) != len(dst) || len(out) > 0 && &out[0] != &dst[0] {
		return errors.New("it has another length")
	}
	return nil
}

// fetch reads the stored bytes of chunk i, and with them, when the object is
// being read from front to back, those of the next ones that lie behind.
func (r *Repository) fetch(ctx context.Context, o *objectReader, i int) ([]byte, error) {
	info := o.chunks[i].info
	start, end := int64(info.PackOffset), int64(info.PackOffset)+int64(info.PackedLength)
	if f := o.from; f.id != info.PackBlobID || start < f.start || end > f.end {
		upTo := end
		for j := i + 1; i > 0 && i == o.next && j < len(o.chunks); j++ {
			x := o.chunks[j].info
			if x.PackBlobID != info.PackBlobID || int64(x.PackOffset) != upTo || upTo+int64(x.PackedLength)-start > readAhead {
				break
			}
			upTo += int64(x.PackedLength)
		}
		o.from = blobRange{}
		o.ahead.Reset()
		o.ahead.Grow(int(upTo - start))
		if err := r.storage.GetBlob(ctx, info.PackBlobID, start, upTo-start, &o.ahead); err != nil {
			return nil, err
		}
		if int64(o.ahead.Len()) != upTo-start {
			return nil, errors.New("it is cut off")
		}
		o.from = blobRange{info.PackBlobID, start, upTo}
	}
	o.ahead.Next(int(start - o.from.start))
	o.from.start = end
	return o.ahead.Next(int(end - start)), nil
}
