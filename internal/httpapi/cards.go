package httpapi

import (
	"context"
	"reflect"
	"strconv"
	"strings"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// cardless is a handler that is not reached by an input with a card's number in one of its texts: a name, an address, a
// reason, whatever is kept. Which texts there are is found out once; a short one costs a comparison. A field tagged
// kept:"hashed" is not looked at: a password may be what it likes. An idempotency key is not refused, it goes on as a
// digest.
func cardless[I, O any](handler func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	find := textsOf(reflect.TypeFor[I](), nil)
	_, keyed := any(new(I)).(foldable)
	if find == nil && !keyed {
		return handler
	}
	return func(ctx context.Context, in *I) (*O, error) {
		if find != nil {
			if where, found := find(reflect.ValueOf(in).Elem()); found {
				return nil, &durable.Refusal{Code: durable.Invalid, Field: strings.TrimPrefix(where, "."), Detail: "looks like a card number, which is not kept here"}
			}
		}
		if k, ok := any(in).(foldable); ok {
			k.fold()
		}
		return handler(ctx, in)
	}
}

// foldable is an input with an idempotency key.
type foldable interface{ fold() }

func (i *Idempotency) fold() { i.Key = redact.Key(i.Key) }

// finder says where in a value a card's number is.
type finder func(reflect.Value) (where string, found bool)

// textsOf looks into the texts of a type; nil where it has none. A type within itself is looked into once.
func textsOf(t reflect.Type, within []reflect.Type) finder {
	for _, outer := range within {
		if outer == t {
			return nil
		}
	}
	within = append(within, t)
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value) (string, bool) { return "", redact.Card(v.String()) }
	case reflect.Pointer:
		if in := textsOf(t.Elem(), within); in != nil {
			return func(v reflect.Value) (string, bool) {
				if v.IsNil() {
					return "", false
				}
				return in(v.Elem())
			}
		}
	case reflect.Slice, reflect.Array:
		if in := textsOf(t.Elem(), within); in != nil {
			return func(v reflect.Value) (string, bool) {
				for i := range v.Len() {
					if where, found := in(v.Index(i)); found {
						return "[" + strconv.Itoa(i) + "]" + where, true
					}
				}
				return "", false
			}
		}
	case reflect.Struct:
		return fieldsOf(t, within)
	default: // numbers; no input of ours has a map
	}
	return nil
}

// fieldsOf looks into the fields of a struct.
func fieldsOf(t reflect.Type, within []reflect.Type) finder {
	type field struct {
		at   int
		name string
		in   finder
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous || f.Tag.Get("format") == "uuid" || f.Tag.Get("enum") != "" ||
			f.Tag.Get("kept") == "hashed" || f.Type == reflect.TypeFor[Idempotency]() {
			continue
		}
		if in := textsOf(f.Type, within); in != nil {
			fields = append(fields, field{i, located(f), in})
		}
	}
	if fields == nil {
		return nil
	}
	return func(v reflect.Value) (string, bool) {
		for _, f := range fields {
			if where, found := f.in(v.Field(f.at)); found {
				return f.name + where, true
			}
		}
		return "", false
	}
}

// located is a field's name as refusals have it.
func located(f reflect.StructField) string {
	for _, of := range []string{"path", "query", "header"} {
		if name, _, _ := strings.Cut(f.Tag.Get(of), ","); name != "" {
			return of + "." + name
		}
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Name == "Body":
		return "body"
	case name != "":
		return "." + name
	case f.Anonymous:
		return ""
	}
	return "." + f.Name
}
