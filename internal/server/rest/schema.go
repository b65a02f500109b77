package rest

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// admitNull says of fields that point to an object that they may be null, which
// huma does not.
func admitNull(registry huma.Registry) {
	for name, s := range registry.Map() {
		if t := registry.TypeFromRef("#/components/schemas/" + name); t != nil {
			admitNullIn(t, s)
		}
	}
}

func admitNullIn(t reflect.Type, s *huma.Schema) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			admitNullIn(f.Type, s)
			continue
		}
		p := s.Properties[name]
		if p != nil && p.Ref != "" && f.Type.Kind() == reflect.Pointer && !strings.Contains(rest, "omitempty") {
			s.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
		}
	}
}
