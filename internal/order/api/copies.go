package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tiffin-food/tiffin/internal/auth"
	"github.com/tiffin-food/tiffin/internal/cache"
	"github.com/tiffin-food/tiffin/internal/order"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// Copies are copies of orders outside the store. None is served to a reader who has seen a newer version.
type Copies interface {
	// Read gives the copy if its version is at least atLeast, else what load says, of which a copy is kept.
	Read(ctx context.Context, key string, atLeast int64, load func(context.Context) (cache.Entry, error)) (cache.Entry, error)
	// Note has a copy written soon of what was committed; it does not wait.
	Note(key string, version int64, value func() []byte)
}

// CopyKey is the key of an order's copy; its value is the order as the API shows it, "null" where it was deleted.
func CopyKey(id string) string { return "order:" + id }

func copied(s order.State) []byte {
	if s.Deleted {
		return []byte("null")
	}
	b, err := json.Marshal(s.View())
	if err != nil { // plain fields of ours
		panic(fmt.Sprintf("order %s: %v", s.ID, err))
	}
	return b
}

// copy notes what was committed.
func (s *Service) copy(id string, version int64, o order.State) {
	s.opt.Copies.Note(CopyKey(id), version, func() []byte { return copied(o) })
}

// show reads an order for the caller, who may have seen a version of it. What others read at the same time, and the copy,
// are everybody's: whose the order is, is asked of what comes of it.
func (s *Service) show(ctx context.Context, id string, atLeast int64) (*orderOutput, error) {
	if s.opt.Copies == nil {
		a, err := s.view(ctx, id)
		if err != nil {
			return nil, err
		}
		return output(a), nil
	}
	e, err := s.opt.Copies.Read(ctx, CopyKey(id), atLeast, func(ctx context.Context) (cache.Entry, error) {
		a, err := s.find(ctx, id)
		if err != nil {
			return cache.Entry{}, err
		}
		return cache.Entry{Version: a.Version, Value: copied(a.State)}, nil
	})
	if err != nil {
		return nil, err
	}
	var o *wire.Order
	if err := json.Unmarshal(e.Value, &o); err != nil {
		return nil, fmt.Errorf("copy of order %s: %w", id, err)
	}
	if o == nil || !auth.From(ctx).Acts(o.CustomerID) {
		return nil, errNoOrder
	}
	return &orderOutput{etag(e.Version), *o}, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// version is the highest version that an If-None-Match names: the reader has seen it.
func version(ifNoneMatch string) (seen int64) {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
		if v, err := strconv.ParseInt(tag, 10, 64); err == nil {
			seen = max(seen, v)
		}
	}
	return seen
}

type getInput struct {
	ID   string `path:"id" format:"uuid"`
	Seen string `header:"If-None-Match" doc:"The ETag of the last answer: nothing older is shown, and 304 while nothing is newer" maxLength:"200"`
}

func (s *Service) get(ctx context.Context, in *getInput) (*orderOutput, error) {
	seen := version(in.Seen)
	out, err := s.show(ctx, in.ID, seen)
	if err != nil {
		return nil, err
	}
	if seen > 0 && out.ETag == etag(seen) {
		return nil, notModified{out.ETag}
	}
	return out, nil
}

// notModified is the answer to a reader who has seen this version and none is newer. As an error of a handler it is
// answered as it is: 304, the ETag and no body.
type notModified struct{ etag string }

func (n notModified) Error() string { return "nothing is newer than version " + n.etag }

// GetStatus is for huma.
func (notModified) GetStatus() int { return http.StatusNotModified }

// GetHeaders is for huma.
func (n notModified) GetHeaders() http.Header { return http.Header{"ETag": {n.etag}} }
