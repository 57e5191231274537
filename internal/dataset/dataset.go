// Package dataset reads restaurants with their menus and customers from files, and brings them into a system
// through its public API. The demo data is such a file.
package dataset

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tiffin-food/tiffin/internal/client"
	"github.com/tiffin-food/tiffin/internal/wire"
)

// File is what a data file holds. Ids are optional for customers and required for restaurants: an id imported
// again replaces the restaurant, and leaves the customer as it is.
type File struct {
	Restaurants []Restaurant `json:"restaurants,omitempty"`
	Customers   []Customer   `json:"customers,omitempty"`
}

// Restaurant is a restaurant with its whole menu.
type Restaurant struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Position *wire.Position  `json:"position,omitempty"`
	Items    []wire.MenuItem `json:"items"`
}

// Customer is a customer. PaymentToken is what the card company knows the card by; there is no place for a number.
type Customer struct {
	ID           string       `json:"id,omitempty"`
	Email        string       `json:"email"`
	Name         string       `json:"name"`
	Address      wire.Address `json:"address"`
	PaymentToken string       `json:"payment_token"`
	MaskedCard   string       `json:"masked_card,omitempty"`
}

//go:embed demo.json
var demo []byte

// Demo is the demo data: the original's four products, restaurants that misbehave, customers with test tokens.
func Demo() File {
	f, err := Read(bytes.NewReader(demo))
	if err != nil {
		panic(fmt.Sprintf("dataset: the demo data: %v", err)) // it is part of the program, and tested
	}
	return f
}

// maxFile is how many bytes a data file may have.
const maxFile = 256 << 20

// Read decodes a data file. Unknown fields are errors: a misspelt name would otherwise lose what it names.
func Read(r io.Reader) (File, error) {
	var f File
	dec := json.NewDecoder(io.LimitReader(r, maxFile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("data file, at byte %d: %w", place(err, dec.InputOffset()), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("data file, at byte %d: something follows the data", dec.InputOffset())
	}
	if len(f.Restaurants) == 0 && len(f.Customers) == 0 {
		return f, errors.New("data file: it has neither restaurants nor customers")
	}
	for i, rest := range f.Restaurants {
		if rest.ID == "" {
			return f, fmt.Errorf("restaurants[%d].id: missing", i)
		}
	}
	return f, nil
}

// place is where in the file the error is: where it says so itself, else where the reader was.
func place(err error, reader int64) int64 {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset
	case errors.As(err, &kind):
		return kind.Offset
	}
	return reader
}

// Result counts what an import did.
type Result struct {
	Restaurants int `json:"restaurants"`
	Customers   int `json:"customers"`
	Existing    int `json:"existing_customers"`
}

// patience is how long a system that has begun to take an import and is away for a moment, or wants less at once, is
// asked again since it last took something, real time.
const patience = time.Minute

// Import brings f into a system. It stops at the first entry that is refused, naming it; what came before stays,
// and importing the same file again is harmless. What an instance had taken when it went counts as existing.
func Import(ctx context.Context, c *client.Client, f File) (done Result, err error) {
	begun := false
	do := func(method, path string, body any) error {
		return client.Again(ctx, patience, func(err error) bool { return passing(err, begun) }, func() error {
			_, err := c.Do(ctx, method, path, "", body, nil)
			begun = begun || err == nil
			return err
		})
	}
	for i, r := range f.Restaurants {
		body := map[string]any{"name": r.Name, "items": r.Items}
		if r.Position != nil {
			body["position"] = r.Position
		}
		if err := do(http.MethodPut, "/v1/restaurants/"+r.ID, body); err != nil {
			return done, fmt.Errorf("restaurants[%d] %s: %w", i, r.Name, err)
		}
		done.Restaurants++
	}
	for i, cust := range f.Customers {
		err := do(http.MethodPost, "/v1/customers", cust)
		var refused *client.Error
		switch {
		case errors.As(err, &refused) && refused.Status == http.StatusConflict:
			done.Existing++
		case err != nil:
			return done, fmt.Errorf("customers[%d] %s: %w", i, cust.Email, err)
		default:
			done.Customers++
		}
	}
	return done, nil
}

// passing says that it may be otherwise in a moment. No answer at all is so only from a system that has answered.
func passing(err error, begun bool) bool {
	var refused *client.Error
	if !errors.As(err, &refused) {
		return begun
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
