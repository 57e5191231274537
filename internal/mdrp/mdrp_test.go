package mdrp_test

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tiffin-food/tiffin/internal/mdrp"
	"github.com/tiffin-food/tiffin/internal/wire"
)

const (
	orders      = "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t10\t20\t743\tr1\t753\no2\t-1\t2.5\t1\tr1\t1\n"
	restaurants = "restaurant\tx\ty\nr1\t8708\t5633\n"
	couriers    = "courier\tx\ty\ton_time\toff_time\nc1\t1\t2\t0\t90\n"
	parameters  = "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\tmaximum click-to-door\tpay per order\tguaranteed pay per hour\n320\t4\t4\t40\t90\t10\t15\n"
)

func folder(change map[string]string) fs.FS {
	files := map[string]string{mdrp.OrdersFile: orders, mdrp.RestaurantsFile: restaurants, mdrp.CouriersFile: couriers, mdrp.ParametersFile: parameters}
	maps.Copy(files, change)
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestRead(t *testing.T) {
	day, err := mdrp.Read(folder(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(day.Orders) != 2 || len(day.Restaurants) != 1 || len(day.Couriers) != 1 {
		t.Fatalf("read %+v", day)
	}
	if want := (mdrp.Order{ID: "o1", Dropoff: wire.Position{X: 10, Y: 20}, Placed: 743 * time.Minute, Restaurant: "r1", Ready: 753 * time.Minute}); day.Orders[0] != want {
		t.Errorf("order %+v, want %+v", day.Orders[0], want)
	}
	if day.Orders[0].Prep() != 10*time.Minute {
		t.Errorf("prep %v", day.Orders[0].Prep())
	}
	if want := (mdrp.Courier{ID: "c1", Start: wire.Position{X: 1, Y: 2}, Off: 90 * time.Minute}); day.Couriers[0] != want {
		t.Errorf("courier %+v, want %+v", day.Couriers[0], want)
	}
	want := mdrp.Parameters{MetresPerMinute: 320, PickupService: 4 * time.Minute, DropoffService: 4 * time.Minute, TargetClickToDoor: 40 * time.Minute,
		MaximumClickToDoor: 90 * time.Minute, PayPerOrder: 10, GuaranteedPayPerHour: 15}
	if day.Parameters != want {
		t.Errorf("parameters %+v, want %+v", day.Parameters, want)
	}
}

func TestReadTakesOtherLayouts(t *testing.T) {
	cases := map[string]string{
		"carriage returns and empty lines": "restaurant\tx\ty\r\n\r\nr1\t1\t2\r\n\r\n",
		"columns in another order":         "y\trestaurant\tx\n2\tr1\t1\n",
		"a column more":                    "restaurant\tname\tx\ty\nr1\tRoma\t1\t2\n",
	}
	for name, table := range cases {
		t.Run(name, func(t *testing.T) {
			day, err := mdrp.Read(folder(map[string]string{mdrp.RestaurantsFile: table}))
			if err != nil {
				t.Fatal(err)
			}
			if want := (mdrp.Restaurant{ID: "r1", Position: wire.Position{X: 1, Y: 2}}); day.Restaurants[0] != want {
				t.Fatalf("%+v, want %+v", day.Restaurants[0], want)
			}
		})
	}
}

func TestReadSaysWhereItIsWrong(t *testing.T) {
	head := "order\tx\ty\tplacement_time\trestaurant\tready_time\n"
	cases := []struct{ name, file, text, want string }{
		{"empty file", mdrp.CouriersFile, "", `mdrp: couriers.txt: no heading line`},
		{"column missing", mdrp.CouriersFile, "courier\tx\ty\ton_time\n", `mdrp: couriers.txt:1: off_time: no such column`},
		{"too few fields", mdrp.OrdersFile, head + "o1\t1\n", `mdrp: orders.txt:2: 2 fields where the heading has 6`},
		{"not a number", mdrp.OrdersFile, head + "o1\t1\t2\tnoon\tr1\t7\n", `mdrp: orders.txt:2: placement_time: "noon" is not a number`},
		{"not finite", mdrp.RestaurantsFile, "restaurant\tx\ty\nr1\t1\tNaN\n", `mdrp: restaurants.txt:2: y: NaN is not between -1e+06 and 1e+06`},
		{"out of range", mdrp.OrdersFile, head + "o1\t1\t2\t-1\tr1\t7\n", `mdrp: orders.txt:2: placement_time: -1 is not between 0 and 10080`},
		{"no name", mdrp.RestaurantsFile, "restaurant\tx\ty\n\t1\t1\n", `mdrp: restaurants.txt:2: restaurant: empty`},
		{"twice", mdrp.OrdersFile, head + "o1\t1\t2\t1\tr1\t7\no1\t1\t2\t1\tr1\t7\n", `mdrp: orders.txt:3: order: "o1" is there twice`},
		{"restaurant unknown", mdrp.OrdersFile, head + "o1\t1\t2\t1\tr2\t7\n", `mdrp: orders.txt:2: restaurant: "r2" is not in restaurants.txt`},
		{"ready before placed", mdrp.OrdersFile, head + "o1\t1\t2\t8\tr1\t7\n", `mdrp: orders.txt:2: ready_time: before placement_time`},
		{"off before on", mdrp.CouriersFile, "courier\tx\ty\ton_time\toff_time\nc1\t1\t2\t9\t8\n", `mdrp: couriers.txt:2: off_time: before on_time`},
		{"nobody moves", mdrp.ParametersFile, parameters[:len(parameters)-len("320\t4\t4\t40\t90\t10\t15\n")] + "0\t4\t4\t40\t90\t10\t15\n", `mdrp: instance_parameters.txt:2: meters_per_minute: nobody moves`},
		{"two sets of parameters", mdrp.ParametersFile, parameters + "320\t4\t4\t40\t90\t10\t15\n", `mdrp: instance_parameters.txt:3: a second row of parameters`},
		{"no parameters", mdrp.ParametersFile, parameters[:len(parameters)-len("320\t4\t4\t40\t90\t10\t15\n")], `mdrp: instance_parameters.txt: no row of parameters`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := mdrp.Read(folder(map[string]string{c.file: c.text}))
			if _, ok := errors.AsType[*mdrp.Error](err); !ok || err.Error() != c.want {
				t.Fatalf("got  %v\nwant %v", err, c.want)
			}
		})
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	if _, err := mdrp.Load(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%v, want fs.ErrNotExist", err)
	}
}

func TestLoadRecordedDays(t *testing.T) {
	dir := os.Getenv("TIFFIN_MDRPLIB")
	if dir == "" {
		dir = "../../../shared/data/mdrplib"
	}
	days, err := filepath.Glob(filepath.Join(dir, "*", mdrp.OrdersFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(days) == 0 {
		t.Skipf("no recorded days in %s; set TIFFIN_MDRPLIB to the folder of the instances", dir)
	}
	for _, d := range days {
		if _, err := mdrp.Load(filepath.Dir(d)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(orders, restaurants, couriers, parameters)
	f.Add("order\n", "restaurant\tx\ty\n\t\t\n", "", "\x00")
	f.Fuzz(func(t *testing.T, orders, restaurants, couriers, parameters string) {
		day, err := mdrp.Read(folder(map[string]string{mdrp.OrdersFile: orders, mdrp.RestaurantsFile: restaurants,
			mdrp.CouriersFile: couriers, mdrp.ParametersFile: parameters}))
		if err != nil {
			if _, ok := errors.AsType[*mdrp.Error](err); !ok {
				t.Fatalf("%T is not an *Error: %v", err, err)
			}
			return
		}
		known := map[string]bool{}
		for _, r := range day.Restaurants {
			if known[r.ID] {
				t.Fatalf("restaurant %q twice", r.ID)
			}
			known[r.ID] = true
		}
		for _, o := range day.Orders {
			if o.ID == "" || !known[o.Restaurant] || o.Placed < 0 || o.Prep() < 0 || math.IsNaN(o.Dropoff.X+o.Dropoff.Y) {
				t.Fatalf("let through %+v", o)
			}
		}
		for _, c := range day.Couriers {
			if c.ID == "" || c.On < 0 || c.Off < c.On {
				t.Fatalf("let through %+v", c)
			}
		}
		if !(day.Parameters.MetresPerMinute > 0) {
			t.Fatalf("let through %+v", day.Parameters)
		}
	})
}
