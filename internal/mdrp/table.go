package mdrp

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/wire"
)

// What a day can hold. The bounds are wide of every published instance; they keep a damaged file from becoming an
// overflowing time or a courier who needs a year.
const (
	maxMetres  = 1e6
	maxMinutes = 7 * 24 * 60
	maxPay     = 1e6
)

// row is one line of a table, its fields in the order asked for. The first failure of a row is the one reported.
type row struct {
	columns []string
	fields  []string
	names   map[string]bool
	failed  *failure
}

type failure struct {
	column int // -1: the line
	err    error
}

func (r row) fail(column int, err error) {
	if r.failed.err == nil {
		*r.failed = failure{column, err}
	}
}

func (r row) text(column int) string {
	s := r.fields[column]
	if s == "" {
		r.fail(column, errors.New("empty"))
	}
	return s
}

// name is a text that no earlier row of the table has.
func (r row) name(column int) string {
	s := r.text(column)
	if r.names[s] {
		r.fail(column, fmt.Errorf("%q is there twice", s))
	}
	r.names[s] = true
	return s
}

func (r row) number(column int, low, high float64) float64 {
	v, err := strconv.ParseFloat(r.fields[column], 64)
	switch {
	case err != nil:
		r.fail(column, fmt.Errorf("%q is not a number", r.fields[column]))
	case !(v >= low && v <= high):
		r.fail(column, fmt.Errorf("%v is not between %v and %v", v, low, high))
	default:
		return v
	}
	return 0
}

func (r row) position(x, y int) wire.Position {
	return wire.Position{X: r.number(x, -maxMetres, maxMetres), Y: r.number(y, -maxMetres, maxMetres)}
}

func (r row) minutes(column int) time.Duration {
	return time.Duration(r.number(column, 0, maxMinutes) * float64(time.Minute))
}

// readTable calls each for the rows of a tab-separated file, whatever the order of its columns. Columns nobody asked
// for are passed over, and so are empty lines.
func readTable(fsys fs.FS, file string, columns []string, each func(row)) error {
	f, err := fsys.Open(file)
	if err != nil {
		return &Error{File: file, Err: fmt.Errorf("opening: %w", err)}
	}
	defer f.Close() //nolint:errcheck // only read

	var places []int // of the columns, once the heading is read
	width, line := 0, 0
	names := make(map[string]bool)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line++
		text := strings.TrimRight(lines.Text(), "\r")
		if strings.TrimSpace(text) == "" {
			continue
		}
		cells := strings.Split(text, "\t")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if places == nil {
			width = len(cells)
			for _, c := range columns {
				p := slices.Index(cells, c)
				if p < 0 {
					return &Error{file, line, c, errors.New("no such column")}
				}
				places = append(places, p)
			}
			continue
		}
		if len(cells) != width {
			return &Error{file, line, "", fmt.Errorf("%d fields where the heading has %d", len(cells), width)}
		}
		r := row{columns, make([]string, len(places)), names, &failure{column: -1}}
		for i, p := range places {
			r.fields[i] = cells[p]
		}
		each(r)
		if r.failed.err != nil {
			e := &Error{File: file, Line: line, Err: r.failed.err}
			if r.failed.column >= 0 {
				e.Field = columns[r.failed.column]
			}
			return e
		}
	}
	if err := lines.Err(); err != nil {
		return &Error{file, line + 1, "", fmt.Errorf("reading: %w", err)}
	}
	if places == nil {
		return &Error{File: file, Err: errors.New("no heading line")}
	}
	return nil
}
