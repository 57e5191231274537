package story_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiffin-food/tiffin/internal/console"
	"github.com/tiffin-food/tiffin/internal/durable"
	orderapi "github.com/tiffin-food/tiffin/internal/order/api"
	"github.com/tiffin-food/tiffin/internal/story"
)

var update = flag.Bool("update", false, "write the golden files anew")

const dashes = "----------\n"

// TestStories: each file of testdata has a story as the API tells it, and below what is made of it: the timeline and
// the Mermaid diagram.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(want), dashes)
			var s orderapi.Story
			if err := json.Unmarshal([]byte(input), &s); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			got.WriteString(input + dashes)
			if err := story.Timeline(&got, console.NewPaint(&got), s); err != nil {
				t.Fatal(err)
			}
			got.WriteString(dashes)
			if err := story.Mermaid(&got, s); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%s", got.Bytes())
			}
		})
	}
}

var errGone = errors.New("broken pipe")

// gone is an output that takes so many writes.
type gone struct{ after int }

func (g *gone) Write(b []byte) (int, error) {
	if g.after--; g.after < 0 {
		return 0, errGone
	}
	return len(b), nil
}

func TestOutputFails(t *testing.T) {
	s := orderapi.Story{Owed: []durable.Todo{{Name: "pay"}}}
	for n := range 4 {
		if err := story.Timeline(&gone{n}, console.NewPaint(&gone{}), s); !errors.Is(err, errGone) {
			t.Errorf("after %d writes: %v", n, err)
		}
	}
	if err := story.Mermaid(&gone{}, s); !errors.Is(err, errGone) {
		t.Error(err)
	}
}
