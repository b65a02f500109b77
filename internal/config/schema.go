package config

import (
	"encoding/json"
	"fmt"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON Schema of refloat.yaml, for editors, made from the same
// types that read it.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, ExpandedStruct: true, Anonymous: true}
	s := r.Reflect(&Config{})
	s.Title = "refloat.yaml"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// JSONSchema describes how a duration is written.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: durationPattern.String(), Examples: []any{"10s", "1m", "4h", "7d"}}
}

// JSONSchema describes how a size is written.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: sizePattern.String(), Examples: []any{"512MiB", "10GiB"}}
}

// JSONSchema describes how a schedule is written.
func (Schedule) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Examples: []any{"daily 02:00", "weekly sun 04:00", "every 6h", "15 2 * * *", "off"}}
}

// JSONSchema describes how an amount of money is written.
func (Money) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: moneyPattern.String(), Examples: []any{"EUR 1200"}}
}

// JSONSchema describes how a day is written.
func (Date) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Format: "date", Examples: []any{"2026-12-31"}}
}
