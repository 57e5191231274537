package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/durable/sqlite"
)

const (
	childFile    = "TIFFIN_TEST_SQLITE_CHILD" // makes this test binary save to the file it names, until it is killed
	childRecords = 32
)

// saveForEver saves records side by side and tells each answered version on standard output.
func saveForEver(path string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	db, err := sqlite.Open(ctx, path)
	fail(err)
	store, err := db.Store(ctx, "orders")
	fail(err)
	var wg sync.WaitGroup
	for i := range childRecords {
		wg.Go(func() {
			r := durable.Record{ID: fmt.Sprintf("r%02d", i)}
			old, err := store.Load(ctx, r.ID)
			if errors.Is(err, durable.ErrNotFound) {
				old, err = r, store.Create(ctx, r)
				old.Version = 1
			}
			fail(err)
			for r = old; ; {
				r.Version++
				r.Updated = time.Unix(r.Version, 0)
				r.State = fmt.Appendf(nil, `{"version":%d}`, r.Version)
				fail(store.Save(ctx, r))
				if _, err := fmt.Printf("%d %d\n", i, r.Version); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestKilled: whatever was answered before a kill -9 is there afterwards, whole.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	var answered [childRecords]int64
	for range 3 {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childFile+"="+path)
		child.Stderr = os.Stderr
		pipe, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		read := func() error {
			var i int
			var version int64
			_, err := fmt.Fscanln(out, &i, &version)
			if err == nil {
				answered[i] = version
			}
			return err
		}
		for range 2000 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}

		if _, err := sqlite.Open(t.Context(), path); !isInUse(err) {
			t.Errorf("a second process opened the file for writing: %v", err)
		}
		reader, err := sqlite.OpenReadOnly(t.Context(), path)
		if err != nil {
			t.Fatalf("read while another process writes: %v", err)
		}
		checkAnswered(t, reader, answered)
		if err := reader.Close(); err != nil {
			t.Error(err)
		}

		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; {
			err = read()
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Log("the last line was cut:", err)
		}
		_ = child.Wait() // killed

		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		checkAnswered(t, db, answered)
		last, err := db.LastTime(t.Context())
		if highest := highest(answered); err != nil || last.Unix() < highest {
			t.Errorf("time went back to %v, %v; want %d", last, err, highest)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func checkAnswered(t *testing.T, db *sqlite.DB, answered [childRecords]int64) {
	t.Helper()
	store := orders(t, db)
	for i, version := range answered {
		if version == 0 {
			continue
		}
		r, err := store.Load(t.Context(), fmt.Sprintf("r%02d", i))
		if err != nil {
			t.Fatal(err)
		}
		if r.Version < version || string(r.State) != fmt.Sprintf(`{"version":%d}`, r.Version) {
			t.Fatalf("version %d was answered; found %d with %s", version, r.Version, r.State)
		}
	}
}

func highest(versions [childRecords]int64) (n int64) {
	for _, v := range versions {
		n = max(n, v)
	}
	return n
}

func isInUse(err error) bool {
	_, ok := errors.AsType[*sqlite.InUseError](err)
	return ok
}
