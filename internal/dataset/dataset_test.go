package dataset_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/dataset"
	"github.com/tiffin-food/tiffin/internal/wire"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[089ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestDemo: what the program brings along is complete, consistent and harmless.
func TestDemo(t *testing.T) {
	f := dataset.Demo()
	ids, emails := map[string]bool{}, map[string]bool{}
	for _, r := range f.Restaurants {
		if !uuid.MatchString(r.ID) || ids[r.ID] || r.Name == "" || len(r.Items) == 0 {
			t.Errorf("restaurant %s %q", r.ID, r.Name)
		}
		ids[r.ID] = true
		products := map[string]bool{}
		for _, i := range r.Items {
			if i.Product == "" || products[i.Product] || i.Price.Amount <= 0 || i.Price.Currency != wire.Euro || i.Prep <= 0 {
				t.Errorf("%s: %+v", r.Name, i)
			}
			products[i.Product] = true
		}
	}
	for _, c := range f.Customers {
		if !uuid.MatchString(c.ID) || ids[c.ID] || emails[c.Email] || !strings.HasSuffix(c.Email, "@example.com") {
			t.Errorf("customer %s %s", c.ID, c.Email)
		}
		ids[c.ID], emails[c.Email] = true, true
		if c.Name == "" || c.Address.Street == "" || c.Address.City == "" || c.Address.Zipcode == "" || c.PaymentToken == "" {
			t.Errorf("customer %+v", c)
		}
		if digits := regexp.MustCompile(`\d`).FindAllString(c.MaskedCard, -1); len(digits) > 4 {
			t.Errorf("%s: the card is not masked: %s", c.Email, c.MaskedCard)
		}
	}

	demo := slices.IndexFunc(f.Restaurants, func(r dataset.Restaurant) bool { return r.ID == wire.DemoRestaurant })
	if demo < 0 {
		t.Fatal("no demo restaurant")
	}
	for _, product := range []string{
		"Lasagna", "Double Cheeseburger", "Veil with glazed onions and blue cheese", "Vegetarian Salad with healthy produce",
	} {
		if !slices.ContainsFunc(f.Restaurants[demo].Items, func(i wire.MenuItem) bool { return i.Product == product && i.Available }) {
			t.Errorf("the demo restaurant does not sell %s", product)
		}
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", ``, "data file, at byte 0: EOF"},
		{"no JSON", `{"restaurants": oops}`, "data file, at byte 17: invalid character 'o' looking for beginning of value"},
		{"empty", `{}`, "data file: it has neither restaurants nor customers"},
		{"a misspelt field", `{"restaurant": []}`, `json: unknown field "restaurant"`},
		{"a misspelt field inside", `{"customers": [{"emial": "x"}]}`, `json: unknown field "emial"`},
		{"a card number", `{"customers": [{"card_number": "4242"}]}`, `json: unknown field "card_number"`},
		{"a wrong type", `{"customers": [{"email": 7}]}`, "customers.email"},
		{"two values", `{"customers": [{"email": "a"}]} {}`, "something follows the data"},
		{"a restaurant without an id", `{"restaurants": [{"id": "r1"}, {"name": "x"}]}`, "restaurants[1].id: missing"},
	}
	for _, tt := range tests {
		if _, err := dataset.Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := dataset.Read(failing{}); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

var errDisk = errors.New("bad disk")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// FuzzRead: any bytes are read or refused; what is read can be written and read again.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"customers":[{"email":"a","name":"b","address":{"street":"c"},"payment_token":"tok_ok"}]}`,
		`{"restaurants":[{"id":"r1","name":"x","position":{"x":1,"y":-2.5},"items":[{"product":"p","price":{"amount":1,"currency":"EUR"}}]}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := dataset.Read(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		b, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dataset.Read(strings.NewReader(string(b))); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

// server answers a client in this process.
type server struct{ http.HandlerFunc }

func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestImport: every entry goes through the public API once, an existing customer is no error, and a refusal names the
// entry.
func TestImport(t *testing.T) {
	file := dataset.File{
		Restaurants: []dataset.Restaurant{
			{ID: "r1", Name: "One", Position: &wire.Position{X: 1}}, {ID: "r2", Name: "Two", Items: []wire.MenuItem{}},
		},
		Customers: []dataset.Customer{{Email: "new@example.com"}, {Email: "old@example.com"}, {Email: "bad@example.com"}},
	}
	var log []string
	answers := map[string]int{"old@example.com": http.StatusConflict}
	c, err := client.New("http://tiffin.test", server{func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		log = append(log, fmt.Sprint(r.Method, " ", r.URL.Path, " ", strings.Contains(string(body), `"position":{`)))
		for part, status := range answers {
			if strings.Contains(string(body), part) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"detail":"no"}`)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}

	done, err := dataset.Import(t.Context(), c, file)
	want := []string{
		"PUT /v1/restaurants/r1 true", "PUT /v1/restaurants/r2 false", "POST /v1/customers false", "POST /v1/customers false", "POST /v1/customers false",
	}
	if err != nil || done != (dataset.Result{Restaurants: 2, Customers: 2, Existing: 1}) || !slices.Equal(log, want) {
		t.Errorf("%+v, %v, %v", done, err, log)
	}

	answers["bad@example.com"] = http.StatusUnprocessableEntity
	done, err = dataset.Import(t.Context(), c, file)
	if err == nil || !strings.Contains(err.Error(), "customers[2] bad@example.com") || done.Customers != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	answers["Two"] = http.StatusInternalServerError
	done, err = dataset.Import(t.Context(), c, file)
	if err == nil || !strings.Contains(err.Error(), "restaurants[1] Two") || done.Restaurants != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestImportInto: what passes is waited for, for a minute; a system that was never there is none that is away.
func TestImportInto(t *testing.T) {
	file := dataset.File{
		Restaurants: []dataset.Restaurant{{ID: "r1", Name: "One"}},
		Customers:   []dataset.Customer{{Email: "a@example.com"}, {Email: "b@example.com"}},
	}
	const silent = 0 // no answer
	for _, c := range []struct {
		name    string
		answers []int // the last one for ever
		done    dataset.Result
		ends    string
		within  time.Duration
	}{
		{"one that comes and goes", []int{503, 200, 502, silent, 504, 409, 429, 429, 201}, dataset.Result{Restaurants: 1, Customers: 1, Existing: 1}, "", 2 * time.Second},
		{"none", []int{silent}, dataset.Result{}, "restaurants[0] One", 0},
		{"one that goes for good", []int{200, silent}, dataset.Result{Restaurants: 1}, "customers[0] a@example.com", 61 * time.Second},
		{"one that refuses", []int{200, 422}, dataset.Result{Restaurants: 1}, "customers[0] a@example.com", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				api, err := client.New("http://tiffin.test", there(func() int {
					n++
					return c.answers[min(n, len(c.answers))-1]
				}))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				done, err := dataset.Import(t.Context(), api, file)
				if done != c.done || (err == nil) != (c.ends == "") || err != nil && !strings.Contains(err.Error(), c.ends) {
					t.Errorf("%+v, %v", done, err)
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// there is a system that answers with a status, or with nothing where that is 0.
type there func() int

func (f there) RoundTrip(r *http.Request) (*http.Response, error) {
	status := f()
	if status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	return server{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }}.RoundTrip(r)
}
