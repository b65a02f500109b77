package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Format is the version of a proof's JSON form (docs/formats/proof.md).
const Format = 1

// Encode gives the bytes that are signed: indented JSON with fields in the
// order of the type, ending in a newline.
func Encode(p Proof) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return nil, fmt.Errorf("encode proof %s: %w", p.ID, err)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote. A field that it does not know is an error:
// it may hold the very thing that the verdict depends on.
func Decode(b []byte) (Proof, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var p Proof
	if err := d.Decode(&p); err != nil {
		return Proof{}, fmt.Errorf("decode proof: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Proof{}, errors.New("decode proof: there is more behind it")
	}
	if p.Format != Format {
		return Proof{}, fmt.Errorf("proof %s has format %d; this program knows %d", p.ID, p.Format, Format)
	}
	if p.Verdict != Judge(p.Checks) {
		return Proof{}, fmt.Errorf("proof %s says %s, but its checks amount to %s", p.ID, p.Verdict, Judge(p.Checks))
	}
	return p, nil
}
