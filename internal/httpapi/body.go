package httpapi

import (
	"bytes"
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"
)

type bodyKey struct{}

// keepsBody marks an operation of KeepBody.
const keepsBody = "keeps its body"

// KeepBody is an operation whose handler can have the request's body as it came; see Body. It is for what must be taken
// whatever it says: the handler sees to it that no card's number is kept.
func KeepBody(op Operation) Operation {
	op.Metadata = map[string]any{keepsBody: true}
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		kept := new(bytes.Buffer)
		next(&keeper{inner: huma.WithValue(ctx, bodyKey{}, kept), kept: kept})
	})
	return op
}

// Body is the body of the request being answered, as it came. nil where its operation does not keep it. It is the
// request's own: who needs it longer makes a copy.
func Body(ctx context.Context) []byte {
	if b, ok := ctx.Value(bodyKey{}).(*bytes.Buffer); ok {
		return b.Bytes()
	}
	return nil
}

// inner is huma's context, under a name that is not that of one of its methods.
type inner = huma.Context

// keeper is a request whose body is kept while it is read.
type keeper struct {
	inner
	kept *bytes.Buffer
}

func (k *keeper) BodyReader() io.Reader { return io.TeeReader(k.inner.BodyReader(), k.kept) }

// Unwrap is for huma's adapter.
func (k *keeper) Unwrap() huma.Context { return k.inner }
