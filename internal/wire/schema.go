package wire

import "github.com/danielgtaylor/huma/v2"

// Schema says in the OpenAPI documents what a Decimal is: a number with two decimals.
func (Decimal) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeNumber, Format: "decimal", Description: "Major units, e.g. Euros, with at most two decimals",
		Examples: []any{12.95},
	}
}
