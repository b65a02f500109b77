package config

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml"
)

// Text is the configuration as YAML with its defaults filled in; what is empty is
// left out. Secrets are no part of it: they come from files and the environment.
func (c Config) Text() (string, error) {
	full, err := yaml.MarshalWithOptions(c,
		yaml.CustomMarshaler(func(d Duration) ([]byte, error) { return []byte(d.String()), nil }),
		yaml.CustomMarshaler(func(s Size) ([]byte, error) { return []byte(s.String()), nil }))
	if err != nil {
		return "", fmt.Errorf("write the configuration down: %w", err)
	}
	var all yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(full, &all, yaml.UseOrderedMap()); err != nil {
		return "", fmt.Errorf("write the configuration down: %w", err)
	}
	kept, _ := filled(all).(yaml.MapSlice)
	out, err := yaml.MarshalWithOptions(kept, yaml.IndentSequence(true))
	if err != nil {
		return "", fmt.Errorf("write the configuration down: %w", err)
	}
	return string(out), nil
}

// String is a duration as the file has it: 4h, 30m, 500ms.
func (d Duration) String() string {
	const day = 24 * time.Hour
	switch s := time.Duration(d); {
	case s != 0 && s%day == 0:
		return fmt.Sprintf("%dd", s/day)
	case s != 0 && s%time.Hour == 0:
		return fmt.Sprintf("%dh", s/time.Hour)
	case s != 0 && s%time.Minute == 0:
		return fmt.Sprintf("%dm", s/time.Minute)
	default:
		return s.String()
	}
}

// String is a size as the file has it: 512MiB, 10GiB.
func (v Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if one := Size(1) << (10 * (4 - i)); v != 0 && v%one == 0 {
			return fmt.Sprintf("%d%s", v/one, unit)
		}
	}
	return fmt.Sprintf("%d", int64(v)) + "B"
}

// filled is a value without what is empty in it; nil when nothing is left.
func filled(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case yaml.MapSlice:
		var out yaml.MapSlice
		for _, item := range v {
			if item.Value = filled(item.Value); item.Value != nil {
				out = append(out, item)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, x := range v {
			if x = filled(x); x != nil {
				out = append(out, x)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}
