// Package mdrp reads the recorded days of the Meal Delivery Routing Problem: real orders, restaurants and courier
// shifts of Grubhub, anonymised and published at https://github.com/grubhub/mdrplib (Reyes, Erera, Savelsbergh,
// Sahasrabudhe and O'Neil, "The Meal Delivery Routing Problem", 2018).
//
// A day is a folder of four tab-separated tables with a heading line: orders.txt, restaurants.txt, couriers.txt
// and instance_parameters.txt. The package promises that a day it returns is whole: every number is finite and in
// range, names are unique within their table, every order names a restaurant of the day, no meal is ready before
// it was ordered, and no shift ends before it begins. It never writes, and it keeps nothing between calls.
package mdrp

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// The tables of a day.
const (
	OrdersFile      = "orders.txt"
	RestaurantsFile = "restaurants.txt"
	CouriersFile    = "couriers.txt"
	ParametersFile  = "instance_parameters.txt"
)

// Day is one recorded day. Times are counted from its midnight; rows stand in the order of their file, which is
// not the order of time.
type Day struct {
	Orders      []Order
	Restaurants []Restaurant
	Couriers    []Courier
	Parameters  Parameters
}

// Order is one order of the day.
type Order struct {
	ID         string
	Dropoff    wire.Position
	Placed     time.Duration // since midnight
	Restaurant string        // the ID of a Restaurant of the day
	Ready      time.Duration // since midnight, never before Placed
}

// Prep is how long the kitchen took from the order to the meal.
func (o Order) Prep() time.Duration { return o.Ready - o.Placed }

// Restaurant is a place meals are picked up at.
type Restaurant struct {
	ID       string
	Position wire.Position
}

// Courier is one shift of one courier, who begins it at Start.
type Courier struct {
	ID      string
	Start   wire.Position
	On, Off time.Duration // since midnight
}

// Parameters are the day's physics, aims and pay.
type Parameters struct {
	MetresPerMinute      float64 // positive
	PickupService        time.Duration
	DropoffService       time.Duration
	TargetClickToDoor    time.Duration
	MaximumClickToDoor   time.Duration
	PayPerOrder          float64 // in the data set's unnamed currency
	GuaranteedPayPerHour float64
}

// Error says what is wrong with a day and where. Line counts from 1 and is 0 when the whole file is meant; Field is
// the column's heading, empty when the whole line is meant.
type Error struct {
	File  string
	Line  int
	Field string
	Err   error
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Field != "" {
		where = fmt.Sprintf("%s: %s", where, e.Field)
	}
	return fmt.Sprintf("mdrp: %s: %v", where, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Load reads the day in the folder dir. Every error is an *Error; a file that is not there is fs.ErrNotExist.
func Load(dir string) (Day, error) { return Read(os.DirFS(dir)) }

// Read is Load over any file system, with the four tables at its root.
func Read(fsys fs.FS) (Day, error) {
	var day Day
	if err := readTable(fsys, RestaurantsFile, []string{"restaurant", "x", "y"}, func(r row) {
		day.Restaurants = append(day.Restaurants, Restaurant{r.name(0), r.position(1, 2)})
	}); err != nil {
		return Day{}, err
	}
	known := make(map[string]bool, len(day.Restaurants))
	for _, r := range day.Restaurants {
		known[r.ID] = true
	}
	if err := readTable(fsys, OrdersFile, []string{"order", "x", "y", "placement_time", "restaurant", "ready_time"}, func(r row) {
		o := Order{r.name(0), r.position(1, 2), r.minutes(3), r.text(4), r.minutes(5)}
		if !known[o.Restaurant] {
			r.fail(4, fmt.Errorf("%q is not in %s", o.Restaurant, RestaurantsFile))
		}
		if o.Ready < o.Placed {
			r.fail(5, fmt.Errorf("before placement_time"))
		}
		day.Orders = append(day.Orders, o)
	}); err != nil {
		return Day{}, err
	}
	if err := readTable(fsys, CouriersFile, []string{"courier", "x", "y", "on_time", "off_time"}, func(r row) {
		c := Courier{r.name(0), r.position(1, 2), r.minutes(3), r.minutes(4)}
		if c.Off < c.On {
			r.fail(4, fmt.Errorf("before on_time"))
		}
		day.Couriers = append(day.Couriers, c)
	}); err != nil {
		return Day{}, err
	}
	rows := 0
	if err := readTable(fsys, ParametersFile, []string{"meters_per_minute", "pickup service minutes", "dropoff service minutes",
		"target click-to-door", "maximum click-to-door", "pay per order", "guaranteed pay per hour"}, func(r row) {
		if rows++; rows > 1 {
			r.fail(-1, fmt.Errorf("a second row of parameters"))
		}
		p := Parameters{r.number(0, 0, maxMetres), r.minutes(1), r.minutes(2), r.minutes(3), r.minutes(4),
			r.number(5, 0, maxPay), r.number(6, 0, maxPay)}
		if p.MetresPerMinute == 0 {
			r.fail(0, fmt.Errorf("nobody moves"))
		}
		day.Parameters = p
	}); err != nil {
		return Day{}, err
	}
	if rows == 0 {
		return Day{}, &Error{File: ParametersFile, Err: fmt.Errorf("no row of parameters")}
	}
	return day, nil
}
