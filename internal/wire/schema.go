package wire

import "github.com/danielgtaylor/huma/v2"

// Schema says in the OpenAPI documents what a Decimal is: a number with two decimals.
func (Decimal) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeNumber, Format: "decimal", Description: "Major units, e.g. Euros, with at most two decimals",
		Examples: []any{12.95},
	}
}

// Schema says in the OpenAPI documents what a Status is: one of those that an order has. A field that takes fewer, or
// others, says so in its tag.
func (Status) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Examples: []any{string(DriverAvailable)}}
	for _, known := range Statuses {
		s.Enum = append(s.Enum, string(known))
	}
	return s
}
