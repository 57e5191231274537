package sim

import (
	"bytes"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// field is the value of the first string or number of that name in a JSON body that we or a company have made, as
// it stands there: the ids, statuses and amounts looked for need no unquoting. Whoever routes or keeps books by one
// field need not decode the rest; the cores do.
func field(body []byte, name string) string {
	for rest := body; ; {
		i := bytes.Index(rest, []byte(name))
		if i < 0 {
			return ""
		}
		after := rest[i+len(name):]
		if i > 0 && rest[i-1] == '"' && len(after) > 2 && after[0] == '"' && after[1] == ':' {
			after = after[2:]
			if after[0] == '"' {
				after = after[1:]
				if end := bytes.IndexByte(after, '"'); end >= 0 {
					return string(after[:end])
				}
				return ""
			}
			if end := bytes.IndexAny(after, ",}"); end >= 0 {
				return string(after[:end])
			}
			return ""
		}
		rest = after
	}
}

// amount is the field as an amount.
func amount(body []byte, name string) (wire.Decimal, error) {
	return wire.ParseDecimal(field(body, name))
}
