package httpapi

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// Page is for embedding into the input of a list. After says where the page begins: behind that id, at the
// beginning where it is empty. The cursor is opaque to clients.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"200" doc:"From the Link header of the page before"`
	After  string `hidden:"true" json:"-"`

	url url.URL
}

// Linked is for embedding into the output of a list.
type Linked struct {
	Link string `header:"Link" doc:"The next page: <url>; rel=\"next\". Absent on the last"`
}

// Resolve is for huma.
func (p *Page) Resolve(ctx huma.Context) []error {
	p.url = ctx.URL()
	after, ok := decodeCursor(p.Cursor)
	if !ok {
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "expected a cursor from a Link header"}}
	}
	p.After = after
	return nil
}

// Next is the Link header that leads to what follows the id last, with the other parameters as they were. It is
// relative, so it holds behind a gateway too. Leave the header out when a page has fewer than Limit entries.
func (p *Page) Next(last string) Linked {
	q := p.url.Query()
	q.Set("limit", strconv.Itoa(p.Limit))
	q.Set("cursor", encodeCursor(last))
	return Linked{"<" + p.url.EscapedPath() + "?" + q.Encode() + `>; rel="next"`}
}

const cursorVersion = "1"

func encodeCursor(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + id))
}

func decodeCursor(s string) (id string, ok bool) {
	if s == "" {
		return "", true
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 2 || string(b[:1]) != cursorVersion || !utf8.Valid(b) {
		return "", false
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return "", false
		}
	}
	return string(b[1:]), true
}
