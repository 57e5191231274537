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

// Import brings f into a system. It stops at the first entry that is refused, naming it; what came before stays,
// and importing the same file again is harmless.
func Import(ctx context.Context, c *client.Client, f File) (done Result, err error) {
	for i, r := range f.Restaurants {
		body := map[string]any{"name": r.Name, "items": r.Items}
		if r.Position != nil {
			body["position"] = r.Position
		}
		if _, err := c.Do(ctx, http.MethodPut, "/v1/restaurants/"+r.ID, "", body, nil); err != nil {
			return done, fmt.Errorf("restaurants[%d] %s: %w", i, r.Name, err)
		}
		done.Restaurants++
	}
	for i, cust := range f.Customers {
		_, err := c.Do(ctx, http.MethodPost, "/v1/customers", "", cust, nil)
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
