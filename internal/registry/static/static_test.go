package static_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tiffin-food/tiffin/internal/httpapi"
	"github.com/tiffin-food/tiffin/internal/registry/registrytest"
	"github.com/tiffin-food/tiffin/internal/registry/static"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	registrytest.Exercise(t, func(t *testing.T) (httpapi.Resolver, registrytest.Set) {
		r, err := static.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return r, func(t *testing.T, service string, urls ...string) {
			if err := r.Set(service, urls...); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNewRefusesWhatIsNoBaseURL(t *testing.T) {
	for _, raw := range []string{"", "localhost:8000", "http://", "ftp://a", "http://a?x=1", "http://a#f", "http://a:b:c", "http://:8000", "/v1", "http://user:secret@a"} {
		if _, err := static.New(map[string][]string{"order": {raw}}); err == nil {
			t.Errorf("%q was taken", raw)
		}
	}
}
